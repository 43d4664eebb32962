"""``thresher synth``: resources, clock and bitstream of the hardware, by Yosys and nextpnr."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..spec import AttentionConfig, ConfigError, SpmmConfig, ThresherError
from ..spec.link import DEFAULT_BAUD
from ..synth.boards import BOARDS, Board, board
from ..synth.devices import Device, device
from ..synth.tools import Source
from . import options, progress
from .frame import app, command, print_json
from .report import bands
from .settings import AnyConfig, any_configuration, linked_configuration
from .terminal import make_console, make_table

if TYPE_CHECKING:
    from ..synth.measurement import Measurement

    Errors = dict[str, dict[str, float | None]]

# The command imports the rest when it runs, so that `thresher --help` is fast.

__all__ = ["synth"]

PRUNED = 0.75
"""Sparsity of the effective operations per second."""
# Any: type checkers do not accept an enumeration that is made at run time.
BoardName: Any = StrEnum("BoardName", {name: name for name in BOARDS})


class TooSlow(ThresherError):
    """The placed design does not reach its clock."""


class TooLarge(ThresherError):
    """The design does not fit its device."""


@command(app, "synth")
def synth(
    unit: Annotated[
        str,
        typer.Option(
            "--unit",
            help="attention, spmm, vector, coprocessor, or a part of one, such as softmax. A wrong name lists all.",
        ),
    ] = ("attention"),
    preset: options.Preset = options.EDGE,
    device_name: Annotated[
        options.DeviceName | None,
        typer.Option("--device", help="Target chip, without a board (default lfe5u-85f)."),
    ] = None,
    board_name: Annotated[
        BoardName | None,
        typer.Option("--board", help="Make the bitstream of a board: attention, spmm or coprocessor behind a link."),
    ] = None,
    clock: Annotated[
        float | None,
        typer.Option("--clock", help="MHz to reach; 100, or the board's default, unless given."),
    ] = None,
    baud: Annotated[
        int | None, typer.Option("--baud", min=1, help=f"Bits per second on a board's serial line ({DEFAULT_BAUD}).")
    ] = None,
    memory: options.Memory = None,
    slow: Annotated[bool, typer.Option("--allow-slow", help="Succeed even if the clock is not reached.")] = False,
    speed: Annotated[int | None, typer.Option("--speed", help="Speed grade; the slowest unless given.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, help="Runs of nextpnr, seeds 1 to N.")] = 1,
    no_pnr: Annotated[
        bool, typer.Option("--no-pnr", help="Count cells only: no placing, no routing, no Fmax.")
    ] = False,
    depth: Annotated[int, typer.Option("--depth", min=1, help="Levels of the hierarchy in the table.")] = 1,
    keep_hierarchy: Annotated[
        bool,
        typer.Option(
            "--keep-hierarchy", help="Synthesise each block by itself: minutes instead of hours, about a tenth larger."
        ),
    ] = False,
    policy: options.UnitPolicy = None,
    config_file: options.Config = None,
    output: Annotated[
        Path | None,
        options.output("Folder of netlist, logs and report; out/synth/... unless given."),
    ] = None,
    tools: Annotated[
        Source,
        typer.Option(
            "--tools",
            help="native: yosys and nextpnr on PATH; yowasp: the wheels; auto: native if on PATH, else yowasp.",
        ),
    ] = Source.AUTO,
    as_json: options.Json = False,
) -> None:
    """Synthesise a part of the hardware, or make the bitstream of a board: resources by block, Fmax, critical path."""
    from ..cost import sizes
    from ..cost.estimate import speedup
    from ..spec.files import check_writable
    from ..synth import flow, html
    from ..synth.measurement import WHOLE_UNITS

    config = _configuration(unit, preset.value, policy, config_file)
    of_boards = {"baud": baud, "allow-slow": slow or None, "memory": memory}
    target = _target(board_name, device_name, of_boards=of_boards, speed=speed)
    linked = linked_configuration(config, memory) if isinstance(target, Board) else None
    folder = output or Path("out") / "synth" / f"{preset.value}-{unit}-{target.name}"
    check_writable(folder / "report.html")
    with progress.steps() as steps:
        common = {"preset": preset.value, "unit": unit, "folder": folder, "seeds": range(1, seeds + 1)}
        common |= {"place": not no_pnr, "depth": depth, "source": tools, "keep_hierarchy": keep_hierarchy}
        common |= {"tell": steps.tell, "announce": steps.announce, "clock_mhz": clock}
        estimated = config if unit in WHOLE_UNITS and isinstance(config, AttentionConfig | SpmmConfig) else None
        if estimated is not None:
            common |= dict(zip(("speedup_75", "speedup_source"), speedup(estimated, PRUNED), strict=True))
        if isinstance(target, Board) and linked is not None:
            common |= {"baud": baud or DEFAULT_BAUD, "allow_slow": slow}
            measured = flow.build(linked, board=target, **common)
        else:
            assert isinstance(target, Device)
            measured = flow.measure(config, device=target, speed=speed, **common)
        chip = target if isinstance(target, Device) else device(target.device)
        expected = sizes.compared(estimated, chip.fabric, measured.unit_counts) if estimated is not None else {}
        page = html.write(measured, folder / "report.html", expected)
    if as_json:
        print_json({**measured.to_dict(), "estimates": expected, "report": str(page)})
    else:
        _show(measured, page, expected)
    if measured.too_large and not no_pnr:
        larger = "smaller configuration" if isinstance(target, Board) else "larger --device"
        raise TooLarge(f"{unit} does not fit: " + _lacking(measured) + f"; choose a {larger}")
    if measured.board is not None and measured.board.timing_met is False and not slow:
        raise TooSlow(_slowness(measured))


def _target(board_name: Any, device_name: Any, *, of_boards: dict[str, Any], speed: int | None) -> Board | Device:
    """The board, or the chip if no board is named. A chip accepts no options of boards."""
    if board_name is None:
        for name, value in of_boards.items():
            if value is not None:
                raise ConfigError(name, value, "only boards have one, give --board")
        return device((device_name or options.LFE5U_85F).value)
    if device_name is not None:
        raise ConfigError("device", device_name.value, "do not give it with --board")
    if speed is not None:
        raise ConfigError("speed", speed, "do not give it with --board, whose chip has one")
    return board(board_name.value)


def _configuration(unit: str, preset: str, policy: Any, file: Path | None) -> AnyConfig:
    from ..synth.units import ATTENTION_UNITS, COPROCESSOR_UNITS, SPMM_UNITS, VECTOR_UNITS

    parts = {"attention": ATTENTION_UNITS, "spmm": SPMM_UNITS, "vector": VECTOR_UNITS}
    parts["coprocessor"] = COPROCESSOR_UNITS
    for whole, names in parts.items():
        if unit in names:
            return any_configuration(preset, unit=whole, policy=policy, file=file)
    raise ConfigError("unit", unit, "must be one of " + ", ".join(name for names in parts.values() for name in names))


def _lacking(measured: "Measurement") -> str:
    """Resources that the device does not have enough of."""
    names = device(measured.device).names
    parts = [
        f"{fit.missing:,} {names[name]} too many ({fit.used:,} of {fit.available:,})"
        for name, fit in measured.too_large.items()
    ]
    return f"on {measured.device} " + ", ".join(parts)


def _slowness(measured: "Measurement") -> str:
    """Message about a clock that is not reached."""
    assert measured.board is not None
    reached = max(route.fmax_mhz for route in measured.routes.values())
    wanted = f"the design reaches {reached:.1f} MHz, not {measured.board.clock_mhz:g} MHz"
    return f"{wanted}: choose a slower --clock, more --seeds, or --allow-slow; the bitstream may give wrong results"


def _show(measured: "Measurement", page: Path, expected: "Errors") -> None:
    """Print resources by block, shares of the device, Fmax and critical path."""
    console = make_console()
    grade = "" if measured.speed is None else f", speed grade {measured.speed}"
    tools = ", ".join(f"{name} {version}" for name, version in measured.tools.items())
    console.print(f"{measured.unit} of {measured.preset} on {measured.device}{grade}; {tools}\n", soft_wrap=True)
    if measured.board is not None:
        rate = f"{measured.board.baud:,} baud ({abs(measured.board.achieved_baud / measured.board.baud - 1):.1%} off)"
        console.print(f"{measured.board.title}: {measured.board.clock_mhz:g} MHz, {rate}\n", soft_wrap=True)
    _blocks(measured)
    if measured.fits:
        names = device(measured.device).names
        shares = ", ".join(
            f"{fit.used:,} of {fit.available:,} {names[name]} ({fit.share:.1%})"
            if fit.available
            else f"no {names[name]}"
            for name, fit in measured.fits.items()
        )
        console.print(f"\n{shares}", soft_wrap=True)
        if measured.too_large:
            console.print(f"does not fit: {_lacking(measured)}", soft_wrap=True)
    if expected:
        figures = ", ".join(f"{name} {_beside(entry)}" for name, entry in expected.items())
        what = "estimated" if measured.board is None else "estimated without the link"
        if measured.keep_hierarchy:
            what += " as a whole, which shares logic"
        console.print(f"{what}: {figures}; {bands(expected)}", soft_wrap=True)
    _timing(measured)
    for note in measured.notes:
        console.print(note, soft_wrap=True)
    seconds = ", ".join(f"{step} {value:.1f} s" for step, value in measured.seconds.items())
    console.print(f"\n{seconds}\nreport: {page}", soft_wrap=True)
    if measured.board is not None and measured.board.bitstream is not None:
        load = "too slow for its clock" if measured.board.load is None else f"load it with `{measured.board.load}`"
        console.print(f"bitstream: {measured.board.bitstream} ({load})", soft_wrap=True)


def _blocks(measured: "Measurement") -> None:
    generic = measured.resources.gates > 0
    names = ("gates", "ff") if generic else ("lut", "logic_lut", "carry", "lut_ram", "ff", "bram", "dsp")
    names += ("cells",) if measured.resources.cells else ()
    titles = {"lut": "LUT", "logic_lut": "for logic", "carry": "carry", "lut_ram": "LUT RAM", "ff": "FF"}
    titles |= {"bram": "BRAM", "dsp": "DSP"}
    table = make_table("block", *(titles.get(name, name) for name in names), right=1)
    rows = [(block.name, block.resources) for block in measured.blocks]
    for name, counts in [*rows, ("total", measured.resources)]:
        table.add_row(name, *(f"{getattr(counts, each):,}" for each in names))
    make_console().print(table)


def _timing(measured: "Measurement") -> None:
    if measured.fmax_mhz is None:
        return
    console = make_console()
    reached = ", ".join(f"{route.fmax_mhz:.1f}" for route in measured.routes.values())
    console.print(f"\nFmax {measured.fmax_mhz:.1f} MHz, median of seeds: {reached}", soft_wrap=True)
    if measured.gops_dense is not None:
        effective = measured.gops_effective_75
        pruned = (
            "" if effective is None else f", {effective:.1f} effective at 75 % sparsity ({measured.speedup_source})"
        )
        console.print(f"{measured.gops_dense:.1f} GOPS dense{pruned}", soft_wrap=True)
    table = make_table(f"critical path of seed {measured.median_seed} in", "logic ns", "wires ns", "cells", right=1)
    for segment in measured.critical_path:
        table.add_row(segment.block, f"{segment.logic_ns:.2f}", f"{segment.routing_ns:.2f}", str(segment.cells))
    console.print()
    console.print(table)


def _beside(entry: "dict[str, float | None]") -> str:
    error = entry["error"]
    return f"{entry['estimate']:,}" + ("" if error is None else f" ({error:+.1%})")
