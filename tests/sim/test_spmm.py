# amaranth: UnusedElaboratable=no
"""Whole products on the emitted engine, bit for bit golden's; and what a benchmark makes of them."""

import dataclasses

import numpy as np
import pytest
from thresher.cost.spmm import cycles
from thresher.golden.spmm.packing import pack
from thresher.hdl.spmm.engine import Spmm
from thresher.sim.batch import simulate
from thresher.sim.spmm import SpmmJob, SpmmSimulator
from thresher.sim.spmm_job import SpmmBatch, spmm_design
from thresher.spec import Activation, CommandValueError, InputError, SpmmCommand, SpmmError, WeightFormat, spmm_preset
from thresher.spec.errors import SimulationError

from ..operands import int8
from ..products import Shape, check_products, random_job, random_jobs, random_weights, refused_commands

pytestmark = pytest.mark.slow  # Verilator compiles the unit
TINY = spmm_preset("tiny")


@pytest.fixture(scope="module")
def simulator():
    with SpmmSimulator(TINY) as made:
        yield made


def test_design_has_the_ports_of_the_engine():
    assert spmm_design(TINY).signature == Spmm(TINY).signature


@pytest.mark.parametrize(("stall", "seed"), [(0.0, 0), (0.3, 1), (0.8, 2)])
def test_products_match_golden(stall, seed):
    jobs = random_jobs(TINY, count=80, seed=seed)
    with SpmmSimulator(TINY, stall=stall, seed=seed) as stalled:
        check_products(TINY, jobs, stalled.run(jobs), seed)


def test_large_products_match_golden(simulator):
    """The most columns, more rows than the queues hold, and many passes."""
    simulator.reset()
    rng = np.random.default_rng(6)
    shape = Shape(rows=101, columns=TINY.max_columns, tokens=31)
    jobs = [
        random_job(TINY, rng, weight_format=item, spread=spread and item is WeightFormat.BBS, shape=shape)
        for item in TINY.formats
        for spread in (False, True)
    ]
    check_products(TINY, jobs, simulator.run(jobs), 6)


def test_state_lasts_between_runs(simulator):
    """Two runs are one run cut in two, the activation table included; reset starts again."""
    rng = np.random.default_rng(3)
    loads = random_job(TINY, rng, activation=Activation.TABLE)
    uses = dataclasses.replace(random_job(TINY, rng, activation=Activation.TABLE), table=None)
    simulator.reset()
    jobs = [uses, loads, SpmmCommand(rows=0, columns=1, tokens=1), uses]
    runs = [*simulator.run(jobs[:3]), *simulator.run(jobs[3:])]
    check_products(TINY, jobs, runs, 3)
    assert runs[0].statistics.error is SpmmError.TABLE
    assert runs[3].statistics.error is SpmmError.NONE
    simulator.reset()
    assert simulator.cycle == 0
    (again,) = simulator.run([uses])
    assert again.statistics == runs[0].statistics
    assert simulator.run([]) == []


def test_reset_ends_an_unfinished_product(simulator):
    """Nothing of the product is left for the next one."""
    rng = np.random.default_rng(9)
    jobs = [random_job(TINY, rng, shape=Shape(rows=30, columns=40, tokens=9)) for _ in range(6)]
    for limit in (5, 60, 150, 400):
        batch = SpmmBatch(TINY, jobs)
        with pytest.raises(SimulationError, match="too few payloads from o_data"):
            simulator._simulator.run(batch.inputs(), batch.counts(), max_cycles=limit)
        simulator.reset()
        check_products(TINY, jobs[:2], simulator.run(jobs[:2]), 9)


@pytest.mark.parametrize("tokens", [1, 3, 8, 9])
@pytest.mark.parametrize("weight_format", WeightFormat)
def test_cycles_are_as_estimated(simulator, weight_format, tokens):
    rng = np.random.default_rng(7)
    weights = random_weights(TINY, weight_format, 40, 61, rng, density=0.5)
    job = random_job(TINY, rng, activation=Activation.NONE, shape=Shape(rows=40, columns=61, tokens=tokens))
    for spread in {False, weight_format is WeightFormat.BBS}:
        estimated, measured = both_cycles(simulator, dataclasses.replace(job, weights=weights), spread)
        assert abs(measured - estimated) <= 3


@pytest.mark.parametrize("case", range(40))
def test_cycles_of_any_product(simulator, case):
    """Rows of unlike numbers of steps, which the drain takes in an order of its own, are up to 5 % off."""
    rng = np.random.default_rng([19, case])
    weight_format = TINY.formats[rng.integers(len(TINY.formats))]
    shape = Shape(rows=int(rng.integers(1, 120)), columns=int(rng.integers(1, 65)), tokens=int(rng.integers(1, 17)))
    density = float(rng.choice([0.05, 0.2, 0.5, 1]))
    weights = random_weights(TINY, weight_format, shape.rows, shape.columns, rng, density=density)
    job = dataclasses.replace(random_job(TINY, rng, activation=Activation.NONE, shape=shape), weights=weights)
    uneven = weight_format in (WeightFormat.CSR, WeightFormat.CSR_DELTA)
    for spread in {False, weight_format is WeightFormat.BBS}:
        estimated, measured = both_cycles(simulator, job, spread)
        where = f"seed {(19, case)}: {weight_format} {shape}"
        assert estimated == pytest.approx(measured, rel=0.05 if uneven else 0.01, abs=4), where


def both_cycles(simulator, job, spread):
    """Cycles of a product on an idle engine: estimated, measured."""
    simulator.reset()
    (run,) = simulator.run([dataclasses.replace(job, table=None, spread=spread)])
    expected = cycles(
        TINY,
        job.weights.format,
        columns=job.weights.columns,
        tokens=job.x.shape[1],
        lengths=job.weights.lengths.tolist(),
        spread=spread,
    )
    return expected, run.statistics.cycles


@pytest.mark.parametrize("tokens", [1, TINY.lanes])
def test_an_empty_row_takes_at_most_a_cycle(simulator, tokens):
    """The other rows take longer than their results take to leave."""
    rng = np.random.default_rng(17)
    full = np.zeros((30, 40), np.int8)
    full[:, ::4] = rng.integers(1, 128, (30, 10))
    taken = []
    for matrix in (full, np.insert(full, np.arange(30), 0, axis=0)):
        rows = len(matrix)
        job = SpmmJob(
            weights=pack(matrix, WeightFormat.CSR),
            x=int8(rng, 40, tokens),
            bias=np.zeros(rows, np.int32),
            multiplier=np.full(rows, 1 << 15),
            shift=np.full(rows, 10),
        )
        simulator.reset()
        runs = simulator.run([job])
        check_products(TINY, [job], runs, 17)
        taken.append(runs[0].statistics.cycles)
    assert 0 < taken[1] - taken[0] <= 30


def test_commands_are_rejected_for_their_reason(simulator):
    for command in refused_commands(TINY):
        (run,) = simulator.run([command])
        assert run.statistics.error is command.rejection(TINY)
        assert run.output is None


def test_amaranth_simulator_takes_the_same_cycles(simulator):
    """Without stalls, both simulators accept and finish products in the same cycles."""
    jobs = random_jobs(TINY, count=6, seed=4)
    simulator.reset()
    one, other = simulate(SpmmBatch(TINY, jobs), seed=4, stall=0.0), simulator.run(jobs)
    check_products(TINY, jobs, one, 4)
    assert [(run.accepted, run.finished) for run in one] == [(run.accepted, run.finished) for run in other]


def test_bad_operands_are_rejected_before_the_simulation(simulator):
    job = random_job(TINY, np.random.default_rng(1))
    before = simulator.cycle
    with pytest.raises(InputError, match="X must be an int8 array, not int64"):
        simulator.run([job, dataclasses.replace(job, x=job.x.astype(np.int64))])
    with pytest.raises(InputError, match=r"i_rows\[0\]\.data\[0\]\.multiplier must be from 0 to 65535, not 65536"):
        simulator.run([dataclasses.replace(job, multiplier=0 * job.multiplier + 65536)])
    with pytest.raises(CommandValueError, match="rows"):
        simulator.run([SpmmCommand(rows=-1, columns=1, tokens=1)])
    assert simulator.cycle == before
    check_products(TINY, [job], simulator.run([job]), 1)
