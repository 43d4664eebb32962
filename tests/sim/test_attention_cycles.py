"""The cycle model of attention heads against `tiny` on emitted Verilog."""

from dataclasses import replace

import numpy as np
import pytest
from thresher.sim.attention import AttentionSimulator, Head, HeadRun
from thresher.spec import head_command, preset
from thresher.spec.attention_cycles import HeadWork
from thresher.spec.formats import RHO_FRACTION

TINY = preset("tiny")
SEED = 20
HEADS, SKIPPED = 9, 2
SHAPES = ((16, 16, 8), (16, 16, 2), (16, 9, 4), (7, 16, 8), (8, 8, 5), (5, 3, 7), (1, 1, 1))


@pytest.fixture(scope="module")
def simulator():
    with AttentionSimulator(TINY) as simulator:
        yield simulator


def head(shape: tuple[int, int, int], rho: float, pruned: bool) -> Head:
    queries, keys, head_dim = shape
    rng = np.random.default_rng(SEED)
    command = head_command(
        TINY, query_length=queries, key_length=keys, head_dim=head_dim, score_scale=1e-4, output_scale=1.0
    )
    command = replace(command, rho=round(rho * (1 << RHO_FRACTION)))
    if pruned:
        command = replace(command, head_threshold=(1 << TINY.head_sum_bits) - 1)
    shapes = (queries, head_dim), (keys, head_dim), (keys, head_dim)
    q, k, v = (rng.integers(-128, 128, shape, dtype=np.int8) for shape in shapes)
    return command, q, k, v


def model(work: Head, run: HeadRun) -> HeadWork:
    command = work[0]
    return HeadWork(
        config=TINY,
        query_length=command.query_length,
        key_length=command.key_length,
        head_dim=command.head_dim,
        kept_blocks=run.statistics.kept_blocks,
        pruned=run.statistics.pruned,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rho", [-1, 0, 0.5, 0.9, "pruned"])
def test_heads_of_one_shape(simulator, shape, rho):
    one = head(shape, -1 if rho == "pruned" else rho, rho == "pruned")
    simulator.reset()
    (alone,) = simulator.run([one])
    expected = model(one, alone)
    assert expected.alone == pytest.approx(alone.statistics.cycles, rel=0.05), f"seed {SEED}"
    simulator.reset()
    runs = simulator.run([one] * HEADS)
    # An even number of heads: two slots take turns, at unlike distances.
    pace = (runs[-2].finished - runs[SKIPPED - 1].finished) / (HEADS - 1 - SKIPPED)
    assert expected.cycles == pytest.approx(pace, rel=0.06), f"seed {SEED}: {expected.stages}"


@pytest.mark.parametrize("shape", SHAPES[:4], ids=str)
def test_heads_of_unlike_sparsity(simulator, shape):
    """A stream takes the sum of its heads, and what the first takes longer because none goes before it."""
    rng = np.random.default_rng(SEED)
    work = [head(shape, rho, bool(rng.random() < 0.1)) for rho in rng.uniform(-1, 0.9, 40)]
    simulator.reset()
    runs = simulator.run(work)
    expected = [model(one, run) for one, run in zip(work, runs, strict=True)]
    total = sum(each.cycles for each in expected) + expected[0].alone - expected[0].cycles
    assert total == pytest.approx(runs[-1].finished - runs[0].accepted, rel=0.08), f"seed {SEED}"
