"""Weights of 8 and 4 bits."""

import numpy as np
import pytest
from thresher.model.integer.rounding import CLIPS, DAMPING, quantised_rows, round_int8

RNG = np.random.default_rng(0)


def covariance(channels: int) -> np.ndarray:
    """Of correlated channels."""
    x = RNG.normal(size=(channels, channels // 2)) @ RNG.normal(size=(channels // 2, 1000))
    return np.cov(x)


def test_rounding_to_int8():
    x = np.array([0.0, 0.5, 1.5, -0.5, 1000, -1000])
    assert round_int8(x, np.ones(6)).tolist() == [0, 0, 2, 0, 127, -127]


def test_rows_of_four_bits_have_the_least_squared_error():
    weights = RNG.normal(size=(9, 200))
    weights[3] = 0
    weights[4, 0] = 6  # clipped
    least = np.full(9, 1e-3)
    found, scales = quantised_rows(weights, least, 4)
    assert (found.dtype, found.min(), found.max()) == (np.int8, -8, 7)
    assert (found[3] == 0).all()
    assert scales[3] == 1e-3
    assert found[4, 0] == 7
    assert scales[4] < 6 / 7
    for row, values, scale in zip(weights, found, scales, strict=True):
        error = np.square(values * scale - row).sum()
        for clip in CLIPS:
            tried = max(np.abs(row).max() * clip / 7, 1e-3)
            other = np.clip(np.rint(row / tried), -8, 7) * tried
            assert error <= np.square(other - row).sum()


def test_rows_of_eight_bits_clip_nothing():
    weights = RNG.normal(size=(5, 30))
    found, scales = quantised_rows(weights, np.full(5, 1e-9), 8)
    assert scales == pytest.approx(np.abs(weights).max(axis=1) / 127)
    assert np.abs(found).max(axis=1).tolist() == [127] * 5


@pytest.mark.parametrize("matrix", [np.zeros((30, 30)), np.eye(30), np.diag(RNG.uniform(0.1, 9, 30))])
def test_independent_inputs_round_to_nearest(matrix):
    weights, least = RNG.normal(size=(5, 30)), np.full(5, 1e-9)
    nearest, _ = quantised_rows(weights, least, 4)
    found, _ = quantised_rows(weights, least, 4, matrix)
    assert np.array_equal(found, nearest)


def test_rounding_is_that_of_updates_by_the_inverse_covariance():
    """The form of the paper: an error moves to the columns that are not rounded yet."""
    weights, matrix = RNG.normal(size=(6, 25)), covariance(25)
    weights[:, ::4] = 0
    found, scales = quantised_rows(weights, np.full(6, 1e-9), 4, matrix)
    left = weights.copy()
    damped = matrix + np.eye(25) * DAMPING * np.diag(matrix).mean()
    for j in range(25):
        inverse = np.linalg.inv(damped[j:, j:])
        rounded = np.clip(np.rint(left[:, j] / scales), -8, 7) * (weights[:, j] != 0)
        assert np.array_equal(found[:, j], rounded)
        left[:, j:] -= np.outer(left[:, j] - rounded * scales, inverse[0] / inverse[0, 0])


def test_second_order_rounding_makes_products_more_exact():
    weights, matrix = RNG.normal(size=(40, 60)), covariance(60)
    weights[RNG.random(weights.shape) < 0.4] = 0
    errors = []
    for known in (None, matrix):
        found, scales = quantised_rows(weights, np.full(40, 1e-9), 4, known)
        assert -8 <= found.min() <= found.max() <= 7
        assert not found[weights == 0].any()
        error = found * scales[:, None] - weights
        errors.append(np.einsum("ij,jk,ik", error, matrix, error))
    assert errors[1] < 0.7 * errors[0]
