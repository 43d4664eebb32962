"""Clock and critical path in a report of nextpnr."""

import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .netlist import block_of
from .tools import SynthesisError

__all__ = ["Route", "Segment", "by_block", "read_report"]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of the critical path.

    Attributes
    ----------
    block : str
        Block of the hierarchy. A wire counts for the block that drives it.
    logic_ns, routing_ns : float
        Delay of cells, including set-up, and of wires.
    cells : int
        Number of cells on the path, including those at its ends.
    """

    block: str
    logic_ns: float
    routing_ns: float
    cells: int

    def __add__(self, other: "Segment") -> "Segment":
        logic, routing = self.logic_ns + other.logic_ns, self.routing_ns + other.routing_ns
        return Segment(block=self.block, logic_ns=logic, routing_ns=routing, cells=self.cells + other.cells)


@dataclass(frozen=True, kw_only=True)
class Route:
    """One run of nextpnr.

    Attributes
    ----------
    fmax_mhz : float
        Frequency of the slowest clock.
    critical_path : tuple of Segment
        Critical path of that clock, in order. Neighbouring cells of one block are one segment.
    placed : dict of str to (int, int)
        Cells used and available, by kind of nextpnr.
    """

    fmax_mhz: float
    critical_path: tuple[Segment, ...]
    placed: dict[str, tuple[int, int]]


def read_report(path: Path, scopes: Container[str], *, depth: int = 2) -> Route:
    """Read the file of ``--report``.

    Parameters
    ----------
    scopes : set of str
        Scopes of the netlist, see :func:`~thresher.synth.netlist.scopes_of`.
    depth : int
        Levels of the hierarchy.

    Raises
    ------
    SynthesisError
        The file is not a report, or has no path between two flip-flops.
    """
    try:
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
        clock, fmax = min(report["fmax"].items(), key=lambda item: item[1]["achieved"], default=("", None))
        if fmax is None:
            raise SynthesisError(f"{path} holds no clock: the design has no path between two flip-flops")
        return Route(
            fmax_mhz=float(fmax["achieved"]),
            critical_path=_segments(_path_of(report["critical_paths"], clock), scopes, depth),
            placed={kind: (each["used"], each["available"]) for kind, each in report["utilization"].items()},
        )
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, OSError):
        raise SynthesisError(f"{path} is not a report of nextpnr: remove it and try again") from None


def _path_of(paths: list[dict[str, Any]], clock: str) -> list[dict[str, Any]]:
    """The critical path within a clock; empty without one."""
    for path in paths:
        if path["from"].split()[-1] == clock and path["to"].split()[-1] == clock:
            return path["path"]
    return []


def _segments(steps: list[dict[str, Any]], scopes: Container[str], depth: int) -> tuple[Segment, ...]:
    found: list[Segment] = []
    for step in steps:
        block = block_of(step["from"]["cell"], scopes, depth=depth)
        delay = float(step["delay"])
        if step["type"] == "routing":
            segment = Segment(block=block, logic_ns=0.0, routing_ns=delay, cells=0)
        else:
            segment = Segment(block=block, logic_ns=delay, routing_ns=0.0, cells=1)
        if found and found[-1].block == block:
            segment = found.pop() + segment
        found.append(segment)
    return tuple(found)


def by_block(path: tuple[Segment, ...]) -> list[Segment]:
    """Segments summed by block, the longest delay first."""
    sums: dict[str, Segment] = {}
    for segment in path:
        known = sums.get(segment.block)
        sums[segment.block] = segment if known is None else known + segment
    return sorted(sums.values(), key=lambda segment: -segment.logic_ns - segment.routing_ns)
