"""Joining the rooms for sparse weights: what is measured is what was meant."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from thresher.cli import spmm_jobs
from thresher.golden import sparse_product
from thresher.golden.spmm.packing import PackedWeights, unpack
from thresher.model.prune import prune_unstructured, quantise_pruned
from thresher.sim.spmm import SpmmJob
from thresher.spec import WeightFormat, spmm_preset

TINY, EDGE = spmm_preset("tiny"), spmm_preset("edge")


def matrix_of(job: SpmmJob) -> csr_array:
    assert isinstance(job.weights, PackedWeights)
    return unpack(job.weights)


def test_the_product_is_that_of_the_pruned_matrix():
    weights = spmm_jobs.random_matrix(20, 30, seed=1)
    job, dense = spmm_jobs.product(TINY, weights, WeightFormat.CSR, 0.7, tokens=5, seed=1)
    expected = quantise_pruned(weights, prune_unstructured(weights, 0.7)[0]).values
    assert np.array_equal(matrix_of(job).toarray(), expected)
    assert np.array_equal(matrix_of(dense).toarray(), expected)
    assert (dense.x is job.x, dense.bias is job.bias, dense.weights.format) == (True, True, WeightFormat.DENSE)


@pytest.mark.parametrize("weights", ["random", "zeros", "uneven"])
def test_results_use_the_range_of_int8(weights):
    """A comparison of clipped results, or of zeros, would say little."""
    matrix = spmm_jobs.random_matrix(64, 200, seed=2)
    matrix *= {"random": 1, "zeros": 0, "uneven": np.logspace(-6, 6, 64)[:, None]}[weights]
    job, _ = spmm_jobs.product(EDGE, matrix, WeightFormat.CSR, 0.5, tokens=40, seed=2)
    result = sparse_product(EDGE, matrix_of(job), job.x, job.bias, job.multiplier, job.shift)
    if weights != "zeros":
        assert 25 < result.output[-1].astype(float).std() < 70
        assert len(np.unique(result.output)) > 50
        assert result.saturations < result.output.size / 50


def test_spread_where_that_takes_fewer_cycles():
    weights = spmm_jobs.random_matrix(8, 64, seed=0)
    for tokens, spread in ((1, True), (32, False), (33, False), (64, False)):
        job, dense = spmm_jobs.product(EDGE, weights, WeightFormat.BBS, 0.5, tokens=tokens, seed=0)
        assert (bool(job.spread), bool(dense.spread)) == (spread, False), tokens
