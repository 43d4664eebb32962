"""Moments of the inputs of products."""

import numpy as np
import pytest
from thresher.model.moments import MomentSums

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


def test_a_constant_channel_has_no_covariance():
    """However large it is, and however its sums are rounded."""
    x = RNG.normal(size=(7, 30, 3)).astype(np.float32)
    x[..., 1] = 12345.678
    sums = MomentSums(3)
    for text in x:
        sums.observe(text)
    found = sums.moments()
    assert found.mean[1] == pytest.approx(12345.678)
    assert not found.covariance[1].any()
    assert not found.covariance[:, 1].any()
    assert found.covariance[0, 0] == pytest.approx(np.var(x[..., 0]), rel=1e-4)


def test_a_large_mean_costs_no_precision():
    x = RNG.normal([1e5, 0], size=(1000, 2)).astype(np.float32)
    assert moments(x).covariance[0, 0] == pytest.approx(np.var(x[:, 0].astype(np.float64)), rel=1e-3)
