"""Steady state of a stream of equally shaped heads: cycles, and how busy the INT8 lanes are."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cost.attention_cycles import HeadWork
from ..sim.attention import AttentionSimulator, HeadRun
from ..sim.build import Progress
from ..spec.attention_command import head_command
from ..spec.attention_config import AttentionConfig
from ..spec.errors import ConfigError
from ..spec.formats import RHO_FRACTION, ceil_div
from ..spec.heads import Head, HeadStatistics

__all__ = ["LEAST_HEADS", "AttentionBench", "Expected", "SteadyState", "bench_attention", "measure", "random_heads"]

SKIPPED_FIRST, SKIPPED_LAST = 2, 1
"""Heads at the ends of a run that are not counted: the pipeline fills, and drains."""
PERIOD = 2
"""Where the core's two operand slots bind, heads follow each other at unlike distances: only pairs show the pace."""
LEAST_HEADS = SKIPPED_FIRST + PERIOD + SKIPPED_LAST
MOST_HEADS = 1000

DENSE = -(1 << RHO_FRACTION)

SCORE_SIGMA = 2.0
"""Standard deviation of the random heads' logits, in nats: that of trained models."""


@dataclass(frozen=True, kw_only=True)
class SteadyState:
    """What one run measured.

    Attributes
    ----------
    cycles_per_head : float
        Mean distance of the last output beats of neighbouring heads.
    estimate : float
        The same by :class:`~thresher.cost.attention_cycles.HeadWork`, from the mean number of kept blocks.
    kept_blocks : float
        Per counted head.
    ideal_cycles : float
        Useful MACs per head over the lanes.
    bit_exact : bool
        Outputs and statistics of all heads are golden's.
    simulated_cycles : int
        Of the whole run.
    seconds : float
        Wall time of the whole run.
    """

    cycles_per_head: float
    estimate: float
    kept_blocks: float
    ideal_cycles: float
    bit_exact: bool
    simulated_cycles: int
    seconds: float

    @property
    def utilisation(self) -> float:
        """Useful INT8 MACs, scores and P·V of the kept positions, over lanes times cycles."""
        return self.ideal_cycles / self.cycles_per_head

    @property
    def overhead_cycles(self) -> float:
        """Cycles per head beyond the ideal."""
        return self.cycles_per_head - self.ideal_cycles

    @property
    def error(self) -> float:
        """Relative, of the estimate."""
        return self.estimate / self.cycles_per_head - 1


def random_heads(config: AttentionConfig, *, length: int, head_dim: int, heads: int, seed: int) -> list[Head]:
    """Heads of random INT8 data, whose logits spread like those of trained models, with pruning off.

    Raises
    ------
    ConfigError
        There are too few heads or too many, or they do not fit the hardware.
    """
    if not LEAST_HEADS <= heads <= MOST_HEADS:
        raise ConfigError("heads", heads, f"must be from {LEAST_HEADS}, for a steady state, to {MOST_HEADS}")
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
    )
    shape = (3, length, head_dim)
    return [(command, *rng.integers(-128, 128, shape, dtype=np.int8)) for _ in range(heads)]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the golden model says about a head.

    Attributes
    ----------
    output : (length, d) int8
    statistics : HeadStatistics
    kept_positions : int
        Positions of the attention matrix whose scores are computed.
    """

    output: NDArray[np.int8]
    statistics: HeadStatistics
    kept_positions: int

    def equals(self, run: HeadRun) -> bool:
        """Whether hardware answered the same."""
        return run.statistics == self.statistics and run.output is not None and np.array_equal(run.output, self.output)


def measure(simulator: AttentionSimulator, heads: Sequence[Head], expected: Sequence[Expected]) -> SteadyState:
    """Run equally shaped heads back to back and look at the middle of the stream."""
    start, before = time.perf_counter(), simulator.cycle
    runs = simulator.run(heads)
    seconds = time.perf_counter() - start
    last = len(heads) - SKIPPED_LAST
    first = last - (last - SKIPPED_FIRST) // PERIOD * PERIOD
    cycles = (runs[last - 1].finished - runs[first - 1].finished) / (last - first)
    macs = [2 * told.kept_positions * head[0].head_dim for told, head in zip(expected, heads, strict=True)]
    kept_blocks = float(np.mean([run.statistics.kept_blocks for run in runs[first:last]]))
    shape = heads[0][0]
    estimated = HeadWork(
        config=simulator.config,
        query_length=shape.query_length,
        key_length=shape.key_length,
        head_dim=shape.head_dim,
        kept_blocks=kept_blocks,
    )
    return SteadyState(
        cycles_per_head=cycles,
        estimate=estimated.cycles,
        ideal_cycles=float(np.mean(macs[first:last])) / simulator.config.multipliers,
        kept_blocks=kept_blocks,
        bit_exact=all(told.equals(run) for told, run in zip(expected, runs, strict=True)),
        simulated_cycles=simulator.cycle - before,
        seconds=seconds,
    )


@dataclass(frozen=True, kw_only=True)
class AttentionBench:
    """Random heads of one shape, pruned and dense, on the same hardware."""

    length: int
    head_dim: int
    heads: int
    rho: float
    blocks: int
    lanes: int
    pruned: SteadyState
    dense: SteadyState

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and numbers, for JSON."""
        pruned, dense = self.pruned, self.dense
        return {
            "length": self.length,
            "head_dim": self.head_dim,
            "heads": self.heads,
            "rho": self.rho,
            "sparsity": 1 - pruned.kept_blocks / self.blocks,
            "blocks": self.blocks,
            "kept_blocks": pruned.kept_blocks,
            "lanes": self.lanes,
            "cycles_per_head": pruned.cycles_per_head,
            "estimate": pruned.estimate,
            "error": pruned.error,
            "dense_cycles_per_head": dense.cycles_per_head,
            "dense_estimate": dense.estimate,
            "dense_error": dense.error,
            "speedup": dense.cycles_per_head / pruned.cycles_per_head,
            "utilisation": pruned.utilisation,
            "dense_utilisation": dense.utilisation,
            "overhead_cycles": pruned.overhead_cycles,
            "dense_overhead_cycles": dense.overhead_cycles,
            "bit_exact": pruned.bit_exact and dense.bit_exact,
            "simulated_cycles": pruned.simulated_cycles + dense.simulated_cycles,
            "simulated_cycles_per_second": round(
                (pruned.simulated_cycles + dense.simulated_cycles) / (pruned.seconds + dense.seconds)
            ),
        }


def bench_attention(
    simulator: AttentionSimulator,
    heads: Sequence[Head],
    *,
    rho: int,
    reference: Callable[[Head], Expected],
    on_progress: Progress,
) -> AttentionBench:
    """Steady state of heads of one shape, pruned and with pruning off.

    Parameters
    ----------
    heads : sequence of Head
        See :func:`random_heads`; their ρ is replaced.
    rho : int
        ρ·2^8 of the pruned run.
    reference : function
        From a head to what golden says about it. It comes from outside because this room knows no golden model.
    """
    config, shape = simulator.config, heads[0][0]
    states = {}
    for name, value in (("pruned", rho), ("dense", DENSE)):
        work = [(replace(command, rho=value), q, k, v) for command, q, k, v in heads]
        expected = [reference(head) for head in work]
        on_progress(f"running {len(work)} {name} heads")
        states[name] = measure(simulator, work, expected)
    return AttentionBench(
        length=shape.query_length,
        head_dim=shape.head_dim,
        heads=len(heads),
        rho=rho / (1 << RHO_FRACTION),
        blocks=ceil_div(shape.query_length, config.block) * ceil_div(shape.key_length, config.block),
        lanes=config.multipliers,
        **states,
    )
