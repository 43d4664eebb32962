"""The command that takes hardware to gates and measures it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..spec import AttentionConfig, ConfigError, SpmmConfig, ThresherError
from ..spec.link import DEFAULT_BAUD
from ..synth.boards import BOARDS, Board, board
from ..synth.devices import DEVICES, Device, device
from ..synth.tools import Source
from . import options, progress
from .frame import app, command, print_json
from .settings import unit_configuration

# What a command needs beyond this is imported where it runs, so that `thresher --help` answers at once.

__all__ = ["estimate", "synth"]

# Any: the type checker takes no enumeration made at run time.
DeviceName: Any = StrEnum("DeviceName", {name: name for name in DEVICES})
LFE5U_85F = DeviceName("lfe5u-85f")
PRUNED = 0.75
"""Sparsity whose operations per second are told."""


BoardName: Any = StrEnum("BoardName", {name: name for name in BOARDS})


class TooSlow(ThresherError):
    """What was placed does not reach its clock."""


class TooLarge(ThresherError):
    """The design was to be placed on a device that it does not fit."""


@command(app, "synth")
def synth(
    unit: Annotated[str, typer.Option("--unit", help="attention, spmm, or one of their parts: softmax, drain …")] = (
        "attention"
    ),
    preset: options.Preset = options.EDGE,
    device_name: Annotated[
        DeviceName | None,
        typer.Option("--device", help="Chip that it is mapped to, out of context (lfe5u-85f)."),
    ] = None,
    board_name: Annotated[
        BoardName | None,
        typer.Option("--board", help="Make the bitstream of a board: attention or spmm behind a serial link."),
    ] = None,
    clock: Annotated[
        float | None, typer.Option("--clock", help="MHz of the core on a board; the board's default unless given.")
    ] = None,
    baud: Annotated[
        int | None, typer.Option("--baud", min=1, help=f"Bits per second on a board's serial line ({DEFAULT_BAUD}).")
    ] = None,
    slow: Annotated[bool, typer.Option("--allow-slow", help="Succeed even if the clock is not reached.")] = False,
    speed: Annotated[int | None, typer.Option("--speed", help="Speed grade; the slowest unless given.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, help="Runs of nextpnr, seeds 1 to N.")] = 1,
    no_pnr: Annotated[
        bool, typer.Option("--no-pnr", help="Count cells only: no placing, no routing, no Fmax.")
    ] = False,
    depth: Annotated[int, typer.Option("--depth", min=1, help="Levels of the hierarchy that are told apart.")] = 1,
    keep_hierarchy: Annotated[
        bool,
        typer.Option(
            "--keep-hierarchy", help="Make each block by itself: large units in minutes, some per cent larger."
        ),
    ] = False,
    policy: options.UnitPolicy = None,
    config_file: options.Config = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of netlist, logs and report; out/synth/… unless given."),
    ] = None,
    tools: Annotated[
        Source,
        typer.Option("--tools", help="native: yosys and nextpnr on PATH; yowasp: the wheels; auto: what is there."),
    ] = Source.AUTO,
    as_json: options.Json = False,
) -> None:
    """Synthesise a part of the hardware, or make the bitstream of a board: resources by block, Fmax, critical path."""
    from ..cost import sizes
    from ..cost.estimate import speedup
    from ..spec.files import check_writable
    from ..synth import flow, html
    from ..synth.measurement import WHOLE_UNITS
    from . import synth_report

    config = _configuration(unit, preset.value, policy, config_file)
    of_boards = {"clock": clock, "baud": baud, "allow-slow": slow or None}
    target = _target(board_name, device_name, of_boards=of_boards, speed=speed)
    folder = output or Path("out") / "synth" / f"{preset.value}-{unit}-{target.name}"
    check_writable(folder / "report.html")
    with progress.steps() as steps:
        common = {"preset": preset.value, "unit": unit, "folder": folder, "seeds": range(1, seeds + 1)}
        common |= {"place": not no_pnr, "depth": depth, "source": tools, "keep_hierarchy": keep_hierarchy}
        common |= {"tell": steps.tell, "announce": steps.announce}
        whole = unit in WHOLE_UNITS
        if whole:
            common |= dict(zip(("speedup_75", "speedup_source"), speedup(config, PRUNED), strict=True))
        if isinstance(target, Board):
            common |= {"clock_mhz": clock, "baud": baud or DEFAULT_BAUD, "allow_slow": slow}
            measured = flow.build(config, board=target, **common)
        else:
            measured = flow.measure(config, device=target, speed=speed, **common)
        chip = target if isinstance(target, Device) else device(target.device)
        expected = sizes.compared(config, chip.fabric, measured.unit_counts) if whole else {}
        page = html.write(measured, folder / "report.html", expected)
    if as_json:
        print_json({**measured.to_dict(), "estimates": expected, "report": str(page)})
    else:
        synth_report.show(measured, page, expected)
    if measured.too_large and not no_pnr:
        larger = "smaller configuration" if isinstance(target, Board) else "larger --device"
        raise TooLarge(f"{unit} does not fit: " + synth_report.lacking(measured) + f"; choose a {larger}")
    if measured.board is not None and measured.board.timing_met is False and not slow:
        raise TooSlow(synth_report.slowness(measured))


def _target(board_name: Any, device_name: Any, *, of_boards: dict[str, Any], speed: int | None) -> Board | Device:
    """What is built for: a board, or a chip without one, which takes no options of boards."""
    if board_name is None:
        for name, value in of_boards.items():
            if value is not None:
                raise ConfigError(name, value, "only boards have one, give --board")
        return device((device_name or LFE5U_85F).value)
    if device_name is not None:
        raise ConfigError("device", device_name.value, "leave it out beside --board")
    if speed is not None:
        raise ConfigError("speed", speed, "leave it out beside --board, whose chip has one")
    return board(board_name.value)


@command(app, "estimate")
def estimate(
    unit: options.Unit = options.UnitName.ATTENTION,
    preset: options.Preset = options.EDGE,
    device_name: Annotated[DeviceName, typer.Option("--device", help="Chip that it is to be mapped to.")] = LFE5U_85F,
    policy: options.UnitPolicy = None,
    config_file: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """Estimate size and cycles of a configuration from formulas, beside its measured size if there is one."""
    from ..cost.estimate import estimate as estimate_of
    from . import synth_report

    config = _configuration(unit.value, preset.value, policy, config_file)
    chip = device(device_name.value)
    told = {"preset": preset.value, "unit": unit.value, "device": chip.name}
    told |= estimate_of(config, fabric=chip.fabric, available=chip.available)
    if as_json:
        print_json(told)
    else:
        synth_report.estimate(told)


def _configuration(unit: str, preset: str, policy: Any, file: Path | None) -> AttentionConfig | SpmmConfig:
    from ..synth.units import ATTENTION_UNITS, SPMM_UNITS

    if unit not in {*ATTENTION_UNITS, *SPMM_UNITS}:
        raise ConfigError("unit", unit, "must be one of " + ", ".join([*ATTENTION_UNITS, *SPMM_UNITS]))
    return unit_configuration(preset, spmm=unit in SPMM_UNITS, policy=policy, file=file)
