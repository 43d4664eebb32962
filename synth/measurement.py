"""The result of synthesis: cells, fit, clock, and the bitstream of a board."""

import dataclasses
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .netlist import Block, Resources, total
from .timing import Route, Segment, by_block

__all__ = ["BOARD_UNITS", "CORE", "WHOLE_UNITS", "Fit", "Measurement", "OnBoard"]

WHOLE_UNITS = ("attention", "spmm")
"""Units that have operations per second."""
BOARD_UNITS = (*WHOLE_UNITS, "coprocessor")
"""Units that boards hold."""
CORE = "linked.core"
"""Path of the core in the hierarchy of a board."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Use of one resource of a device.

    Attributes
    ----------
    used, available : int
    share : float
        Used share; 1 is the whole device.
    missing : int
        Units that the device lacks; 0 if the design fits.
    """

    used: int
    available: int
    share: float
    missing: int


@dataclass(frozen=True, kw_only=True)
class OnBoard:
    """The result of a design on a board.

    Attributes
    ----------
    name, title : str
        Names of the board.
    clock_mhz : float
        Clock of the core.
    baud : int
        Requested baud rate.
    achieved_baud : float
        Baud rate that the clock divides to.
    bitstream : Path or None
        Bitstream of the fastest seed; ``None`` without place and route.
    timing_met : bool or None
        Whether that seed reaches the clock.
    load : str or None
        Command that loads the bitstream; ``None`` if it misses the clock, unless this was allowed.
    """

    name: str
    title: str
    clock_mhz: float
    baud: int
    achieved_baud: float
    bitstream: Path | None = None
    timing_met: bool | None = None
    load: str | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of the synthesis of a unit.

    Attributes
    ----------
    preset, unit, device : str
    speed : int or None
        Speed grade; ``None`` if the device has only one or was not placed.
    resources : Resources
        Counts of the whole design by Yosys.
    blocks : tuple of Block
        The same counts by block.
    fits : dict of str to Fit
        By resource (``lut``, ``ff``, ``bram``, ``dsp``); empty for a device without capacity. On iCE40, ``lut`` counts
        logic cells.
    routes : dict of int to Route
        Runs of nextpnr by seed; empty without place and route.
    multipliers : int
        INT8 multipliers of the whole unit.
    speedup_75 : float or None
        Cycles of dense work divided by cycles with 75 % of it pruned; ``None`` for parts of units.
    speedup_source : str or None
        Source of the speedup.
    tools : dict of str to str
        Version and source of each tool.
    seconds : dict of str to float
        Run time by step. A skipped step has its earlier run time.
    notes : tuple of str
        Notes for the report.
    folder : Path
        Folder of Verilog, netlist, logs and reports.
    keep_hierarchy : bool
        Each block was synthesised alone.
    board : OnBoard or None
        The board; ``None`` out of context.
    """

    preset: str
    unit: str
    device: str
    speed: int | None
    resources: Resources
    blocks: tuple[Block, ...]
    fits: dict[str, Fit]
    routes: dict[int, Route]
    multipliers: int
    speedup_75: float | None
    speedup_source: str | None
    tools: dict[str, str]
    seconds: dict[str, float]
    notes: tuple[str, ...]
    folder: Path
    keep_hierarchy: bool = False
    board: OnBoard | None = None

    @property
    def unit_resources(self) -> Resources:
        """Counts of the unit without the link and clock of a board."""
        if self.board is None:
            return self.resources
        return total(block for block in self.blocks if f"{block.name}.".startswith(f"{CORE}."))

    @property
    def unit_counts(self) -> dict[str, int]:
        """:attr:`unit_resources` by the names of JSON that estimates have, too."""
        counts = self.unit_resources
        return {"lut4": counts.lut, "ff": counts.ff, "bram": counts.bram, "dsp": counts.dsp}

    @property
    def fmax_mhz(self) -> float | None:
        """Median of the seeds; ``None`` without place and route."""
        reached = [route.fmax_mhz for route in self.routes.values()]
        return statistics.median(reached) if reached else None

    @property
    def median_seed(self) -> int | None:
        """The seed with the median Fmax; the lower of two in the middle."""
        ordered = sorted(self.routes, key=lambda seed: self.routes[seed].fmax_mhz)
        return ordered[(len(ordered) - 1) // 2] if ordered else None

    @property
    def median_route(self) -> Route | None:
        """The run of :attr:`median_seed`."""
        return None if self.median_seed is None else self.routes[self.median_seed]

    @property
    def critical_path(self) -> tuple[Segment, ...]:
        """Critical path of :attr:`median_route`, summed by block, the longest delay first."""
        return tuple(by_block(self.median_route.critical_path)) if self.median_route else ()

    @property
    def gops_dense(self) -> float | None:
        """10⁹ operations per second at :attr:`fmax_mhz`, two per multiplier and cycle; ``None`` for parts."""
        if self.fmax_mhz is None or self.unit not in WHOLE_UNITS:
            return None
        return 2 * self.multipliers * self.fmax_mhz / 1000

    @property
    def gops_effective_75(self) -> float | None:
        """Rate at which dense work takes as long as work that is 75 % pruned."""
        dense = self.gops_dense
        return None if dense is None or self.speedup_75 is None else dense * self.speedup_75

    @property
    def too_large(self) -> dict[str, Fit]:
        """Resources that the device lacks."""
        return {name: fit for name, fit in self.fits.items() if fit.missing}

    def to_dict(self) -> dict[str, Any]:
        """Fields for JSON. ``lut4`` counts all look-up tables (with six inputs on Xilinx), ``logic_lut4`` those of
        logic. ``multipliers`` is ``None`` for parts of units."""
        counts = dataclasses.asdict(self.resources)
        reached = [route.fmax_mhz for route in self.routes.values()]
        multipliers = self.multipliers if self.unit in WHOLE_UNITS else None
        return {
            "preset": self.preset,
            "unit": self.unit,
            "device": self.device,
            "speed": self.speed,
            "lut4": counts.pop("lut"),
            "logic_lut4": counts.pop("logic_lut"),
            **counts,
            "fits": {name: dataclasses.asdict(fit) for name, fit in self.fits.items()},
            "fmax_mhz": {"median": self.fmax_mhz, "min": min(reached), "max": max(reached)} if reached else None,
            "seeds": {seed: route.fmax_mhz for seed, route in self.routes.items()},
            "median_seed": self.median_seed,
            "critical_path": [dataclasses.asdict(segment) for segment in self.critical_path],
            "placed": {} if self.median_route is None else self.median_route.placed,
            "multipliers": multipliers,
            "lut4_per_multiplier": None if multipliers is None else self.resources.lut / multipliers,
            "gops_dense": self.gops_dense,
            "gops_effective_75": self.gops_effective_75,
            "speedup_75": self.speedup_75,
            "speedup_source": self.speedup_source,
            "blocks": [{"name": block.name, **dataclasses.asdict(block.resources)} for block in self.blocks],
            "keep_hierarchy": self.keep_hierarchy,
            "tools": self.tools,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "folder": str(self.folder),
            "board": None if self.board is None else _plain(self.board),
        }


def _plain(board: OnBoard) -> dict[str, Any]:
    return {**dataclasses.asdict(board), "bitstream": None if board.bitstream is None else str(board.bitstream)}
