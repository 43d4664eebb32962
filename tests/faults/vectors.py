"""Faults of a vector unit and its commands."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from thresher.sim.vector import PASSES, VectorBatch, VectorJob, VectorSimulator
from thresher.spec import VectorCommand, VectorError, vector_preset
from thresher.spec.formats import ceil_div
from thresher.spec.vector_command import vector_command_widths

from ..hdl.vector.norms import check_norms, norm_job
from .stands import Stand, fits
from .unit_rows import rows_of

CONFIG = vector_preset("tiny")


def with_operands(sent: VectorJob, command: VectorCommand) -> Any:
    same = (command.channels, command.tokens) == sent.x.shape
    parameters = replace(sent.parameters, shift=command.shift, epsilon=command.epsilon)  # type: ignore[type-var]
    return VectorJob(parameters=parameters, x=sent.x, y=sent.y) if same else None


def job(command: VectorCommand, rng: np.random.Generator) -> VectorJob | VectorCommand:
    if command.rejection(CONFIG) is not VectorError.NONE or not fits(command, vector_command_widths(CONFIG)):
        return command
    return norm_job(rng, command.channels, command.tokens, shift=command.shift, epsilon=command.epsilon)


def expected(command: VectorCommand, _: Any) -> dict[str, int]:
    tokens = PASSES * command.channels * ceil_div(command.tokens, CONFIG.lanes)
    return {"i_parameters": command.channels, "i_x": tokens, "i_y": tokens}


@cache
def stand() -> Stand:
    """A unit with two LayerNorms."""
    base = VectorCommand(channels=9, tokens=5, shift=8, epsilon=1000)
    return Stand(
        codes=VectorError,
        widths=vector_command_widths(CONFIG),
        limits={"channels": CONFIG.max_channels, "tokens": CONFIG.max_tokens},
        make=lambda: VectorSimulator(CONFIG),
        batch=lambda jobs: VectorBatch(CONFIG, jobs),
        job=job,
        rejection=lambda command: command.rejection(CONFIG),
        expected=expected,
        with_operands=with_operands,
        check=lambda jobs, runs, seed: check_norms(CONFIG, jobs, runs, seed),
        bases=[base, replace(base, channels=14, tokens=2)],
    )


FAULTS = rows_of("vector command", stand)
