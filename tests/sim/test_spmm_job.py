"""Products to streams and back, compared with a model that reads the streams; and products that do not fit."""

import dataclasses

import numpy as np
import pytest
from thresher.sim.spmm_job import SpmmBatch, SpmmJob
from thresher.spec import (
    Activation,
    CommandValueError,
    InputError,
    SpmmCommand,
    SpmmConfig,
    SpmmError,
    WeightFormat,
    spmm_preset,
)
from thresher.spec.errors import SimulationError

from ..products import Shape, golden_results, random_job, random_jobs
from .spmm_model import StreamModel

TINY = spmm_preset("tiny")
CONFIGS = {
    "tiny": TINY,
    "one_engine": SpmmConfig(rows=1, lanes=8, banks=2, drain_lanes=4, max_columns=30, kept=3, group=8),
    "two_formats": SpmmConfig(
        rows=4, lanes=4, drain_lanes=1, max_columns=33, formats=(WeightFormat.CSR, WeightFormat.DENSE)
    ),
    "wide": SpmmConfig(rows=2, lanes=8, banks=8, drain_lanes=8, max_columns=700, kept=1, group=2),
    "dense": SpmmConfig(rows=2, lanes=1, drain_lanes=1, max_columns=1, formats=(WeightFormat.DENSE,)),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(5))
def test_streams_carry_the_products(name, seed):
    config = CONFIGS[name]
    jobs = random_jobs(config, count=8, seed=seed)
    batch = SpmmBatch(config, jobs)
    values, cycles = StreamModel(config, batch.inputs()).answer()
    assert {name: len(values[name]) for name in values} == batch.counts()
    runs = batch.runs(values, cycles)
    for index, (run, result) in enumerate(zip(runs, golden_results(config, jobs), strict=True)):
        where = f"seed {seed}, product {index}"
        if result is None:
            assert run.output is None, where
            assert run.statistics.error is not SpmmError.NONE, where
        else:
            assert run.output is not None, where
            assert run.output.dtype == np.int8, where
            np.testing.assert_array_equal(run.output, result.output, err_msg=where)
            assert run.statistics.saturations == result.saturations, where


def good_job(*, weight_format=WeightFormat.CSR, config=TINY, **changes) -> SpmmJob:
    """A product of five rows, six columns and three tokens."""
    rng = np.random.default_rng(1)
    shape = Shape(rows=5, columns=6, tokens=3)
    job = random_job(config, rng, weight_format=weight_format, activation=Activation.NONE, shape=shape)
    return dataclasses.replace(job, **changes)


def with_weights(job: SpmmJob, **changes) -> SpmmJob:
    """The job with weights that bypass the checks of packing."""
    weights = job.weights
    fields = ("format", "rows", "columns", "banks", "kept", "group", "values", "indices", "lengths")
    broken = type("Broken", (), {name: changes.get(name, getattr(weights, name)) for name in fields})
    return dataclasses.replace(job, weights=broken())


def test_few_tokens_on_banked_weights_are_spread():
    for tokens, expected in ((1, 1), (3, 1), (4, 0), (5, 0)):
        x = np.zeros((6, tokens), np.int8)
        job = good_job(weight_format=WeightFormat.BBS, x=x, spread=None)
        assert job.command(TINY).spread == expected
        assert good_job(x=x, spread=None).command(TINY).spread == 0


BAD_JOBS = {
    "X must be an int8 array, not int64": good_job(x=np.zeros((6, 3), int)),
    r"X must be an array of integers with 2 dimensions, not int8 \(6,\)": good_job(x=np.zeros(6, np.int8)),
    "X must be an array of integers with 2 dimensions, not list": good_job(x=[[1]]),
    "X must have 6 rows, one per column of W, not 7": good_job(x=np.zeros((7, 3), np.int8)),
    "bias must be 5 numbers, one per row of W, not 4": good_job(bias=np.zeros(4, int)),
    r"bias must be an array of integers with 1 dimensions, not float64 \(5,\)": good_job(bias=np.zeros(5)),
    "the activation table must be 256 integers from -128 to 127": good_job(table=[128] * 256),
    "table must be 256 integers": good_job(table=[1.0] * 256),
    "weights must have 4 banks for this engine, not 2": with_weights(good_job(weight_format=WeightFormat.BBS), banks=2),
    "weights must be 2:4 for this engine, not 1:4": with_weights(good_job(weight_format=WeightFormat.NM), kept=1),
    "lengths of the weights must be 5 numbers of words": with_weights(good_job(), lengths=np.full(5, 50)),
    "words of csr weights must have 1 int8 values": with_weights(good_job(), values=np.zeros((0, 2), np.int8)),
    "indices of the weights must be one index of 6 bits for each value": with_weights(
        good_job(), values=np.zeros((5, 1), np.int8), indices=np.full((5, 1), 64), lengths=np.ones(5, int)
    ),
}


@pytest.mark.parametrize("message", BAD_JOBS)
def test_bad_operands_are_rejected(message):
    with pytest.raises(InputError, match=message) as caught:
        SpmmBatch(TINY, [good_job(), BAD_JOBS[message]]).inputs()
    if not message.startswith("X must be"):
        assert str(caught.value).startswith("product 1: ")


def test_bad_commands_are_rejected():
    with pytest.raises(CommandValueError, match="tokens"):
        SpmmBatch(TINY, [SpmmCommand(rows=1, columns=1, tokens=1 << 40)])
    with pytest.raises(InputError, match="the engine accepts SpmmCommand"):
        SpmmBatch(TINY, [SpmmCommand(rows=1, columns=1, tokens=1)])


def test_a_table_lasts():
    """A product may use the table of an earlier one."""
    without = good_job(activation=Activation.TABLE, table=None)
    loads = good_job(activation=Activation.NONE, table=np.arange(-128, 128))
    assert SpmmBatch(TINY, [without]).counts()["o_data"] == 0
    assert SpmmBatch(TINY, [without], table_loaded=True).counts()["o_data"] > 0
    first = SpmmBatch(TINY, [without, loads, without])
    assert first.table_loaded
    assert first.counts()["o_data"] == 2 * SpmmBatch(TINY, [loads]).counts()["o_data"]
    assert not SpmmBatch(TINY, [without]).table_loaded


@pytest.mark.parametrize("weight_format", [WeightFormat.CSR, WeightFormat.BBS])
@pytest.mark.parametrize("place", [(-1, -1), (0, -1), (-1, 0)])
def test_output_beyond_the_product_must_be_zero(weight_format, place):
    config = dataclasses.replace(TINY, banks=2, drain_lanes=4)
    job = good_job(weight_format=weight_format, config=config, spread=weight_format is WeightFormat.BBS)
    batch = SpmmBatch(config, [job])
    values, cycles = StreamModel(config, batch.inputs()).answer()
    beats = np.array(values["o_data"])
    spare = {False: np.s_[:, 3:], True: np.s_[-1:, 2:]}[bool(job.spread)]
    assert not beats[spare].any()
    beats[spare][place] = 1
    with pytest.raises(SimulationError, match="product 0: output beyond 5 rows and 3 tokens is not zero"):
        batch.runs({**values, "o_data": beats}, cycles)
