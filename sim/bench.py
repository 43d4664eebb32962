"""Steady state of a stream of equally shaped heads: cycles, and how busy the INT8 lanes are."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..spec.command import head_command
from ..spec.config import AttentionConfig
from ..spec.errors import ConfigError
from .attention import AttentionSimulator, Head, HeadRun

__all__ = ["LEAST_HEADS", "SteadyState", "measure", "random_heads"]

SKIPPED_FIRST, SKIPPED_LAST = 2, 1
"""Heads at the ends of a run that are not counted: the pipeline fills, and drains."""
LEAST_HEADS = SKIPPED_FIRST + SKIPPED_LAST + 1

SCORE_SIGMA = 2.0
"""Standard deviation of the random heads' logits, in nats: that of trained models."""


@dataclass(frozen=True, kw_only=True)
class SteadyState:
    """What one run measured.

    Attributes
    ----------
    cycles_per_head : float
        Mean distance of the last output beats of neighbouring heads.
    kept_blocks : float
        Per counted head.
    ideal_cycles : float
        Useful MACs per head over the lanes.
    utilisation : float
        Useful INT8 MACs / (lanes · cycles): scores and P·V of the kept positions.
    simulated_cycles : int
        Of the whole run.
    seconds : float
        Wall time of the whole run.
    runs : sequence of HeadRun
        Results of all heads.
    """

    cycles_per_head: float
    kept_blocks: float
    ideal_cycles: float
    utilisation: float
    simulated_cycles: int
    seconds: float
    runs: Sequence[HeadRun]

    @property
    def overhead_cycles(self) -> float:
        """Cycles per head beyond the ideal."""
        return self.cycles_per_head - self.ideal_cycles


def random_heads(
    config: AttentionConfig, *, length: int, head_dim: int, heads: int, seed: int, rho: float = -1.0
) -> list[Head]:
    """Heads of random INT8 data, whose logits spread like those of trained models.

    Raises
    ------
    ConfigError
        There are too few heads, or they do not fit the hardware.
    """
    if heads < LEAST_HEADS:
        raise ConfigError("heads", heads, f"must be at least {LEAST_HEADS} for a steady state")
    if not 1 <= length <= config.max_length:
        raise ConfigError("length", length, f"must be from 1 to {config.max_length} on this hardware")
    if not 1 <= head_dim <= config.max_head_dim:
        raise ConfigError("head_dim", head_dim, f"must be from 1 to {config.max_head_dim} on this hardware")
    rng = np.random.default_rng(seed)
    variance = (2 * 128) ** 2 / 12  # of one uniform INT8 value
    command = head_command(
        config,
        query_length=length,
        key_length=length,
        head_dim=head_dim,
        score_scale=SCORE_SIGMA / (variance * head_dim**0.5),
        output_scale=1.0,
        rho=rho,
    )
    shape = (3, length, head_dim)
    return [(command, *rng.integers(-128, 128, shape, dtype=np.int8)) for _ in range(heads)]


def measure(simulator: AttentionSimulator, heads: Sequence[Head], kept_positions: Sequence[int]) -> SteadyState:
    """Run heads back to back and look at the middle of the stream.

    Parameters
    ----------
    kept_positions : sequence of int
        Positions of the attention matrix, per head, whose scores are computed.
    """
    config = simulator.config
    start = time.perf_counter()
    before = simulator.cycle
    runs = simulator.run(heads)
    seconds = time.perf_counter() - start
    counted = slice(SKIPPED_FIRST, len(heads) - SKIPPED_LAST)
    finished = [run.finished for run in runs]
    cycles = (finished[counted.stop - 1] - finished[counted.start - 1]) / (counted.stop - counted.start)
    macs = [2 * positions * head[0].head_dim for positions, head in zip(kept_positions, heads, strict=True)]
    ideal = float(np.mean(macs[counted])) / config.multipliers
    return SteadyState(
        cycles_per_head=cycles,
        kept_blocks=float(np.mean([run.statistics.kept_blocks for run in runs[counted]])),
        ideal_cycles=ideal,
        utilisation=ideal / cycles,
        simulated_cycles=simulator.cycle - before,
        seconds=seconds,
        runs=runs,
    )
