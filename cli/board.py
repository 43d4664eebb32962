"""``thresher board``: simulate a board behind a pseudo-terminal."""

import signal

from . import options, progress
from .frame import app, command, print_json
from .settings import any_configuration, linked_configuration
from .terminal import say

__all__ = ["board"]


@command(app, "board")
def board(
    unit: options.LinkedUnit = options.LinkedUnitName.ATTENTION,
    preset: options.Preset = options.EDGE,
    policy: options.UnitPolicy = None,
    config_file: options.Config = None,
    memory: options.Memory = None,
    as_json: options.Json = False,
) -> None:
    """Simulate a board with its serial line at a pseudo-terminal, until Ctrl-C."""
    from ..sim.board import BoardSimulator, BoardTerminal

    found = any_configuration(preset.value, unit=unit.value, policy=policy and policy.value, file=config_file)
    config = linked_configuration(found, memory)
    with progress.steps() as steps:
        simulator = BoardSimulator(config, on_progress=steps.announce)
    with simulator, BoardTerminal(simulator) as terminal:
        if as_json:
            print_json({"port": terminal.path, "unit": unit.value, "preset": preset.value})
        else:
            say(f"{unit.value} of {preset.value} at {terminal.path}, at any baud rate; Ctrl-C ends it")
        try:
            terminal.serve()
        except KeyboardInterrupt as end:
            if getattr(end, "number", signal.SIGINT) != signal.SIGINT:
                raise
