"""``thresher verilog``: write the hardware as Verilog."""

from pathlib import Path
from typing import Annotated

import typer

from ..spec.buses import Bus
from ..spec.verilog_names import Reset
from . import options, progress
from .frame import app, command, print_json
from .settings import any_configuration
from .terminal import say

__all__ = ["verilog"]


@command(app, "verilog")
def verilog(
    output: Annotated[Path, options.output("Folder for the Verilog and its description.")],
    unit: options.AnyUnit = options.AnyUnitName.ATTENTION,
    preset: options.Preset = options.EDGE,
    policy: options.UnitPolicy = None,
    config_file: options.Config = None,
    cores: options.Cores = None,
    prefix: Annotated[
        str | None,
        typer.Option("--prefix", help="Name of the top module and the files; starts the names of all other modules."),
    ] = None,
    bus: Annotated[Bus | None, typer.Option("--bus", help="Bus of the ports (streams; co-processor: axi4).")] = None,
    clock: Annotated[str | None, typer.Option("--clock", help="Name of the clock (usual name of the bus).")] = None,
    reset: Annotated[
        Reset | None, typer.Option("--reset", help="Active level of the reset (active-high; AXI: active-low).")
    ] = None,
    reset_name: Annotated[
        str | None, typer.Option("--reset-name", help="Name of the synchronous reset (usual name of the bus).")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write standalone Verilog of a unit, a JSON description of its ports, and a FuseSoC core file."""
    from ..hdl.unit_files import write_verilog

    config = any_configuration(preset, unit=unit, policy=policy, file=config_file, cores=cores)
    with progress.steps() as steps:
        steps.tell("generating")
        emitted = write_verilog(config, output, bus=bus, prefix=prefix, clock=clock, reset=reset, reset_name=reset_name)
    written = [path.name for path in emitted.written]
    if as_json:
        print_json(
            {
                "verilog": str(emitted.verilog),
                "description": str(emitted.description),
                "core": str(emitted.core),
                "verilog_sha256": emitted.sha256,
                "configuration_sha256": config.hash(),
                "written": written,
            }
        )
        return
    for path in (emitted.verilog, emitted.description, emitted.core):
        say(f"{path}: {'written' if path.name in written else 'unchanged'}")
