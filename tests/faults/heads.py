"""Faults of an attention core and its heads."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from thresher.sim.attention import AttentionSimulator, HeadBatch
from thresher.spec import AttentionConfig, CommandError, HeadCommand, preset
from thresher.spec.attention_command import command_widths
from thresher.spec.formats import ceil_div

from ..hdl.configs import tiny
from ..heads import check_heads
from ..operands import int8
from .stands import Stand
from .unit_rows import rows_of

NOTHING = np.zeros((0, 0), np.int8)


def with_operands(sent: Any, command: HeadCommand) -> Any:
    before, q, k, v = sent
    sizes = ("query_length", "key_length", "head_dim")
    return (command, q, k, v) if all(getattr(before, name) == getattr(command, name) for name in sizes) else None


def stand(config: AttentionConfig) -> Stand:
    """A core with a head of several blocks that keeps some of them, and one that keeps all."""
    base = HeadCommand(
        query_length=5,
        key_length=7,
        head_dim=6,
        rho=77,
        head_threshold=1,
        score_multiplier=900,
        score_shift=2,
        output_multiplier=45_000,
        output_shift=15,
        causal=0,
    )

    def job(command: HeadCommand, rng: np.random.Generator):
        if command.rejection(config) is not CommandError.NONE:
            return command, NOTHING, NOTHING, NOTHING
        sizes = command.query_length, command.key_length, command.key_length
        return command, *(int8(rng, size, command.head_dim) for size in sizes)

    def expected(command: HeadCommand, _: Any) -> dict[str, int]:
        vectors = command.query_length + 2 * command.key_length
        return {"i_data": vectors * ceil_div(command.head_dim, config.lanes)}

    return Stand(
        codes=CommandError,
        widths={name: width for name, width in command_widths(config).items() if width[0]},
        limits={
            "query_length": config.max_length,
            "key_length": config.max_length,
            "head_dim": config.max_head_dim,
        },
        make=lambda: AttentionSimulator(config),
        batch=lambda jobs: HeadBatch(config, jobs),
        job=job,
        rejection=lambda command: command.rejection(config),
        expected=expected,
        with_operands=with_operands,
        check=lambda jobs, runs, seed: check_heads(config, jobs, runs, seed),
        bases=[base, replace(base, query_length=8, key_length=4, head_dim=3, rho=-256, head_threshold=0)],
    )


CORES = {
    "head, pipelined core": cache(lambda: stand(tiny())),
    "head, compact core": cache(lambda: stand(preset("tiny"))),
    "causal head, pipelined core": cache(lambda: stand(tiny(causal=True))),
}

FAULTS = [row for name, core in CORES.items() for row in rows_of(name, core)]
