"""Second-order pruning: counts, errors and updates."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thresher.model.encoder import Linear
from thresher.model.pruning import magnitude
from thresher.model.pruning.obs import OBS, best_with_mask, quadratic
from thresher.model.pruning.patterns import (
    Choose,
    prune_bank_balanced,
    prune_blocks,
    prune_groups,
    prune_unstructured,
)
from thresher.model.pruning.wanda import WANDA
from thresher.spec import InputError

from .problems import problem, white

PATTERNS: dict[str, Choose] = {
    "unstructured": partial(prune_unstructured, sparsity=0.6),
    "bank-balanced": partial(prune_bank_balanced, sparsity=0.5, banks=4),
    "n:m": partial(prune_groups, kept=2, group=4),
    "block": partial(prune_blocks, sparsity=0.5, block_rows=2, block_columns=4),
}
SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.tuples(st.integers(1, 12), st.integers(8, 40))


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, size=SIZES, zeros=st.floats(0, 0.9))
def test_counts_are_exact(pattern, seed, size, zeros):
    """As many weights are kept as by magnitude: of the matrix, and of each bank or group. Zeros stay zero."""
    rows, columns = (size[0] + 1) // 2 * 2, (size[1] + 3) // 4 * 4
    linear, _, _, statistics = problem(seed, rows, columns, tokens=60)
    own = np.random.default_rng(seed).random(linear.weight.shape) >= zeros
    if pattern == "block":
        own[:] = True
    linear = Linear(np.where(own, linear.weight, np.float32(0)), linear.bias)
    found = OBS.prune(linear, statistics, PATTERNS[pattern])
    wanted = magnitude.prune(linear, PATTERNS[pattern])
    assert found.mask.sum() == wanted.mask.sum() == found.report.kept
    assert not (found.mask & ~own).any()
    assert not found.linear.weight[~found.mask].any()
    if pattern == "n:m":
        run = 4
    elif pattern == "bank-balanced":
        run = columns // 4
    else:
        return
    counts = (each.mask.reshape(rows, -1, run).sum(axis=2) for each in (found, wanted))
    assert np.array_equal(*counts)


@pytest.mark.parametrize("pattern", ["block", "n:m"])
def test_patterns_are_kept_over_many_columns(pattern):
    linear, _, _, statistics = problem(3, 8, 72)
    mask = OBS.prune(linear, statistics, PATTERNS[pattern]).mask
    if pattern == "n:m":
        assert (mask.reshape(8, -1, 4).sum(axis=2) == 2).all()
    else:
        blocks = mask.reshape(4, 2, 18, 4).sum(axis=(1, 3))
        assert set(blocks.ravel()) == {0, 8}
        assert (blocks == 8).sum() == 36


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, size=SIZES)
def test_error_is_never_above_that_of_magnitude(pattern, seed, size):
    linear, _, _, statistics = problem(seed, size[0] * 2, size[1], tokens=100)
    error = quadratic(linear, statistics)
    found = OBS.prune(linear, statistics, PATTERNS[pattern]).linear.weight
    plain = magnitude.prune(linear, PATTERNS[pattern]).linear.weight
    assert error.errors(found).sum() <= error.errors(plain).sum() * (1 + 1e-5) + 1e-5


def test_outputs_are_nearer_to_those_wanted():
    linear, x, y, statistics = problem(5, 32, 96, tokens=2000)

    def error(pruned: Linear) -> float:
        return float(np.square(pruned(x) - y).mean())

    choose = PATTERNS["unstructured"]
    obs, wanda = (error(method.prune(linear, statistics, choose).linear) for method in (OBS, WANDA))
    assert obs < 0.7 * wanda
    assert wanda < error(magnitude.prune(linear, choose).linear)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_independent_inputs_give_the_result_of_magnitude(pattern):
    linear = problem(7, 8, 24)[0]
    found = OBS.prune(linear, white(linear), PATTERNS[pattern])
    wanted = magnitude.prune(linear, PATTERNS[pattern])
    if pattern != "block":  # whose score is the sum of magnitudes there, and of squares here
        assert np.array_equal(found.mask, wanted.mask)
        assert found.linear.weight == pytest.approx(wanted.linear.weight, abs=1e-6)
    assert found.linear.bias == pytest.approx(linear.bias, abs=1e-6)


def test_kept_weights_have_the_least_error():
    linear, _, _, statistics = problem(11, 6, 20)
    found = OBS.prune(linear, statistics, PATTERNS["unstructured"])
    error = quadratic(linear, statistics)
    weights = found.linear.weight.astype(np.float64)
    slope = 2 * (weights - error.best) @ error.curvature
    assert np.abs(slope[found.mask]).max() < 1e-4 * np.abs(slope).max()
    assert best_with_mask(error, found.mask) == pytest.approx(weights, abs=1e-5)
    assert not best_with_mask(error, np.zeros_like(found.mask)).any()


def test_the_error_of_inputs_is_corrected():
    """Inputs that are twice as large as in the dense model halve the weights."""
    linear, x, y, statistics = problem(13, 4, 8, tokens=4000, drift=0)
    twice = type(statistics)(
        mean=statistics.mean * 2,
        covariance=statistics.covariance * 4,
        wanted=statistics.wanted,
        cross=statistics.cross * 2,
    )
    found = OBS.prune(linear, twice, partial(prune_unstructured, sparsity=0)).linear
    plain = np.square(linear(2 * x) - y).mean()
    assert np.square(found(2 * x) - y).mean() < 0.02 * plain


def test_same_input_same_result():
    linear, _, _, statistics = problem(17, 10, 40)
    first, second = (OBS.prune(linear, statistics, PATTERNS["n:m"]).linear for _ in range(2))
    assert np.array_equal(first.weight, second.weight)
    assert np.array_equal(first.bias, second.bias)


def test_inputs_that_never_change():
    linear = problem(19, 4, 8)[0]
    statistics = white(linear)
    still = type(statistics)(
        mean=statistics.mean,
        covariance=np.zeros((8, 8)),
        wanted=statistics.wanted,
        cross=np.zeros((4, 8)),
    )
    found = OBS.prune(linear, still, PATTERNS["unstructured"])
    assert np.array_equal(found.mask, magnitude.prune(linear, PATTERNS["unstructured"]).mask)


def test_statistics_must_be_finite():
    linear, _, _, statistics = problem(23, 4, 8)
    statistics.covariance[2, 3] = np.nan
    with pytest.raises(InputError, match="NaN or infinity"):
        OBS.prune(linear, statistics, PATTERNS["unstructured"])


def test_scores_are_losses_relative_to_the_layer():
    linear, _, _, statistics = problem(29, 4, 8)
    scores = OBS.scores(linear, statistics)
    error = quadratic(linear, statistics)
    inverse = np.diag(np.linalg.inv(error.curvature))
    spread = np.einsum("ij,jk,ik->", linear.weight, error.curvature, linear.weight)
    assert scores == pytest.approx(np.square(linear.weight) / inverse / spread, rel=1e-4)
    larger = Linear(linear.weight * 3, linear.bias)
    assert OBS.scores(larger, statistics) == pytest.approx(scores, rel=1e-4)
