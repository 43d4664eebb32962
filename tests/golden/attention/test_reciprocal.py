"""1/D: error per number of segments, exact powers of two, ends."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.attention.reciprocal import reciprocal
from thresher.spec import PRESETS

SERVER = dataclasses.replace(PRESETS["server"], max_length=1024, weight_bits=15)
# Largest relative error of the piecewise line, low and high, as docs/numbers.md states it.
BOUNDS = {
    1: (-0.086, 0.062),
    2: (-0.0253, 0.0209),
    4: (-7.0e-3, 6.4e-3),
    8: (-1.9e-3, 1.9e-3),
    16: (-5.1e-4, 5.1e-4),
    32: (-1.5e-4, 1.5e-4),
    64: (-6.5e-5, 6.5e-5),
}


def _denominators(seed: int) -> np.ndarray:
    every = np.arange(1, 1 << 14)
    largest = SERVER.max_length * SERVER.weight_max
    around = np.concatenate([2**k + np.array([-1, 0, 1]) for k in range(14, largest.bit_length())])
    return np.concatenate([every, around[around <= largest], np.random.default_rng(seed).integers(1, largest, 50_000)])


@pytest.mark.parametrize("segments", BOUNDS)
def test_relative_error(segments):
    d = _denominators(seed=segments)
    mantissa, exponent = reciprocal(dataclasses.replace(SERVER, reciprocal_segments=segments), d)
    relative = mantissa * 2.0 ** (-16 - exponent) * d - 1
    low, high = BOUNDS[segments]
    assert relative.min() >= low
    assert relative.max() <= high


@pytest.mark.parametrize("segments", BOUNDS)
def test_ranges(segments):
    d = _denominators(seed=segments)
    mantissa, exponent = reciprocal(dataclasses.replace(SERVER, reciprocal_segments=segments), d)
    assert (2**exponent <= d).all()
    assert (d < 2 ** (exponent + 1)).all()
    assert exponent.max() < 1 << SERVER.exponent_bits
    assert mantissa.min() > 0
    assert mantissa.max() <= 1 << 16


def test_falls_within_an_octave_but_for_the_joints():
    d = np.arange(1 << 16, 1 << 17)
    mantissa, _ = reciprocal(PRESETS["edge"], d)
    rises = np.diff(mantissa)
    assert rises.max() <= 8  # pieces are lowered by different amounts, so they part by a little where they meet
    assert (rises[rises > 0].size) < PRESETS["edge"].reciprocal_segments


def test_shape_is_kept():
    mantissa, exponent = reciprocal(PRESETS["edge"], np.array([[1, 2], [3, 4095]]))
    assert mantissa.shape == exponent.shape == (2, 2)
    assert exponent.tolist() == [[0, 1], [1, 11]]
