"""Products: their weights, tokens and scales, and the checks of sizes and sparsities."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from thresher.golden import sparse_product
from thresher.golden.spmm.packing import PackedWeights, unpack
from thresher.model.pruning.int8 import quantise_pruned
from thresher.model.pruning.patterns import prune_unstructured
from thresher.runtime.products import (
    MOST_STREAMED,
    check_engine,
    check_simulation,
    chosen_sparsity,
    dense_twin,
    product_job,
    pruned_weights,
    random_matrix,
    sparsity_note,
)
from thresher.sim.spmm import SpmmJob
from thresher.spec import ConfigError, WeightFormat, spmm_preset
from thresher.spec.weight_words import stream_bytes

TINY, EDGE = spmm_preset("tiny"), spmm_preset("edge")
CSR, BBS, NM, DENSE = WeightFormat.CSR, WeightFormat.BBS, WeightFormat.NM, WeightFormat.DENSE


def product(config, weights, weight_format, sparsity, *, tokens, seed) -> SpmmJob:
    return product_job(config, *pruned_weights(config, weights, weight_format, sparsity), tokens=tokens, seed=seed)


def matrix_of(job: SpmmJob) -> csr_array:
    assert isinstance(job.weights, PackedWeights)
    return unpack(job.weights)


def test_the_product_is_that_of_the_pruned_matrix():
    weights = random_matrix(20, 30, seed=1)
    job = product(TINY, weights, WeightFormat.CSR, 0.7, tokens=5, seed=1)
    dense = dense_twin(job)
    expected = quantise_pruned(weights, prune_unstructured(weights, 0.7)[0]).values
    assert np.array_equal(matrix_of(job).toarray(), expected)
    assert np.array_equal(matrix_of(dense).toarray(), expected)
    assert (dense.x is job.x, dense.bias is job.bias, dense.weights.format) == (True, True, WeightFormat.DENSE)


@pytest.mark.parametrize("weights", ["random", "zeros", "uneven"])
def test_results_use_the_range_of_int8(weights):
    """A comparison of clipped results, or of zeros, would say little."""
    matrix = random_matrix(64, 200, seed=2)
    matrix *= {"random": 1, "zeros": 0, "uneven": np.logspace(-6, 6, 64)[:, None]}[weights]
    job = product(EDGE, matrix, WeightFormat.CSR, 0.5, tokens=40, seed=2)
    result = sparse_product(EDGE, matrix_of(job), job.x, job.bias, job.multiplier, job.shift)
    if weights != "zeros":
        assert 25 < result.output[-1].astype(float).std() < 70
        assert len(np.unique(result.output)) > 50
        assert result.saturations < result.output.size / 50


def test_lanes_are_spread_if_that_takes_fewer_cycles():
    weights = random_matrix(8, 64, seed=0)
    for tokens, spread in ((1, True), (32, False), (33, False), (64, False)):
        job = product(EDGE, weights, WeightFormat.BBS, 0.5, tokens=tokens, seed=0)
        assert (bool(job.spread), bool(dense_twin(job).spread)) == (spread, False), tokens


@pytest.mark.parametrize(
    ("weight_format", "asked", "expected"),
    [(CSR, None, 0.75), (CSR, 0.0, 0.0), (BBS, 0.9, 0.9), (NM, None, 0.5), (NM, 0.9, 0.5), (DENSE, 0.75, 0.0)]
    + [(weight_format, "keep", "keep") for weight_format in WeightFormat],
)
def test_chosen_sparsity(weight_format, asked, expected):
    assert chosen_sparsity(TINY, weight_format, asked) == expected


@pytest.mark.parametrize("asked", [1.0, -0.1, float("nan"), "all", True])
def test_other_sparsities_are_rejected(asked):
    with pytest.raises(ConfigError, match="sparsity="):
        chosen_sparsity(TINY, CSR, asked)


@pytest.mark.parametrize(
    ("weight_format", "asked", "nonzeros", "stored", "expected"),
    [
        (CSR, None, 1200, 299, None),
        (CSR, 0.5, 1200, 590, None),
        (NM, 0.5, 1200, 600, None),
        (NM, None, 1200, 720, "2:4 weights have a sparsity of 0.4, not 0.5"),
        (NM, 0.505, 1200, 600, "2:4 weights have a sparsity of 0.5, not 0.505"),
        (BBS, 0.9, 1200, 100, "bbs weights have a sparsity of 0.917, not 0.9"),
        (BBS, 0.95, 1200, 100, "bbs weights have a sparsity of 0.917, not 0.95"),
        (CSR, None, 1200, 0, "no weight is left: choose a lower sparsity"),
        (CSR, None, 0, 0, "all weights are zero"),
        (CSR, 0.5, 120, 120, "csr weights have a sparsity of 0.9, not 0.5: 0.9 were zero before pruning"),
        (BBS, 0.95, 120, 100, "bbs weights have a sparsity of 0.917, not 0.95"),
        (DENSE, 0.5, 120, 1200, "dense weights have a sparsity of 0, not 0.5"),
        (CSR, "keep", 120, 120, None),
        (CSR, "keep", 120, 117, "3 of 120 weights are zero after rounding to INT8, and are not stored"),
        (DENSE, "keep", 120, 1200, None),
    ],
)
def test_notes(weight_format, asked, nonzeros, stored, expected):
    assert sparsity_note(EDGE, weight_format, asked, nonzeros=nonzeros, stored=stored, total=1200) == expected


def test_kept_weights_are_the_pattern_of_the_matrix():
    weights = random_matrix(20, 30, seed=3)
    weights[np.abs(weights) < 1] = 0
    job = product(TINY, weights, WeightFormat.CSR, "keep", tokens=5, seed=3)
    assert np.array_equal(matrix_of(job).toarray() != 0, weights != 0)


def test_error_gives_the_largest_number_of_tokens():
    rows, columns = 1536, 2048
    most = MOST_STREAMED // (rows * columns * stream_bytes(EDGE)) * EDGE.lanes
    check_simulation(EDGE, rows=rows, columns=columns, tokens=most)
    with pytest.raises(
        ConfigError, match=f"^tokens={most + 1} .* at most 1 GiB can be simulated: choose at most {most}$"
    ):
        check_simulation(EDGE, rows=rows, columns=columns, tokens=most + 1)
    with pytest.raises(ConfigError, match="choose fewer rows or columns"):
        check_simulation(EDGE, rows=1 << 24, columns=columns, tokens=1)


def test_error_names_a_preset_that_is_large_enough():
    for columns, words in ((65, "choose --preset edge, or raise"), (2049, "--preset server"), (5000, "to 64: raise")):
        with pytest.raises(ConfigError, match=f"{words}.* with --config"):
            check_engine(TINY, rows=1, columns=columns, tokens=1, weight_format=CSR)
    with pytest.raises(ConfigError, match=r"format='bbs' .* the engine has csr, dense"):
        check_engine(TINY.with_formats(CSR, DENSE), rows=1, columns=1, tokens=1, weight_format=BBS)
