"""Commands about the hardware itself: its Verilog, and the sizes it comes in."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..spec import ConfigError
from . import progress, report
from .frame import EDGE, THRESHER, JsonOption, PolicyName, PresetOption, app, command, print_json
from .settings import configuration, preset_list, spmm_configuration

__all__ = ["presets", "verilog"]


class UnitName(StrEnum):
    """What hardware is generated."""

    ATTENTION = "attention"
    SPMM = "spmm"


@command(app, "verilog")
def verilog(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the Verilog and its description.")],
    unit: Annotated[UnitName, typer.Option("--unit", help="Attention core, or SpMM engine.")] = UnitName.ATTENTION,
    preset: PresetOption = EDGE,
    policy: Annotated[
        PolicyName | None, typer.Option("--policy", help="Rules of pruning and scoring (attention; default thresher).")
    ] = None,
    config_file: Annotated[
        Path | None, typer.Option("--config", help="JSON whose fields take the place of the preset's.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write standalone Verilog of the attention core or the SpMM engine, and JSON that describes it."""
    from ..synth.verilog import write_verilog

    if unit is UnitName.SPMM and policy is not None:
        raise ConfigError("policy", policy.value, "only attention has policies, leave it out for spmm")
    with progress.steps() as steps:
        if unit is UnitName.SPMM:
            config = spmm_configuration(preset, config_file)
        else:
            config = configuration(preset, policy or THRESHER, config_file)
        steps.tell("generating")
        emitted = write_verilog(config, output)
    written = [path.name for path in emitted.written]
    if as_json:
        print_json(
            {
                "verilog": str(emitted.verilog),
                "description": str(emitted.description),
                "verilog_sha256": emitted.sha256,
                "configuration_sha256": config.hash(),
                "written": written,
            }
        )
        return
    for path in (emitted.verilog, emitted.description):
        print(f"{path}: {'written' if path.name in written else 'unchanged'}")


@command(app, "presets")
def presets(as_json: JsonOption = False) -> None:
    """List the sizes of hardware, and the policies."""
    listed = preset_list()
    if as_json:
        print_json(listed)
    else:
        report.presets(listed)
