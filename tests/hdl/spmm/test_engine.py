"""The whole SpMM engine in Amaranth's simulator against golden: formats, sizes, corners, refusals, stalls."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thresher.golden.spmm.packing import pack
from thresher.sim.spmm import simulate_products
from thresher.spec import Activation, SpmmCommand, SpmmConfig, SpmmError, WeightFormat, spmm_preset

from ...products import Shape, golden_results, int8, random_job, random_jobs, random_weights, refused_commands
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


def check(config, jobs, *, seed, stall):
    """Run products back to back and compare outputs and statistics."""
    runs = simulate_products(config, jobs, seed=seed, stall=stall)
    for index, (job, run, result) in enumerate(zip(jobs, runs, golden_results(config, jobs), strict=True)):
        command = job if isinstance(job, SpmmCommand) else job.command(config)
        where = f"seed {seed}, stall {stall}, product {index}: {command}"
        if result is None:
            refused = {command.rejection(config, table_loaded=loaded) for loaded in (False, True)} - {SpmmError.NONE}
            assert run.statistics.error in refused, where
            assert run.statistics.saturations == 0, where
        else:
            np.testing.assert_array_equal(run.output, result.output, err_msg=where)
            assert run.statistics.error is SpmmError.NONE, where
            assert run.statistics.saturations == result.saturations, where
            assert run.statistics.cycles == run.finished - run.accepted, where
    return runs


@pytest.mark.parametrize("activation", Activation)
@pytest.mark.parametrize(("weight_format", "spread"), WAYS)
def test_formats_and_activations(weight_format, spread, activation):
    """Sizes that fill a pass and the engines, and one more of each, and one alone.

    Every format and every activation with stalls and without.
    """
    stall = 0.3 * ((WAYS.index((weight_format, spread)) + activation) % 2)
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
    check(TINY, jobs, seed=3, stall=stall)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("stall", "seed", "count"), [(0.0, 21, 10), (0.2, 22, 8), (0.7, 23, 6)])
def test_products_back_to_back(name, stall, seed, count):
    """Formats, sizes, tables and refusals mixed."""
    config = CONFIGS[name]
    check(config, random_jobs(config, count=count, seed=seed), seed=seed, stall=stall)


@pytest.mark.parametrize("name", CONFIGS)
def test_refusals(name):
    """Each reason to refuse, two in a row among them, between good products."""
    config = CONFIGS[name]
    rng = np.random.default_rng(11)
    table = {"activation": Activation.TABLE, "shape": Shape(rows=1, columns=1, tokens=1)}
    unloaded = dataclasses.replace(random_job(config, rng, **table), table=None)
    jobs: list = [SpmmCommand(rows=0, columns=1, tokens=1, load_table=1), unloaded, unloaded]
    for index, command in enumerate(refused_commands(config)):
        jobs.append(command)
        if index % 2:
            jobs.append(random_job(config, rng, table_loaded=False))
    jobs += [random_job(config, rng, **table), unloaded]
    runs = check(config, jobs, seed=11, stall=0.1)
    assert [run.statistics.error for run in runs[1:3]] == [SpmmError.TABLE] * 2
    assert runs[-1].statistics.error is SpmmError.NONE


@pytest.mark.parametrize(("weight_format", "spread"), WAYS)
def test_full_sums_of_corners(weight_format, spread):
    """The widest matrix, all of one value: sums reach the ends of the accumulators."""
    config = CONFIGS["four_engines"]
    rng = np.random.default_rng(5)
    shape = Shape(rows=5, columns=config.max_columns, tokens=config.lanes)
    ends = np.array([-(1 << 31), (1 << 31) - 1, 0, -1, 1])
    jobs = []
    for corner in ("low", "high", "mixed", "zero"):
        weights = random_weights(config, weight_format, shape.rows, shape.columns, rng, density=1, corner=corner)
        x = int8(rng, shape.columns, shape.tokens, corner=corner)
        job = random_job(config, rng, weight_format=weight_format, spread=spread, shape=shape)
        job = dataclasses.replace(job, weights=weights, x=x, multiplier=np.full(5, 65535))
        job = dataclasses.replace(job, shift=np.array([0, 8, 15, 20, 31]))
        jobs += [dataclasses.replace(job, bias=bias) for bias in (0 * ends, ends)]
    check(config, jobs, seed=5, stall=0.0)


@pytest.mark.parametrize("rows", [1, 3, 70])
@pytest.mark.parametrize(("weight_format", "spread"), WAYS)
def test_rows_without_weights(weight_format, spread, rows):
    """All-zero matrices, more rows than can wait for each other, and a row that all others wait for."""
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
    check(TINY, jobs, seed=rows, stall=0.2)


@pytest.mark.parametrize(
    "slow", ["i_command", "i_rows", "i_weights__1", "i_inputs", "i_table", "o_data", "o_statistics"]
)
@pytest.mark.parametrize(("weight_format", "spread"), [(WeightFormat.CSR, False), (WeightFormat.BBS, True)])
def test_one_slow_stream(slow, weight_format, spread):
    """All others run ahead as far as they can: short rows fill every queue."""
    config = dataclasses.replace(TINY, drain_lanes=4, result_rows=2)
    rng = np.random.default_rng(12)
    jobs = []
    for density in (0, 0.1, 0.1):
        weights = random_weights(config, weight_format, 90, 16, rng, density=density)
        shape = Shape(rows=90, columns=16, tokens=int(rng.integers(1, 6)))
        job = random_job(config, rng, weight_format=weight_format, spread=spread, shape=shape)
        table = None if jobs else int8(rng, 256)
        jobs.append(dataclasses.replace(job, weights=weights, activation=Activation.TABLE, table=table))
    small = random_job(config, rng, shape=Shape(rows=1, columns=1, tokens=1))
    refused = SpmmCommand(rows=0, columns=1, tokens=1)
    check(config, [*jobs, refused, *[dataclasses.replace(small, table=None)] * 6, refused], seed=12, stall={slow: 0.9})


@pytest.mark.parametrize("density", [0, 0.03])
def test_rows_that_wait_for_slow_ones(density):
    """All engines but one have a long row; the short ones after them go to the other, and fill all that it has."""
    config = dataclasses.replace(CONFIGS["four_engines"], result_rows=8)
    rng = np.random.default_rng(14)
    matrix = np.zeros((2, 48, 48), np.int8)
    matrix[:, 3:] = int8(rng, 2, 45, 48) * (rng.random((2, 45, 48)) < density)
    matrix[:, :3] = rng.integers(1, 128, (2, 3, 48))
    job = random_job(config, rng, weight_format=WeightFormat.CSR, shape=Shape(rows=96, columns=48, tokens=7))
    job = dataclasses.replace(job, weights=pack(matrix.reshape(96, 48), WeightFormat.CSR))
    for stall in (0.0, {"o_data": 0.7}):
        check(config, [job, job], seed=14, stall=stall)


def test_far_columns_by_deltas():
    """Escapes: gaps of one less than they skip, as many, and one more, and several in a row."""
    config = SpmmConfig(rows=2, lanes=2, drain_lanes=1, max_columns=1100, formats=(WeightFormat.CSR_DELTA,))
    rng = np.random.default_rng(8)
    columns = np.array([[254, 1099], [255, 510], [256, 1022], [0, 255], [0, 256], [765, 766], [1099, -1]])
    matrix = np.zeros((len(columns), 1100), np.int8)
    for row, places in enumerate(columns):
        for place in places[places >= 0]:
            matrix[row, place] = rng.integers(1, 128)
    job = random_job(config, rng, shape=Shape(rows=len(columns), columns=1100, tokens=3), corner="random")
    check(config, [dataclasses.replace(job, weights=pack(matrix, WeightFormat.CSR_DELTA))], seed=8, stall=0.0)


@settings(max_examples=12, deadline=None)
@given(
    config=spmm_configs(most_rows=4, most_lanes=8, largest_columns=200),
    seed=st.integers(0, 1000),
    stall=st.sampled_from([0.0, 0.4]),
)
def test_any_engine(config, seed, stall):
    check(config, random_jobs(config, count=5, seed=seed), seed=seed, stall=stall)


@pytest.mark.parametrize("assign", ["random", "one", "sorted"])
def test_any_assignment_of_rows_is_right(monkeypatch, assign):
    """A bad one costs time, and neither results nor their order."""
    config, seed = dataclasses.replace(TINY, rows=4, drain_lanes=4), 31
    rng = np.random.default_rng(seed)

    def engines(config, steps, *, spread):
        if spread:  # then row i of a beat is engine i's
            return [row % config.rows for row in range(len(steps))]
        if assign == "random":
            return rng.integers(config.rows, size=len(steps)).tolist()
        return [0 if assign == "one" else row * config.rows // len(steps) for row in range(len(steps))]

    monkeypatch.setattr("thresher.sim.spmm_job.schedule", engines)
    jobs = [random_job(config, rng, shape=Shape(rows=60, columns=20, tokens=5)) for _ in range(3)]
    check(config, jobs, seed=seed, stall=0.2)
