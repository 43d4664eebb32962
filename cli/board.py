"""``thresher board``: simulate a board behind a pseudo-terminal."""

from typing import Annotated

import typer

from . import progress
from .frame import EDGE, ConfigOption, JsonOption, PresetOption, UnitName, UnitPolicyOption, app, command, print_json
from .settings import unit_configuration

__all__ = ["board"]


@command(app, "board")
def board(
    unit: Annotated[UnitName, typer.Option("--unit", help="Attention core, or SpMM engine.")] = UnitName.ATTENTION,
    preset: PresetOption = EDGE,
    policy: UnitPolicyOption = None,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate a board with its serial line at a pseudo-terminal, until Ctrl-C."""
    from ..sim.board import BoardSimulator, BoardTerminal

    config = unit_configuration(
        preset.value, spmm=unit is UnitName.SPMM, policy=policy and policy.value, file=config_file
    )
    with progress.steps() as steps:
        simulator = BoardSimulator(config, on_progress=steps.announce)
    with simulator, BoardTerminal(simulator) as terminal:
        if as_json:
            print_json({"port": terminal.path, "unit": unit.value, "preset": preset.value})
        else:
            print(f"{unit.value} of {preset.value} at {terminal.path}, at any baud rate; Ctrl-C ends it", flush=True)
        try:
            terminal.serve()
        except KeyboardInterrupt:
            return
