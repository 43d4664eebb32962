"""What synthesis comes to: cells, whether they fit, how fast, and on a board what is loaded."""

import dataclasses
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .netlist import Block, Resources, total
from .timing import Route, Segment, by_block

__all__ = ["CORE", "WHOLE_UNITS", "Fit", "Measurement", "OnBoard"]

WHOLE_UNITS = ("attention", "spmm")
"""Those that boards hold, and whose operations per second mean something."""
CORE = "linked.core"
"""The core in the hierarchy of a board."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How much of a device a design takes.

    Attributes
    ----------
    used, available : int
    share : float
        One is all of it.
    missing : int
        What the device lacks; 0 if it fits.
    """

    used: int
    available: int
    share: float
    missing: int


@dataclass(frozen=True, kw_only=True)
class OnBoard:
    """What a complete design came to.

    Attributes
    ----------
    name, title : str
        Of the board.
    clock_mhz : float
        Of the core.
    baud : int
        As asked for.
    achieved_baud : float
        What the clock divides to.
    bitstream : Path or None
        Of the fastest seed; ``None`` if nothing was placed.
    timing_met : bool or None
        Whether that seed reaches the clock.
    load : str or None
        Command that loads the bitstream; ``None`` if that is too slow, unless this was allowed.
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
    """What synthesis of a unit came to.

    Attributes
    ----------
    preset, unit, device : str
    speed : int or None
        Speed grade; ``None`` if the device has only one, or was not placed.
    resources : Resources
        By Yosys.
    blocks : tuple of Block
        The same, by the parts of the unit.
    fits : dict of str to Fit
        By resource (``lut``, ``ff``, ``bram``, ``dsp``); empty for a device without a size. ``lut`` of an iCE40 is its
        logic cells.
    routes : dict of int to Route
        By seed of nextpnr; empty without place and route.
    multipliers : int
        INT8 multipliers of the configuration, all of them in the whole unit.
    speedup_75 : float or None
        Cycles of dense work over those with 75 % of it pruned; ``None`` where that is not known or has no meaning.
    speedup_source : str or None
        Where that comes from.
    tools : dict of str to str
        Versions, with where they came from.
    seconds : dict of str to float
        By step; of a step whose result was there already, what it took then.
    notes : tuple of str
        What was out of the ordinary.
    folder : Path
        Verilog, netlist, logs and reports.
    keep_hierarchy : bool
        Each block was made by itself.
    board : OnBoard or None
        The board that the unit was built for, with its link; ``None`` out of context.
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
        """Those of the unit without what a board has around it."""
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
        """Median over the seeds; ``None`` without place and route."""
        reached = [route.fmax_mhz for route in self.routes.values()]
        return statistics.median(reached) if reached else None

    @property
    def median_seed(self) -> int | None:
        """The seed whose Fmax is the median, or the one just below it."""
        ordered = sorted(self.routes, key=lambda seed: self.routes[seed].fmax_mhz)
        return ordered[(len(ordered) - 1) // 2] if ordered else None

    @property
    def median_route(self) -> Route | None:
        """The run of :attr:`median_seed`."""
        return None if self.median_seed is None else self.routes[self.median_seed]

    @property
    def critical_path(self) -> tuple[Segment, ...]:
        """Of :attr:`median_route`, summed by block, the longest first."""
        return tuple(by_block(self.median_route.critical_path)) if self.median_route else ()

    @property
    def gops_dense(self) -> float | None:
        """10⁹ operations per second at :attr:`fmax_mhz`, two per multiplier; ``None`` for parts of units."""
        if self.fmax_mhz is None or self.unit not in WHOLE_UNITS:
            return None
        return 2 * self.multipliers * self.fmax_mhz / 1000

    @property
    def gops_effective_75(self) -> float | None:
        """Those that dense work would need for the same time, 75 % of it pruned."""
        dense = self.gops_dense
        return None if dense is None or self.speedup_75 is None else dense * self.speedup_75

    @property
    def too_large(self) -> dict[str, Fit]:
        """The resources that the device does not have enough of."""
        return {name: fit for name, fit in self.fits.items() if fit.missing}

    def to_dict(self) -> dict[str, Any]:
        """As JSON. ``lut4`` counts all look-up tables (of six inputs on Xilinx), ``logic_lut4`` those for logic.
        ``multipliers`` are INT8 multipliers; ``None`` for a part of a unit."""
        counts = self.resources
        reached = [route.fmax_mhz for route in self.routes.values()]
        multipliers = self.multipliers if self.unit in WHOLE_UNITS else None
        return {
            "preset": self.preset,
            "unit": self.unit,
            "device": self.device,
            "speed": self.speed,
            "lut4": counts.lut,
            "logic_lut4": counts.logic_lut,
            "carry": counts.carry,
            "lut_ram": counts.lut_ram,
            "mux": counts.mux,
            "ff": counts.ff,
            "bram": counts.bram,
            "dsp": counts.dsp,
            "gates": counts.gates,
            "cells": counts.cells,
            "fits": {name: dataclasses.asdict(fit) for name, fit in self.fits.items()},
            "fmax_mhz": {"median": self.fmax_mhz, "min": min(reached), "max": max(reached)} if reached else None,
            "seeds": {seed: route.fmax_mhz for seed, route in self.routes.items()},
            "median_seed": self.median_seed,
            "critical_path": [dataclasses.asdict(segment) for segment in self.critical_path],
            "placed": {} if self.median_route is None else self.median_route.placed,
            "multipliers": multipliers,
            "lut4_per_multiplier": None if multipliers is None else counts.lut / multipliers,
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
