"""The cycle model of attention heads against emitted Verilog: small shapes and larger ones, plain cores and compact."""

from dataclasses import replace

import numpy as np
import pytest
from thresher.cost.attention_cycles import HeadWork
from thresher.cost.compact_cycles import SCORE_SPREAD
from thresher.cost.plain_cycles import PlainStream
from thresher.golden import attention_head
from thresher.sim.attention import AttentionSimulator, HeadRun
from thresher.spec import AttentionConfig, Fill, Head, Importance, Normalise, Score, head_command, preset
from thresher.spec.formats import RHO_FRACTION, ceil_div

SEED = 20
HEADS, SKIPPED = 9, 2
CONFIGS = {
    "small": AttentionConfig(max_length=16, max_head_dim=8, lanes=2, predictor_lanes=4),
    "wide": AttentionConfig(
        max_length=64, max_head_dim=32, lanes=8, predictor_lanes=16, predictor_blocks=2, output_lanes=2
    ),
    "early": AttentionConfig(
        max_length=64,
        max_head_dim=32,
        lanes=8,
        predictor_lanes=16,
        output_lanes=4,
        fill=Fill.SKIP,
        normalise=Normalise.EARLY,
        score=Score.APPROX,
    ),
    "blocks of 4": AttentionConfig(
        max_length=64,
        max_head_dim=64,
        lanes=16,
        predictor_lanes=32,
        output_lanes=8,
        block=4,
        importance=Importance.ABS_SUM,
    ),
    "tiny": preset("tiny"),
    "compact": AttentionConfig(
        max_length=48, max_head_dim=24, lanes=4, predictor_lanes=8, predictor_blocks=2, output_lanes=1, compact=True
    ),
}
CYCLES = 14
"""What an estimate may be off however short the head, where it is not exact."""


@pytest.fixture(scope="module", params=CONFIGS)
def simulator(request):
    with AttentionSimulator(CONFIGS[request.param]) as simulator:
        yield simulator


def shape_of(config: AttentionConfig, case: int) -> tuple[int, int, int]:
    """Queries, keys, d: the first few are corners."""
    length, head_dim = config.max_length, config.max_head_dim
    corners = ((length, length, head_dim), (length, length // 2, config.lanes), (1, 1, 1), (3, length, head_dim))
    if case < len(corners):
        return corners[case]
    rng = np.random.default_rng(SEED + case)
    queries, keys = (int(each) for each in rng.integers(1, length + 1, 2))
    return queries, keys, int(rng.integers(1, head_dim + 1))


def head(config: AttentionConfig, shape: tuple[int, int, int], rho: float, pruned: bool, seed: int = SEED) -> Head:
    queries, keys, head_dim = shape
    rng = np.random.default_rng(seed)
    # Products of uniform INT8 values vary by ±5461: scores by as many nats as those of the bench.
    scale = SCORE_SPREAD / (5461 * head_dim**0.5)
    command = head_command(
        config, query_length=queries, key_length=keys, head_dim=head_dim, score_scale=scale, output_scale=1.0
    )
    command = replace(command, rho=round(rho * (1 << RHO_FRACTION)))
    if pruned:
        command = replace(command, head_threshold=(1 << config.head_sum_bits) - 1)
    shapes = (queries, head_dim), (keys, head_dim), (keys, head_dim)
    q, k, v = (rng.integers(-128, 128, shape, dtype=np.int8) for shape in shapes)
    return command, q, k, v


def rows_of(config: AttentionConfig, work: Head) -> tuple[int, ...]:
    """Kept blocks of each block row of a head that is not pruned."""
    trace = attention_head(config, *work).trace
    assert trace is not None
    return tuple(int(kept) for kept in trace.selection.mask.sum(axis=1))


def model(config: AttentionConfig, work: Head, run: HeadRun, row_blocks: tuple[int, ...] = ()) -> HeadWork:
    command = work[0]
    return HeadWork(
        config=config,
        query_length=command.query_length,
        key_length=command.key_length,
        head_dim=command.head_dim,
        kept_blocks=run.statistics.kept_blocks,
        pruned=run.statistics.pruned,
        row_blocks=row_blocks,
    )


@pytest.mark.parametrize("case", range(12))
@pytest.mark.parametrize("rho", [-1, 0, 0.5, 0.9, "pruned"])
def test_heads_of_one_shape(simulator, case, rho):
    """Plain cores to the cycle, each head of a stream, if the rows' kept blocks are known."""
    config, shape = simulator.config, shape_of(simulator.config, case)
    one = head(config, shape, -1 if rho == "pruned" else rho, rho == "pruned")
    simulator.reset()
    (alone,) = simulator.run([one])
    rows = () if alone.statistics.pruned else rows_of(config, one)
    expected = model(config, one, alone, rows)
    simulator.reset()
    runs = simulator.run([one] * HEADS)
    latency = alone.finished - alone.accepted
    if config.compact or config.normalise is Normalise.EARLY:
        # An even number of heads: two slots take turns, at unlike distances.
        pace = (runs[-2].finished - runs[SKIPPED - 1].finished) / (HEADS - 1 - SKIPPED)
        # How far denominators must be shifted is in one head's data.
        rel = 0.015 if config.compact else 0.01
        assert expected.alone == pytest.approx(latency, rel=rel, abs=CYCLES), f"seed {SEED} {shape}"
        assert expected.cycles == pytest.approx(pace, rel=rel, abs=CYCLES), f"seed {SEED} {shape}: {expected.stages}"
        return
    finished = PlainStream(config, *shape, rows).follow(HEADS)
    # Words of the mask that are empty take a cycle each; of one word there are none.
    words = ceil_div(shape[1], 16 * config.block) - 1
    assert expected.alone == pytest.approx(latency, abs=2 * words), f"seed {SEED} {shape}"
    assert finished == pytest.approx([run.finished - runs[0].accepted for run in runs], abs=2 * words * HEADS), (
        f"seed {SEED} {shape}"
    )


@pytest.mark.parametrize("case", [0, 5, 6, 9, 11])
def test_the_pace_of_a_long_stream(simulator, case):
    """Two slots take turns, and may do so at distances that drift for a while."""
    config, shape = simulator.config, shape_of(simulator.config, case)
    one = head(config, shape, 0.5, False)
    simulator.reset()
    runs = simulator.run([one] * 32)
    pace = (runs[-2].finished - runs[-14].finished) / 12
    rel, cycles = (0.015, CYCLES) if config.compact else (0.01, 0.5)
    expected = model(config, one, runs[0], rows_of(config, one))
    assert expected.cycles == pytest.approx(pace, rel=rel, abs=cycles), f"seed {SEED} {shape}"


@pytest.mark.parametrize("dense", [8, 32, 58])
def test_rows_of_unlike_lengths(simulator, dense):
    """Queries of zeros, as of padding, keep all blocks, and fill the softmax's queues before or behind others."""
    config = simulator.config
    length = config.max_length
    command, q, k, v = head(config, (length, length, config.max_head_dim), 0.9, False)
    one = command, np.where(np.arange(length)[:, None] < dense % length, 0, q), k, v
    simulator.reset()
    (alone,) = simulator.run([one])
    simulator.reset()
    runs = simulator.run([one] * HEADS)
    expected = model(config, one, alone, rows_of(config, one))
    # Where all scores are alike, denominators of compact cores are shifted by fewer places than are taken.
    rel = 0.15 if config.compact else 0.01
    assert expected.alone == pytest.approx(alone.finished - alone.accepted, rel=rel)
    pace = (runs[-2].finished - runs[SKIPPED - 1].finished) / (HEADS - 1 - SKIPPED)
    assert expected.cycles == pytest.approx(pace, rel=rel)


@pytest.mark.parametrize("case", [0, 1, 3, 5])
@pytest.mark.parametrize("rho", [0, 0.5])
def test_rows_by_chance(simulator, case, rho):
    """Of heads of unlike data the mean, from no more than the mean of their kept blocks."""
    shape, config = shape_of(simulator.config, case), simulator.config
    heads = [head(config, shape, rho, False, seed) for seed in range(HEADS)]
    alone = []
    for one in heads:
        simulator.reset()
        alone += [run.statistics for run in simulator.run([one])]
    queries, keys, head_dim = shape
    expected = HeadWork(
        config=config,
        query_length=queries,
        key_length=keys,
        head_dim=head_dim,
        kept_blocks=float(np.mean([run.kept_blocks for run in alone])),
    )
    rel = 0.01 if config.compact else 0.025
    assert expected.alone == pytest.approx(np.mean([run.cycles for run in alone]), rel=rel, abs=5), shape
    if config.compact:
        simulator.reset()
        runs = simulator.run(heads * 3)
        pace = (runs[-2].finished - runs[HEADS - SKIPPED].finished) / (2 * HEADS)
        assert expected.cycles == pytest.approx(pace, rel=0.015, abs=CYCLES), shape


@pytest.mark.parametrize("case", range(8))
def test_heads_of_unlike_sparsity(simulator, case):
    """A stream takes the sum of its heads, and what the first takes longer because none goes before it."""
    rng = np.random.default_rng(SEED)
    shape = shape_of(simulator.config, case)
    config = simulator.config
    work = [head(config, shape, rho, bool(rng.random() < 0.1), i) for i, rho in enumerate(rng.uniform(-1, 0.9, 40))]
    simulator.reset()
    runs = simulator.run(work)
    expected = [model(config, one, run) for one, run in zip(work, runs, strict=True)]
    total = sum(each.cycles for each in expected) + expected[0].alone - expected[0].cycles
    assert total == pytest.approx(runs[-1].finished - runs[0].accepted, rel=0.07), f"seed {SEED} {shape}"
