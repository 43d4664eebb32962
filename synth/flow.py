"""From a configuration to a measurement: Verilog, Yosys, nextpnr."""

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..hdl.verilog import emit
from ..spec.config import AttentionConfig
from ..spec.errors import ConfigError
from ..spec.link import DEFAULT_BAUD
from ..spec.spmm_config import SpmmConfig
from .boards import Board
from .boards.design import design
from .devices import Device, Family
from .devices import device as device_of
from .netlist import Block, Resources, blocks, logic_cells, read_cells, scopes_of, total
from .steps import PACKERS, PLACERS, Pins, Plan, Standstill, Steps, Told
from .timing import Route, Segment, by_block, read_report
from .tools import Source, SynthesisError, Tool, find
from .units import make
from .verilog import claimed

__all__ = ["WHOLE_UNITS", "Fit", "Measurement", "OnBoard", "build", "measure"]

WHOLE_UNITS = ("attention", "spmm")
"""Those that boards hold, and whose operations per second mean something."""
CORE = "linked.core"
"""The core in the hierarchy of a board."""
CORE_DEPTH = len(CORE.split("."))
SUFFIXES = {Family.ECP5: "bit", Family.ICE40: "bin"}
"""Of bitstreams."""


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
    board: OnBoard | None = None

    @property
    def unit_resources(self) -> Resources:
        """Those of the unit without what a board has around it."""
        if self.board is None:
            return self.resources
        return total(block for block in self.blocks if f"{block.name}.".startswith(f"{CORE}."))

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
        """As JSON. ``lut4`` counts all look-up tables (of six inputs on Xilinx), ``logic_lut4`` those for logic;
        ``lanes`` are multipliers, and nothing in a part of a unit."""
        counts = self.resources
        reached = [route.fmax_mhz for route in self.routes.values()]
        lanes = self.multipliers if self.unit in WHOLE_UNITS else None
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
            "lanes": lanes,
            "lut4_per_lane": None if lanes is None else counts.lut / lanes,
            "gops_dense": self.gops_dense,
            "gops_effective_75": self.gops_effective_75,
            "speedup_75": self.speedup_75,
            "speedup_source": self.speedup_source,
            "blocks": [{"name": block.name, **dataclasses.asdict(block.resources)} for block in self.blocks],
            "tools": self.tools,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "folder": str(self.folder),
            "board": None if self.board is None else _plain(self.board),
        }


def measure(
    config: AttentionConfig | SpmmConfig,
    *,
    preset: str,
    unit: str,
    device: Device,
    folder: Path,
    speed: int | None = None,
    seeds: Sequence[int] = (1,),
    place: bool = True,
    source: Source = Source.AUTO,
    depth: int = 1,
    speedup_75: float | None = None,
    speedup_source: str | None = None,
    tell: Told = lambda text: None,
    announce: Told = lambda text: None,
) -> Measurement:
    """Take a unit through synthesis and, unless ``place`` is false or the device has no nextpnr, place and route.

    What the folder holds from an earlier run of the same Verilog with the same tools is not made again, if nothing
    changed it since: the netlist, and the reports of seeds. A seed with which nextpnr's router goes round in circles is
    left out, and noted.

    Parameters
    ----------
    preset : str
        Only told on.
    seeds : sequence of int
        Of nextpnr, a run each.
    depth : int
        Levels of the hierarchy that the counts tell apart; the critical path has one more.
    tell, announce : function of a line of text, optional
        Progress; ``announce`` gets what takes long.

    Raises
    ------
    ConfigError
        Unknown unit or speed grade.
    OutputError
        The folder cannot be written, or another run is at work in it.
    SynthesisError
        A tool is missing or failed, the design has no path to time, or no seed is left.
    """
    place = place and device.routable
    if not place and speed is not None:
        raise ConfigError("speed", speed, f"only timed designs have one: {_why_not_placed(device)}")
    speed = device.speed(speed) if place else None
    yosys, placer = _tools(device, source, place=place)
    work = _Work(folder=folder, seeds=seeds, yosys=yosys, placer=placer, depth=depth, tell=tell, announce=announce)
    with claimed(folder):
        tell(f"generating {unit}")
        top, component = make(unit, config)
        plan = Plan(top=top, verilog=emit(component, name=top), device=device, speed=speed)
        measured = work.measure(plan, preset=preset, unit=unit, multipliers=config.multipliers)
    return dataclasses.replace(measured, speedup_75=speedup_75, speedup_source=speedup_source)


def build(
    config: AttentionConfig | SpmmConfig,
    *,
    preset: str,
    unit: str,
    board: Board,
    folder: Path,
    clock_mhz: float | None = None,
    baud: int = DEFAULT_BAUD,
    seeds: Sequence[int] = (1,),
    place: bool = True,
    source: Source = Source.AUTO,
    depth: int = 1,
    speedup_75: float | None = None,
    speedup_source: str | None = None,
    allow_slow: bool = False,
    tell: Told = lambda text: None,
    announce: Told = lambda text: None,
) -> Measurement:
    """Make the bitstream of a core on a board, behind its link; of several seeds that of the fastest.

    Parameters
    ----------
    clock_mhz : float, optional
        Of the core; the board's default unless given.
    baud : int
        Of the link.
    allow_slow : bool
        Whether to tell how a bitstream is loaded whose clock is not reached.

    The others, and what is kept, as of :func:`measure`. Depth counts from within the core.

    Raises
    ------
    ConfigError
        The unit is only a part, no PLL makes the clock, or the clock does not divide to the baud rate.
    OutputError, SynthesisError
        As :func:`measure`.
    """
    if unit not in WHOLE_UNITS:
        raise ConfigError("unit", unit, "boards hold one of " + ", ".join(WHOLE_UNITS))
    device = device_of(board.device)
    packer = find(PACKERS[device.family], source) if place else None
    yosys, placer = _tools(device, source, place=place)
    work = _Work(
        folder=folder, seeds=seeds, yosys=yosys, placer=placer, depth=depth + CORE_DEPTH, tell=tell, announce=announce
    )
    with claimed(folder):
        made = design(board, config, clock_mhz=clock_mhz, baud=baud, tell=tell)
        pins = Pins(constraints=made.constraints, package=board.package, clock_mhz=made.clock_mhz)
        plan = Plan(top=made.top, verilog=made.verilog, device=device, speed=board.speed, pins=pins)
        measured = dataclasses.replace(
            work.measure(plan, preset=preset, unit=unit, multipliers=config.multipliers),
            speedup_75=speedup_75,
            speedup_source=speedup_source,
        )
        result = OnBoard(
            name=board.name,
            title=board.title,
            clock_mhz=made.clock_mhz,
            baud=baud,
            achieved_baud=made.achieved_baud,
        )
        if packer is None or not measured.routes:
            return dataclasses.replace(measured, board=result)
        seed, fastest = max(measured.routes.items(), key=lambda item: item[1].fmax_mhz)
        met = fastest.fmax_mhz >= made.clock_mhz
        steps = Steps(plan, folder.resolve(), tell=tell, announce=announce)
        bitstream = steps.pack(packer, seed=seed, name=f"{board.name}.{SUFFIXES[device.family]}")
        return dataclasses.replace(
            measured,
            tools={**measured.tools, packer.name: f"{packer.version} ({packer.source})"},
            seconds={**measured.seconds, **steps.seconds},
            board=dataclasses.replace(
                result,
                bitstream=folder / bitstream.name,
                timing_met=met,
                load=board.load.format(bitstream=folder / bitstream.name) if met or allow_slow else None,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What all plans have in common: a folder, tools, and how much of them."""

    folder: Path
    seeds: Sequence[int]
    yosys: Tool
    placer: Tool | None
    depth: int
    tell: Told
    announce: Told

    def measure(self, plan: Plan, *, preset: str, unit: str, multipliers: int) -> Measurement:
        """Take a plan through the tools."""
        device, yosys, placer = plan.device, self.yosys, self.placer
        steps = Steps(plan, self.folder.resolve(), tell=self.tell, announce=self.announce)
        netlist = steps.synthesise(yosys)
        cells = read_cells(steps.folder / netlist)
        alone = logic_cells(steps.folder / netlist) if device.family is Family.ICE40 else ()
        listed = blocks(cells, device.family, depth=self.depth, alone=alone)
        fits = _fits(total(listed), device)
        routes: dict[int, Route] = {}
        notes: tuple[str, ...] = ()
        short = {name: fit for name, fit in fits.items() if fit.missing}
        if placer is not None and short:
            notes = (f"not placed: {device.name} is too small",)
        elif placer is not None:
            for seed in self.seeds:
                try:
                    report = steps.route(placer, netlist, seed=seed)
                except Standstill as standstill:
                    notes += (str(standstill),)
                    self.announce(notes[-1])
                else:
                    routes[seed] = read_report(report, scopes_of(cells), depth=self.depth + 1)
            if notes and not routes:
                more = f"try other seeds (--seeds {len(self.seeds) + 1} has one more)"
                raise SynthesisError(f"the router of {placer.name} went round in circles with every seed: {more}")
        return Measurement(
            preset=preset,
            unit=unit,
            device=device.name,
            speed=plan.speed,
            resources=total(listed),
            blocks=tuple(listed),
            fits=fits,
            routes=routes,
            multipliers=multipliers,
            speedup_75=None,
            speedup_source=None,
            tools={tool.name: f"{tool.version} ({tool.source})" for tool in (yosys, placer) if tool is not None},
            seconds=steps.seconds,
            notes=notes,
            folder=self.folder,
        )


def _tools(device: Device, source: Source, *, place: bool) -> tuple[Tool, Tool | None]:
    """Yosys and, to place, nextpnr: before anything is generated, which takes seconds."""
    return find("yosys", source), find(PLACERS[device.family], source) if place else None


def _plain(board: OnBoard) -> dict[str, Any]:
    return {**dataclasses.asdict(board), "bitstream": None if board.bitstream is None else str(board.bitstream)}


def _why_not_placed(device: Device) -> str:
    return "leave --no-pnr out" if device.routable else f"{device.name} is only counted, leave --speed out"


def _fits(counts: Resources, device: Device) -> dict[str, Fit]:
    if device.capacity is None:
        return {}
    found = {}
    for name, available in dataclasses.asdict(device.capacity).items():
        # Flip-flops of an iCE40 lie in the cells of its look-up tables, and only some with one.
        used = counts.cells if name == "lut" and device.family is Family.ICE40 else getattr(counts, name)
        share = used / available if available else float(used > 0)
        found[name] = Fit(used=used, available=available, share=share, missing=max(0, used - available))
    return found
