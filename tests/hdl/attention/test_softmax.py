"""The softmax unit, pipelined and compact, compared with the golden model, and its cycles per block row."""

import dataclasses

import numpy as np
import pytest
from thresher.hdl.attention.softmax.pipelined import ROWS_AHEAD
from thresher.sim.testbench import run_streams
from thresher.spec import Fill, Normalise, preset

from ..configs import both_kinds, compact, tiny
from .softmax_bench import SCORE_LATENCY, GatedSoftmax, random_row


def run(config, rows, *, seed, stall, in_order=False, dut=None):
    """Run block rows and compare every output; returns the transcript."""
    golden = [row.golden(config) for row in rows]
    weights = [value for emitted, _ in golden for value in emitted]
    results = [value for _, statistics in golden for value in statistics]
    inputs = {
        "i_row": [row.announcement() for row in rows],
        "i_scores": [block for row in rows for block in row.blocks()],
    }
    counts = {"o_weights": len(weights), "o_rows": len(results)}
    dut = dut or GatedSoftmax(config, in_order=in_order)
    result = run_streams(dut, inputs, counts, seed=seed, stall=stall)
    for index, (got, expected) in enumerate(zip(result.values["o_weights"], weights, strict=True)):
        assert got == expected, f"seed {seed}, weights {index}"
    for index, (got, expected) in enumerate(zip(result.values["o_rows"], results, strict=True)):
        assert got == expected, f"seed {seed}, row {index}"
    return result


SETTINGS = [
    # weight bits, reciprocal segments, block, stall
    (12, 32, 2, 0.0),
    (12, 32, 2, 0.4),
    (8, 1, 4, 0.3),
    (15, 64, 2, 0.7),
]
RUNS = {
    f"{kind}-{normalise}-{setting}": (config, setting)
    for normalise_index, normalise in enumerate(Normalise)
    for setting in range(len(SETTINGS))
    for kind, config in both_kinds(
        {"core": tiny(normalise=normalise, fill=list(Fill)[(setting + normalise_index) % len(Fill)])}
    ).items()
}
RUNS |= {
    f"{kind}-causal-{normalise}-{fill}": (config, fill_index)
    for normalise in Normalise
    for fill_index, fill in enumerate(Fill)
    for kind, config in both_kinds({"core": tiny(causal=True, normalise=normalise, fill=fill)}).items()
}
"""Every setting with both kinds of cores and both times of normalisation; the fills take turns."""


@pytest.mark.parametrize("name", RUNS)
def test_random_rows_match_golden(name):
    config, setting = RUNS[name]
    weight_bits, segments, block, stall = SETTINGS[setting]
    config = dataclasses.replace(config, weight_bits=weight_bits, reciprocal_segments=segments, block=block)
    seed = weight_bits + int(10 * stall)
    rng = np.random.default_rng(seed)
    rows = [random_row(config, rng) for _ in range(8)]
    rows += [random_row(config, rng, n=1, chunks=1) for _ in range(4)]
    rows += [random_row(config, rng, n=config.blocks) for _ in range(2)]
    run(config, rows, seed=seed, stall=stall, in_order=stall == 0.4 and not config.compact)


@pytest.mark.slow
@pytest.mark.parametrize("normalise", list(Normalise))
@pytest.mark.parametrize(("stall", "in_order"), [(0.0, True), (0.9, False)])
def test_single_blocks_queue_behind_a_slow_consumer(normalise, stall, in_order):
    # More rows than any queue holds use up every credit.
    config = tiny(normalise=normalise, block=4)
    rng = np.random.default_rng(3)
    rows = [random_row(config, rng, n=1, chunks=1) for _ in range(3 * ROWS_AHEAD)]
    run(config, rows, seed=3, stall=stall, in_order=in_order)


@pytest.mark.parametrize("policy", ["thresher", "hdp"])
def test_full_rows_fill_the_ring(policy):
    config = preset("edge", policy=policy)
    rng = np.random.default_rng(6)
    rows = [random_row(config, rng, n=config.blocks) for _ in range(4)]
    run(config, rows, seed=6, stall=0.05)


@pytest.mark.parametrize("normalise", list(Normalise))
@pytest.mark.parametrize("kind", [lambda config: config, compact], ids=["pipelined", "compact"])
def test_weights_survive_long_stalls(normalise, kind):
    config = kind(tiny(normalise=normalise))
    rng = np.random.default_rng(5)
    rows = [random_row(config, rng, n=config.blocks, chunks=1) for _ in range(3)]
    run(config, rows, seed=5, stall=0.95, in_order=not config.compact)


def ends(result, rows):
    """The cycle of the last weights of each row."""
    taken = np.cumsum([len(row.scores) * row.chunks for row in rows]) - 1
    return np.array(result.cycles["o_weights"])[taken]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "chunks", "pruned", "fill"),
    [
        (1, 1, 0, Fill.BACKGROUND),
        (1, 1, 3, Fill.BACKGROUND),
        (2, 1, 3, Fill.ZERO),
        (3, 2, 3, Fill.BACKGROUND),
        (8, 1, 3, Fill.SKIP),
        (8, 1, 3, Fill.BACKGROUND),
        (8, 4, 0, Fill.ZERO),
        (8, 4, 3, Fill.ZERO),
    ],
)
def test_cycles_per_row_with_late_normalisation(n, chunks, pruned, fill):
    # The bench gives a block of scores per cycle, so the passes over the weights take the longest.
    config = tiny(max_length=24, fill=fill)
    rng = np.random.default_rng(1)
    row = dataclasses.replace(random_row(config, rng, n=n, chunks=chunks), pruned_keys=[pruned])
    rows = [row] * 14
    filled = pruned > 0 and fill is not Fill.SKIP
    periods = np.diff(ends(run(config, rows, seed=1, stall=0), rows))
    assert set(periods[4:-1]) == {max(chunks * n + filled, config.block)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "chunks", "pruned"),
    [(1, 1, 0), (1, 1, 3), (2, 1, 0), (3, 2, 3), (8, 1, 3), (8, 4, 0), (12, 1, 0), (12, 2, 3)],
)
def test_cycles_per_row_with_early_normalisation(n, chunks, pruned):
    config = tiny(max_length=24, normalise=Normalise.EARLY)
    rng = np.random.default_rng(1)
    row = dataclasses.replace(random_row(config, rng, n=n, chunks=chunks), pruned_keys=[pruned])
    rows = [row] * 28
    cycles = ends(run(config, rows, seed=1, stall=0), rows)
    # A row may wait up to six cycles for reciprocals: the ring holds few long rows, the queues few short ones.
    assert (cycles[24] - cycles[8]) / 16 <= (1 + chunks) * n + (pruned > 0) + 6, f"periods {np.diff(cycles)}"


def test_latency_with_late_normalisation():
    config = tiny()
    rng = np.random.default_rng(2)
    row = dataclasses.replace(random_row(config, rng, n=3), pruned_keys=[0])
    dut = GatedSoftmax(config)
    result = run(config, [row], seed=2, stall=0, dut=dut)
    first, last_scores = result.cycles["o_weights"][0], result.cycles["i_scores"][-1]
    assert first - last_scores == SCORE_LATENCY + dut.softmax.latency
    taken = result.cycles["o_weights"]
    assert taken == list(range(taken[0], taken[0] + 3 * row.chunks))
    assert result.cycles["o_rows"][0] - taken[2] == dut.softmax.row_latency
