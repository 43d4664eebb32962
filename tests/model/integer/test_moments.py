"""Moments of the inputs of products."""

import numpy as np
import pytest
from thresher.model.integer.moments import MomentSums

RNG = np.random.default_rng(0)


def moments(x: np.ndarray):
    sums = MomentSums(x.shape[-1])
    sums.observe(x)
    return sums.moments()


def test_moments():
    x = RNG.normal([9, 0, -2, 1], size=(3, 5, 4))
    sums = MomentSums(4)
    for text in x:
        sums.observe(text.astype(np.float32))
    rows = x.reshape(-1, 4)
    found = sums.moments()
    assert found.mean == pytest.approx(rows.mean(axis=0), rel=1e-5)
    assert found.covariance == pytest.approx(np.cov(rows.T, bias=True), abs=1e-4)


def test_other_units_and_another_order():
    x, scales, order = RNG.normal(size=(20, 4)), np.array([1.0, 2, 0.5, 4]), np.array([2, 0, 3, 1])
    for found, wanted in (
        (moments(x).in_units(scales), moments(x / scales)),
        (moments(x).ordered(order), moments(x[:, order])),
    ):
        assert found.mean == pytest.approx(wanted.mean)
        assert found.covariance == pytest.approx(wanted.covariance)
