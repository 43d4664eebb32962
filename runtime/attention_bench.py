"""Bench of the attention core: cycles per head and utilisation in a stream of equally shaped heads."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..cost.attention import HeadWork
from ..golden.attention.core import HeadResult, attention_head
from ..golden.attention.predictor import predict
from ..golden.attention.selection import kept_blocks
from ..golden.attention.visible import visible_blocks, visible_positions
from ..sim.attention import AttentionSimulator
from ..spec.attention_command import HeadCommand, head_command
from ..spec.attention_config import AttentionConfig, BlockRule
from ..spec.errors import ConfigError
from ..spec.formats import RHO_FRACTION, ceil_div
from ..spec.heads import Head
from .compare import same_head
from .steps import Steps

__all__ = ["AttentionBench", "SteadyState", "bench_attention", "find_rho", "random_heads"]

SKIPPED_FIRST, SKIPPED_LAST = 2, 1
"""Heads at the ends of a run that are not counted, because the pipeline fills and drains."""
PERIOD = 2
"""Heads finish at alternating distances where the core's two operand slots limit the pace, so pairs are counted."""
LEAST_HEADS = SKIPPED_FIRST + PERIOD + SKIPPED_LAST
MOST_HEADS = 1000

DENSE = -(1 << RHO_FRACTION)

SCORE_SIGMA = 2.0
"""Standard deviation of the random heads' logits in nats, as in trained models."""


@dataclass(frozen=True, kw_only=True)
class SteadyState:
    """Figures of one run.

    Attributes
    ----------
    cycles_per_head : float
        Mean distance of the last output beats of neighbouring heads.
    estimate : float
        The same by :class:`~thresher.cost.attention.HeadWork`, from the mean number of kept blocks.
    kept_blocks : float
        Mean over the counted heads.
    ideal_cycles : float
        Useful MACs per head over the multipliers.
    bit_exact : bool
        Whether outputs and statistics of all heads are those of the golden model.
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
        """Useful INT8 MACs (scores and P·V of the kept positions) over multipliers times cycles."""
        return self.ideal_cycles / self.cycles_per_head

    @property
    def overhead_cycles(self) -> float:
        """Cycles per head beyond the ideal."""
        return self.cycles_per_head - self.ideal_cycles

    @property
    def error(self) -> float:
        """Relative error of the estimate."""
        return self.estimate / self.cycles_per_head - 1


COMPARED = ("cycles_per_head", "estimate", "error", "utilisation", "overhead_cycles")
"""Figures that are given with and without pruning."""


@dataclass(frozen=True, kw_only=True)
class AttentionBench:
    """Random heads of one shape, with and without pruning, on the same hardware."""

    length: int
    head_dim: int
    heads: int
    rho: float
    blocks: int
    multipliers: int
    pruned: SteadyState
    dense: SteadyState

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON. Figures of the unpruned run begin with ``dense_``."""
        pruned, dense = self.pruned, self.dense
        simulated = pruned.simulated_cycles + dense.simulated_cycles
        return {
            "length": self.length,
            "head_dim": self.head_dim,
            "heads": self.heads,
            "rho": self.rho,
            "sparsity": 1 - pruned.kept_blocks / self.blocks,
            "blocks": self.blocks,
            "kept_blocks": pruned.kept_blocks,
            "multipliers": self.multipliers,
            **{name: getattr(pruned, name) for name in COMPARED},
            **{f"dense_{name}": getattr(dense, name) for name in COMPARED},
            "speedup": dense.cycles_per_head / pruned.cycles_per_head,
            "bit_exact": pruned.bit_exact and dense.bit_exact,
            "simulated_cycles": simulated,
            "simulated_cycles_per_second": round(simulated / (pruned.seconds + dense.seconds)),
        }


def random_heads(
    config: AttentionConfig, *, length: int, head_dim: int, heads: int, seed: int, causal: bool = False
) -> list[Head]:
    """Unpruned heads of random INT8 data whose logits spread as in trained models.

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
        causal=causal,
    )
    shape = (3, length, head_dim)
    return [(command, *rng.integers(-128, 128, shape, dtype=np.int8)) for _ in range(heads)]


def find_rho(config: AttentionConfig, heads: Sequence[Head], sparsity: float) -> int:
    """Find the ρ·2^8 whose share of pruned blocks in these heads is nearest to ``sparsity``.

    Raises
    ------
    ConfigError
        The sparsity is out of range. With the rule ``threshold``, each block row keeps its largest block.
    """
    blocks = int(visible_blocks(config, heads[0][0]).sum())
    if config.block_rule is BlockRule.THRESHOLD:
        rows = ceil_div(heads[0][0].query_length, config.block)
        most, why = 1 - rows / blocks, ": a block row keeps its largest block"
    else:
        most, why = 1.0, ""
    if not 0 <= sparsity <= most:
        raise ConfigError("sparsity", sparsity, f"must be from 0 to {most:g}{why}")
    predictions = [(predict(config, q.astype(np.int64), k.astype(np.int64)), command) for command, q, k, _ in heads]

    def pruned(rho: int) -> float:
        masks = (kept_blocks(config, ii, replace(command, rho=rho)) for ii, command in predictions)
        return 1 - float(np.mean([mask.sum() for mask in masks])) / blocks

    low, high = -(1 << RHO_FRACTION), (1 << RHO_FRACTION) - 1
    while high - low > 1:  # a larger ρ never keeps more
        middle = (low + high) // 2
        low, high = (low, middle) if pruned(middle) >= sparsity else (middle, high)
    return min((low, high), key=lambda rho: (abs(pruned(rho) - sparsity), rho))


def _measure(simulator: AttentionSimulator, heads: Sequence[Head]) -> SteadyState:
    """Run equally shaped heads back to back and measure the middle of the stream."""
    config = simulator.config
    expected = [attention_head(config, *head) for head in heads]
    start, before = time.perf_counter(), simulator.cycle
    runs = simulator.run(heads)
    seconds = time.perf_counter() - start
    last = len(heads) - SKIPPED_LAST
    first = last - (last - SKIPPED_FIRST) // PERIOD * PERIOD
    kept_blocks = float(np.mean([run.statistics.kept_blocks for run in runs[first:last]]))
    shape = heads[0][0]
    estimated = HeadWork(
        config=config,
        query_length=shape.query_length,
        key_length=shape.key_length,
        head_dim=shape.head_dim,
        kept_blocks=kept_blocks,
        causal=bool(shape.causal),
    )
    macs = [2 * shape.head_dim * _kept_positions(config, shape, result) for result in expected[first:last]]
    return SteadyState(
        cycles_per_head=(runs[last - 1].finished - runs[first - 1].finished) / (last - first),
        estimate=estimated.cycles,
        ideal_cycles=float(np.mean(macs)) / config.multipliers,
        kept_blocks=kept_blocks,
        bit_exact=all(
            same_head((run.output, run.statistics), (result.output, result.statistics))
            for run, result in zip(runs, expected, strict=True)
        ),
        simulated_cycles=simulator.cycle - before,
        seconds=seconds,
    )


def _kept_positions(config: AttentionConfig, command: HeadCommand, result: HeadResult) -> int:
    """Positions of a head's attention matrix whose scores are computed."""
    assert result.trace is not None  # these heads are neither rejected nor pruned
    seen = visible_positions(command)
    kept = result.trace.selection.mask.repeat(config.block, axis=0).repeat(config.block, axis=1)
    return int((kept[: seen.shape[0], : seen.shape[1]] & seen).sum())


def bench_attention(
    config: AttentionConfig,
    *,
    length: int,
    head_dim: int,
    sparsity: float,
    heads: int,
    seed: int,
    causal: bool = False,
    steps: Steps | None = None,
) -> AttentionBench:
    """Measure random heads at a block sparsity and without pruning, compared with the golden model.

    Blocks of a ``causal`` head are those in which a query sees a key.

    Raises
    ------
    ThresherError
        A setting is out of range (this is checked before anything is built), or a tool is missing.
    SimulationError
        The hardware misbehaved.
    """
    steps = steps or Steps()
    work = random_heads(config, length=length, head_dim=head_dim, heads=heads, seed=seed, causal=causal)
    rho = find_rho(config, work, sparsity)
    states = {}
    with AttentionSimulator(config, on_progress=steps.announce) as simulator:
        for name, value in (("pruned", rho), ("dense", DENSE)):
            steps.tell(f"running {heads} {name} heads")
            states[name] = _measure(simulator, [(replace(command, rho=value), q, k, v) for command, q, k, v in work])
    return AttentionBench(
        length=length,
        head_dim=head_dim,
        heads=heads,
        rho=rho / (1 << RHO_FRACTION),
        blocks=int(visible_blocks(config, work[0][0]).sum()),
        multipliers=config.multipliers,
        **states,
    )
