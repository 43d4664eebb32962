"""The whole SpMM engine, compared with the golden model.

The preset ``tiny`` runs under Verilator, other configurations in Amaranth's simulator.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thresher.golden.spmm.packing import pack
from thresher.sim.batch import simulate
from thresher.sim.spmm_job import SpmmBatch, spmm_design
from thresher.sim.verilator import VerilatorSimulator
from thresher.spec import Activation, SpmmCommand, SpmmConfig, SpmmError, WeightFormat, spmm_preset

from ...operands import int8
from ...products import Shape, check_products, random_job, random_jobs, random_weights, refused_commands
from ...strategies import spmm_configs

TINY = spmm_preset("tiny")
CONFIGS = {
    "tiny": TINY,
    "one_engine": SpmmConfig(rows=1, lanes=4, banks=2, drain_lanes=4, max_columns=9, result_rows=2),
    "four_engines": SpmmConfig(rows=4, lanes=4, banks=4, drain_lanes=4, max_columns=48, kept=1, group=2),
    "wide_groups": SpmmConfig(rows=2, lanes=8, banks=2, drain_lanes=8, max_columns=37, kept=3, group=8, result_rows=2),
    "no_banks": SpmmConfig(
        rows=2, lanes=2, drain_lanes=1, max_columns=33, formats=(WeightFormat.CSR, WeightFormat.DENSE)
    ),
    "single": SpmmConfig(
        rows=1, lanes=1, drain_lanes=1, max_columns=1, max_rows=5, max_tokens=3, formats=(WeightFormat.DENSE,)
    ),
}
WAYS = [
    (weight_format, spread)
    for weight_format in WeightFormat
    for spread in ((False, True) if weight_format is WeightFormat.BBS else (False,))
]


def run(config, jobs, *, seed, stall):
    """Run products back to back in Amaranth's simulator and compare every result."""
    runs = simulate(SpmmBatch(config, jobs), seed=seed, stall=stall)
    check_products(config, jobs, runs, seed)
    return runs


def run_tiny(jobs, *, seed, stall):
    """Run products back to back on the preset ``tiny`` under Verilator and compare every result."""
    batch = SpmmBatch(TINY, jobs)
    limit = batch.cycle_limit(stall)
    with VerilatorSimulator(spmm_design(TINY), stall=stall, seed=seed) as simulator:
        transfers = simulator.run(batch.inputs(), batch.counts(), max_cycles=limit)
    check_products(TINY, jobs, batch.runs(transfers.values, transfers.cycles), seed)


@pytest.mark.slow
@pytest.mark.parametrize("activation", Activation)
@pytest.mark.parametrize(("weight_format", "spread"), WAYS)
def test_formats_and_activations_match_golden(weight_format, spread, activation):
    """Sizes that just fill a pass and all row engines, one more of each, and one of each."""
    rng = np.random.default_rng(3)
    shapes = [
        Shape(rows=4, columns=16, tokens=4),
        Shape(rows=5, columns=17, tokens=5),
        Shape(rows=1, columns=1, tokens=1),
    ]
    jobs = [
        random_job(TINY, rng, weight_format=weight_format, spread=spread, activation=activation, shape=shape)
        for shape in shapes
    ]
    for stall in (0.0, 0.3):
        run_tiny(jobs, seed=3, stall=stall)


def test_few_products_match_golden():
    """A quick run of each format."""
    config = CONFIGS["one_engine"]
    rng = np.random.default_rng(4)
    shape = Shape(rows=3, columns=9, tokens=3)
    jobs = [
        random_job(config, rng, weight_format=item, spread=spread, activation=Activation.RELU, shape=shape)
        for item, spread in WAYS
    ]
    run(config, [*jobs, *refused_commands(config)[:2]], seed=4, stall=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "tiny"])
@pytest.mark.parametrize(("stall", "seed", "count"), [(0.0, 21, 7), (0.4, 22, 7)])
def test_products_of_every_kind_match_golden(name, stall, seed, count):
    """Formats, sizes, tables and refused commands at random."""
    config = CONFIGS[name]
    run(config, random_jobs(config, count=count, seed=seed), seed=seed, stall=stall)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "one_engine", "no_banks", "single"])
def test_rejected_commands_leave_no_trace(name):
    """Every reason to refuse, two in a row too, between accepted products."""
    config = CONFIGS[name]
    rng = np.random.default_rng(11)
    table = {"activation": Activation.TABLE, "shape": Shape(rows=1, columns=1, tokens=1)}
    unloaded = dataclasses.replace(random_job(config, rng, **table), table=None)
    jobs: list = [SpmmCommand(rows=0, columns=1, tokens=1, load_table=1), unloaded, unloaded]
    small = Shape(rows=2, columns=1, tokens=2)
    for index, command in enumerate(refused_commands(config)):
        jobs.append(command)
        if index % 2:
            jobs.append(random_job(config, rng, activation=Activation.NONE, shape=small))
    jobs += [random_job(config, rng, **table), unloaded]
    runs = run(config, jobs, seed=11, stall=0.1)
    assert [run.statistics.error for run in runs[1:3]] == [SpmmError.TABLE] * 2
    assert runs[-1].statistics.error is SpmmError.NONE


@pytest.mark.slow
@pytest.mark.parametrize(("weight_format", "spread"), WAYS)
def test_sums_at_the_ends_of_accumulators_match_golden(weight_format, spread):
    """The widest matrix, with all weights and inputs at one corner, and every bias at an end of its range."""
    rng = np.random.default_rng(5)
    shape = Shape(rows=5, columns=TINY.max_columns, tokens=TINY.lanes)
    ends = np.array([-(1 << 31), (1 << 31) - 1, 0, -1, 1])
    jobs = []
    for corner in ("low", "high", "mixed", "zero"):
        weights = random_weights(TINY, weight_format, shape.rows, shape.columns, rng, density=1, corner=corner)
        x = int8(rng, shape.columns, shape.tokens, corner=corner)
        job = random_job(TINY, rng, weight_format=weight_format, spread=spread, shape=shape)
        job = dataclasses.replace(job, weights=weights, x=x, multiplier=np.full(5, 65535))
        job = dataclasses.replace(job, shift=np.array([0, 8, 15, 20, 31]))
        jobs += [dataclasses.replace(job, bias=bias) for bias in (0 * ends, ends)]
    run_tiny(jobs, seed=5, stall=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 3, 70])
@pytest.mark.parametrize(("weight_format", "spread"), WAYS)
def test_rows_without_weights_match_golden(weight_format, spread, rows):
    """Matrices without weights, with more rows than can wait, and with one long row among empty ones."""
    rng = np.random.default_rng(rows)
    uneven = weight_format in (WeightFormat.CSR, WeightFormat.CSR_DELTA)
    shape = Shape(rows=rows, columns=30 if uneven else 10, tokens=6)
    nothing = random_weights(TINY, weight_format, rows, shape.columns, rng, density=0, corner="zero")
    job = random_job(TINY, rng, weight_format=weight_format, spread=spread, shape=shape)
    jobs = [dataclasses.replace(job, weights=nothing), job]
    if uneven:
        slow = random_weights(TINY, weight_format, 1, shape.columns, rng, density=1)
        lengths = np.zeros(rows, np.int64)
        lengths[rows // 2] = len(slow.values)
        jobs.append(dataclasses.replace(job, weights=dataclasses.replace(slow, rows=rows, lengths=lengths)))
    run_tiny(jobs, seed=rows, stall=0.2)


def short_rows(config, weight_format, spread, *, rows):
    """Products of short rows, which fill every queue, small products and refused commands."""
    rng = np.random.default_rng(12)
    jobs = []
    for density in (0, 0.1, 0.1):
        weights = random_weights(config, weight_format, rows, 16, rng, density=density)
        shape = Shape(rows=rows, columns=16, tokens=int(rng.integers(1, 6)))
        job = random_job(config, rng, weight_format=weight_format, spread=spread, shape=shape)
        table = None if jobs else int8(rng, 256)
        jobs.append(dataclasses.replace(job, weights=weights, activation=Activation.TABLE, table=table))
    small = random_job(config, rng, shape=Shape(rows=1, columns=1, tokens=1))
    refused = SpmmCommand(rows=0, columns=1, tokens=1)
    return [*jobs, refused, *[dataclasses.replace(small, table=None)] * 6, refused]


@pytest.mark.slow
@pytest.mark.parametrize(
    "slow", ["i_command", "i_rows", "i_weights__1", "i_inputs", "i_table", "o_data", "o_statistics"]
)
@pytest.mark.parametrize(("weight_format", "spread"), [(WeightFormat.CSR, False), (WeightFormat.BBS, True)])
def test_one_slow_stream_changes_no_result(slow, weight_format, spread):
    """The other streams run ahead until every queue is full."""
    run_tiny(short_rows(TINY, weight_format, spread, rows=90), seed=12, stall={slow: 0.9})


@pytest.mark.slow
@pytest.mark.parametrize("slow", ["i_rows", "i_weights__1", "o_data"])
def test_one_slow_stream_with_few_result_rows(slow):
    config = dataclasses.replace(TINY, drain_lanes=4, result_rows=2)
    run(config, short_rows(config, WeightFormat.CSR, False, rows=30), seed=12, stall={slow: 0.9})


@pytest.mark.slow
@pytest.mark.parametrize(("density", "stall"), [(0, 0.0), (0.03, {"o_data": 0.7})])
def test_short_rows_that_wait_for_long_ones_match_golden(density, stall):
    """All engines but one have a long row, so that all short rows go to the other and fill its queues."""
    config = dataclasses.replace(CONFIGS["four_engines"], result_rows=8)
    rng = np.random.default_rng(14)
    matrix = int8(rng, 48, 48) * (rng.random((48, 48)) < density)
    matrix[:3] = rng.integers(1, 128, (3, 48))
    job = random_job(config, rng, weight_format=WeightFormat.CSR, shape=Shape(rows=48, columns=48, tokens=7))
    job = dataclasses.replace(job, weights=pack(matrix, WeightFormat.CSR))
    run(config, [job, job], seed=14, stall=stall)


@pytest.mark.slow
def test_gaps_between_columns_match_golden():
    """Gaps of one less than an escape crosses, just as many, one more, and several escapes in a row."""
    config = SpmmConfig(rows=2, lanes=2, drain_lanes=1, max_columns=1100, formats=(WeightFormat.CSR_DELTA,))
    rng = np.random.default_rng(8)
    columns = np.array([[254, 1099], [255, 510], [256, 1022], [0, 255], [0, 256], [765, 766], [1099, -1]])
    matrix = np.zeros((len(columns), 1100), np.int8)
    for row, places in enumerate(columns):
        for place in places[places >= 0]:
            matrix[row, place] = rng.integers(1, 128)
    job = random_job(config, rng, shape=Shape(rows=len(columns), columns=1100, tokens=3), corner="random")
    run(config, [dataclasses.replace(job, weights=pack(matrix, WeightFormat.CSR_DELTA))], seed=8, stall=0.0)


@pytest.mark.slow
@settings(max_examples=5)
@given(
    config=spmm_configs(most_rows=4, most_lanes=8, largest_columns=200),
    seed=st.integers(0, 1000),
    stall=st.sampled_from([0.0, 0.4]),
)
def test_any_configuration_matches_golden(config, seed, stall):
    run(config, random_jobs(config, count=4, seed=seed), seed=seed, stall=stall)


@pytest.mark.slow
@pytest.mark.parametrize("assign", ["random", "one"])
def test_any_assignment_of_rows_matches_golden(monkeypatch, assign):
    """A bad assignment of rows to engines costs time, but changes neither results nor their order."""
    config, seed = dataclasses.replace(TINY, rows=4, drain_lanes=4), 31
    rng = np.random.default_rng(seed)

    def engines(config, steps, *, spread):
        if spread:  # row i of a beat belongs to engine i
            return [row % config.rows for row in range(len(steps))]
        if assign == "random":
            return rng.integers(config.rows, size=len(steps)).tolist()
        return [0] * len(steps)

    monkeypatch.setattr("thresher.sim.spmm_job.schedule", engines)
    jobs = [random_job(config, rng, shape=Shape(rows=30, columns=12, tokens=5)) for _ in range(2)]
    run(config, jobs, seed=seed, stall=0.2)
