"""Moments of the inputs and the wanted outputs of a dense layer."""

import numpy as np
import pytest
from thresher.model.pruning.statistics import StatisticsSums


def test_moments_of_several_batches():
    random = np.random.default_rng(1)
    x = (random.normal(size=(3, 20, 5)) + 2).astype(np.float32)
    y = (x @ random.normal(size=(5, 4)) - 1).astype(np.float32)
    sums = StatisticsSums(5, 4)
    for inputs, outputs in zip(x, y, strict=True):
        sums.observe(inputs, outputs)
    found = sums.statistics()
    tokens, wanted = x.reshape(-1, 5).astype(np.float64), y.reshape(-1, 4).astype(np.float64)
    both = np.cov(wanted.T, tokens.T, bias=True)
    assert found.mean == pytest.approx(tokens.mean(axis=0), abs=1e-5)
    assert found.wanted == pytest.approx(wanted.mean(axis=0), abs=1e-5)
    assert found.covariance == pytest.approx(both[4:, 4:], abs=1e-4)
    assert found.cross == pytest.approx(both[:4, 4:], abs=1e-4)
    assert found.squares == pytest.approx(np.square(tokens).mean(axis=0), abs=1e-4)
    part = found.of_outputs(slice(1, 3))
    assert np.array_equal(part.cross, found.cross[1:3])
    assert np.array_equal(part.wanted, found.wanted[1:3])


def test_bias_gives_the_wanted_mean():
    random = np.random.default_rng(2)
    x, y = (random.normal(3, 1, size=(50, n)).astype(np.float32) for n in (6, 2))
    sums = StatisticsSums(6, 2)
    sums.observe(x, y)
    weight = random.normal(size=(2, 6)).astype(np.float32)
    outputs = x @ weight.T + sums.statistics().bias(weight)
    assert outputs.mean(axis=0) == pytest.approx(y.mean(axis=0), abs=1e-4)


def test_constant_inputs_have_no_covariance():
    """Earlier layers may be pruned as a whole. What is left of the sums is rounding, and no covariance."""
    random = np.random.default_rng(3)
    sums = StatisticsSums(40, 3)
    x = np.full((50, 40), random.normal(size=40), np.float32) * 30
    for _ in range(5):
        sums.observe(x, random.normal(size=(50, 3)).astype(np.float32))
    found = sums.statistics()
    assert not found.covariance.any()
    assert not found.cross.any()
    assert found.mean == pytest.approx(x[0])
