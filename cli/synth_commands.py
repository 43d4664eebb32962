"""The command that takes hardware to gates and measures it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..spec import AttentionConfig, ConfigError, SpmmConfig, ThresherError
from ..synth.devices import DEVICES, Family, device
from ..synth.tools import Source
from . import progress
from .frame import EDGE, ConfigOption, JsonOption, PresetOption, UnitName, UnitPolicyOption, app, command, print_json
from .settings import unit_configuration

# What a command needs beyond this is imported where it runs, so that `thresher --help` answers at once.

__all__ = ["estimate", "synth"]

# Any: the type checker takes no enumeration made at run time.
DeviceName: Any = StrEnum("DeviceName", {name: name for name in DEVICES})
LFE5U_85F = DeviceName("lfe5u-85f")


class TooLarge(ThresherError):
    """The design was to be placed on a device that it does not fit."""


@command(app, "synth")
def synth(
    unit: Annotated[str, typer.Option("--unit", help="attention, spmm, or one of their parts: softmax, drain …")] = (
        "attention"
    ),
    preset: PresetOption = EDGE,
    device_name: Annotated[DeviceName, typer.Option("--device", help="What it is mapped to.")] = LFE5U_85F,
    speed: Annotated[int | None, typer.Option("--speed", help="Speed grade; the slowest unless given.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, help="Runs of nextpnr, seeds 1 to N.")] = 1,
    no_pnr: Annotated[
        bool, typer.Option("--no-pnr", help="Count cells only: no placing, no routing, no Fmax.")
    ] = False,
    depth: Annotated[int, typer.Option("--depth", min=1, help="Levels of the hierarchy that are told apart.")] = 1,
    policy: UnitPolicyOption = None,
    config_file: ConfigOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of netlist, logs and report; out/synth/… unless given."),
    ] = None,
    tools: Annotated[
        Source,
        typer.Option("--tools", help="native: yosys and nextpnr on PATH; yowasp: the wheels; auto: what is there."),
    ] = Source.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Synthesise a part of the hardware with Yosys and nextpnr: resources by block, Fmax, critical path."""
    from ..synth import flow, html
    from . import synth_jobs, synth_report

    chosen = device(device_name.value)
    config = _configuration(unit, preset.value, policy, config_file)
    folder = output or Path("out") / "synth" / f"{preset.value}-{unit}-{chosen.name}"
    speedup = synth_jobs.speedup_75(config, name=preset.value)
    with progress.steps() as steps:
        measured = flow.measure(
            config,
            preset=preset.value,
            unit=unit,
            device=chosen,
            folder=folder,
            speed=speed,
            seeds=range(1, seeds + 1),
            place=not no_pnr,
            depth=depth,
            source=tools,
            speedup_75=speedup.value,
            speedup_source=speedup.source,
            tell=steps.tell,
            announce=steps.announce,
        )
        page = html.write(measured, folder / "report.html")
    told = measured.to_dict()
    expected = synth_jobs.expected(config, unit=unit, measured=told) if chosen.family is Family.ECP5 else None
    if as_json:
        print_json({**told, "estimates": expected, "report": str(page)})
    else:
        synth_report.show(measured, page, expected)
    if measured.too_large and not no_pnr:
        raise TooLarge(f"{unit} does not fit: " + synth_report.lacking(measured) + "; choose a larger --device")


@command(app, "estimate")
def estimate(
    unit: Annotated[UnitName, typer.Option("--unit", help="Attention core, or SpMM engine.")] = UnitName.ATTENTION,
    preset: PresetOption = EDGE,
    policy: UnitPolicyOption = None,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Estimate size (ECP5) and cycles of a configuration at once, beside what was measured of it."""
    from . import synth_jobs, synth_report

    config = _configuration(unit.value, preset.value, policy, config_file)
    told = synth_jobs.estimate(config, unit=unit.value, name=preset.value)
    if as_json:
        print_json(told)
    else:
        synth_report.estimate(told)


def _configuration(unit: str, preset: str, policy: Any, file: Path | None) -> AttentionConfig | SpmmConfig:
    from ..synth.units import ATTENTION_UNITS, SPMM_UNITS

    if unit not in {*ATTENTION_UNITS, *SPMM_UNITS}:
        raise ConfigError("unit", unit, "must be one of " + ", ".join([*ATTENTION_UNITS, *SPMM_UNITS]))
    return unit_configuration(preset, spmm=unit in SPMM_UNITS, policy=policy, file=file)
