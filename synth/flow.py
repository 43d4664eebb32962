"""Synthesis of a unit: from a configuration through Verilog, Yosys and nextpnr to a measurement."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ..hdl.emit import emit
from ..hdl.link.linked_core import LinkedUnit
from ..spec.errors import ConfigError
from ..spec.files import OutputError, make_folder
from ..spec.link import DEFAULT_BAUD
from ..spec.verilog_names import UnitConfig
from .boards import Board
from .boards.design import design
from .devices import Device, Family
from .devices import device as device_of
from .measurement import BOARD_UNITS, CORE, Fit, Measurement, OnBoard
from .netlist import Resources, blocks, read_cells, scopes_of, total
from .routers import Standstill, chosen_router
from .steps import FREQUENCY_MHZ, PACKERS, PLACERS, Pins, Plan, Steps, Told, check_clock
from .timing import Route, read_report
from .tools import Source, SynthesisError, Tool, find
from .units import make

__all__ = ["build", "measure"]

CORE_DEPTH = len(CORE.split("."))
ALONE = "each block was synthesised alone, which takes more cells: leave --keep-hierarchy out for fewer"
LOCK = ".lock"
"""File in a folder that is locked while a run works in it."""
SUFFIXES = {Family.ECP5: "bit", Family.ICE40: "bin"}
"""Suffixes of bitstream files."""


def measure(
    config: UnitConfig,
    *,
    preset: str,
    unit: str,
    device: Device,
    folder: Path,
    speed: int | None = None,
    clock_mhz: float | None = None,
    seeds: Sequence[int] = (1,),
    place: bool = True,
    source: Source = Source.AUTO,
    depth: int = 1,
    keep_hierarchy: bool = False,
    speedup_75: float | None = None,
    speedup_source: str | None = None,
    tell: Told = lambda text: None,
    announce: Told = lambda text: None,
) -> Measurement:
    """Synthesise a unit, and place and route it if ``place`` is true and nextpnr supports the device.

    Netlists and reports that an earlier run of the same Verilog and the same tools left in the folder are used again,
    unless they were changed since. A seed that the router of nextpnr cannot finish is left out and noted.

    Parameters
    ----------
    preset : str
        Copied to the measurement.
    clock_mhz : float, optional
        Clock that nextpnr tries to reach; 100 MHz unless given.
    seeds : sequence of int
        One run of nextpnr each.
    depth : int
        Levels of the hierarchy in the counts. The critical path has one more.
    keep_hierarchy : bool
        Synthesise each block alone: faster, and some per cent larger.
    tell, announce : function of a line of text, optional
        Called with progress. ``announce`` gets the lines before long steps.

    Raises
    ------
    ConfigError
        Unknown unit or speed grade, or the clock is no positive number.
    OutputError
        The folder cannot be written, or another run works in it.
    SynthesisError
        A tool is missing or failed, the design has no timed path, or all seeds were given up.
    """
    place = place and device.routable
    if not place and speed is not None:
        raise ConfigError("speed", speed, f"only timed designs have one: {_why_not_placed(device)}")
    if clock_mhz is not None and not place:
        raise ConfigError("clock", clock_mhz, f"only timed designs have one: {_why_not_placed(device)}")
    speed = device.speed(speed) if place else None
    clock = check_clock(FREQUENCY_MHZ if clock_mhz is None else clock_mhz)
    yosys, placer = _tools(device, source, place=place)
    work = _Work(folder=folder, seeds=seeds, yosys=yosys, placer=placer, depth=depth, tell=tell, announce=announce)
    with _claimed(folder):
        tell(f"generating {unit}")
        top, component = make(unit, config)
        plan = Plan(
            top=top,
            verilog=emit(component, name=top),
            device=device,
            speed=speed,
            clock_mhz=clock,
            keep_hierarchy=keep_hierarchy,
        )
        measured = work.measure(plan, preset=preset, unit=unit, multipliers=config.multipliers)
    return dataclasses.replace(measured, speedup_75=speedup_75, speedup_source=speedup_source)


def build(
    config: LinkedUnit,
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
    keep_hierarchy: bool = False,
    speedup_75: float | None = None,
    speedup_source: str | None = None,
    allow_slow: bool = False,
    tell: Told = lambda text: None,
    announce: Told = lambda text: None,
) -> Measurement:
    """Make the bitstream of a unit with its link on a board, from the fastest seed.

    Parameters
    ----------
    clock_mhz : float, optional
        Clock of the core. Default: that of the board.
    baud : int
        Baud rate of the link.
    allow_slow : bool
        Whether the result has a load command even if the clock is not reached.

    The other parameters are those of :func:`measure`. ``depth`` counts from the core.

    Raises
    ------
    ConfigError
        The unit is a part, no PLL makes the clock, or the clock does not divide to the baud rate.
    OutputError, SynthesisError
        As :func:`measure`.
    """
    if unit not in BOARD_UNITS:
        raise ConfigError("unit", unit, "boards hold one of " + ", ".join(BOARD_UNITS))
    device = device_of(board.device)
    packer = find(PACKERS[device.family], source) if place else None
    yosys, placer = _tools(device, source, place=place)
    work = _Work(
        folder=folder, seeds=seeds, yosys=yosys, placer=placer, depth=depth + CORE_DEPTH, tell=tell, announce=announce
    )
    with _claimed(folder):
        made = design(board, config, folder=folder.resolve(), clock_mhz=clock_mhz, baud=baud, source=source, tell=tell)
        pins = Pins(constraints=made.constraints, package=board.package)
        plan = Plan(
            top=made.top,
            verilog=made.verilog,
            device=device,
            speed=board.speed,
            pins=pins,
            clock_mhz=made.clock_mhz,
            keep_hierarchy=keep_hierarchy,
        )
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
    """Folder, tools and options, the same for devices and boards."""

    folder: Path
    seeds: Sequence[int]
    yosys: Tool
    placer: Tool | None
    depth: int
    tell: Told
    announce: Told

    def measure(self, plan: Plan, *, preset: str, unit: str, multipliers: int) -> Measurement:
        """Run the tools on a plan."""
        device, yosys, placer = plan.device, self.yosys, self.placer
        steps = Steps(plan, self.folder.resolve(), tell=self.tell, announce=self.announce)
        netlist = steps.synthesise(yosys)
        cells = read_cells(steps.folder / netlist)
        listed = blocks(cells, device.family, depth=self.depth)
        fits = _fits(total(listed), device)
        routes: dict[int, Route] = {}
        by_block = plan.keep_hierarchy and device.family is not Family.GENERIC  # gates always are
        notes = (ALONE,) if by_block else ()
        short = {name: fit for name, fit in fits.items() if fit.missing}
        if placer is not None and short:
            notes += (f"not placed: {device.name} is too small",)
        elif placer is not None:
            router = chosen_router(device, total(listed).lut)
            for seed in self.seeds:
                try:
                    report = steps.route(placer, netlist, seed=seed, router=router)
                except Standstill as standstill:
                    notes += (str(standstill),)
                    self.announce(notes[-1])
                else:
                    routes[seed] = read_report(report, scopes_of(cells), depth=self.depth + 1)
            if not routes:
                more = f"try other seeds (--seeds {len(self.seeds) + 1} has one more)"
                raise SynthesisError(f"the router of {placer.name} stood still with every seed: {more}")
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
            keep_hierarchy=by_block,
        )


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Make a folder and keep other runs out of it until the block, or this process, ends."""
    make_folder(folder)
    # The system releases the lock of a killed process; a soft lock would stay.
    lock = FileLock(folder / LOCK, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        message = f"another run is at work in {folder}: wait until it ends, or choose another output folder"
        raise OutputError(message) from None
    except OSError as error:
        message = f"cannot lock {folder} ({error.strerror or error}): choose another output folder"
        raise OutputError(message) from None
    try:
        yield
    finally:
        lock.release()


def _tools(device: Device, source: Source, *, place: bool) -> tuple[Tool, Tool | None]:
    """Find Yosys and, to place, nextpnr. Call this before the hardware is generated, which takes seconds."""
    return find("yosys", source), find(PLACERS[device.family], source) if place else None


def _why_not_placed(device: Device) -> str:
    return "leave --no-pnr out" if device.routable else f"{device.name} is only counted, leave --speed out"


def _fits(counts: Resources, device: Device) -> dict[str, Fit]:
    if device.capacity is None:
        return {}
    found = {}
    for name, available in dataclasses.asdict(device.capacity).items():
        # A logic cell of an iCE40 holds a look-up table and a flip-flop, but not every pair can share one.
        used = counts.cells if name == "lut" and device.family is Family.ICE40 else getattr(counts, name)
        share = used / available if available else float(used > 0)
        found[name] = Fit(used=used, available=available, share=share, missing=max(0, used - available))
    return found
