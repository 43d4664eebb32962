"""Requantisation against rounding in exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.golden.lib.requantise import requantise


def _reference(value: int, multiplier: int, shift: int) -> int:
    return math.floor(Fraction(value * multiplier, 2**shift) + Fraction(1, 2))


@given(
    st.lists(st.integers(-(2**18), 2**18), min_size=1, max_size=20),
    st.integers(0, 2**16 - 1),
    st.integers(1, 40),
)
def test_is_multiply_round_clip(values, multiplier, shift):
    result, saturations = requantise(np.array(values), multiplier, shift)
    exact = [_reference(value, multiplier, shift) for value in values]
    assert result.dtype == np.int8
    assert result.tolist() == [max(-128, min(127, value)) for value in exact]
    assert saturations == sum(not -128 <= value <= 127 for value in exact)


@pytest.mark.parametrize(
    ("value", "expected", "clipped"),
    [
        (255, 127, 1),
        (254, 127, 0),
        (253, 127, 0),
        (-256, -128, 0),
        (-257, -128, 0),
        (-258, -128, 1),
        (1, 1, 0),
        (-1, 0, 0),
    ],
)
def test_corners_of_a_half(value, expected, clipped):
    """Multiplied by one half: 127.5 rounds up and is clipped, −128.5 rounds up and is not."""
    result, saturations = requantise(np.array([value]), 1, 1)
    assert (int(result[0]), saturations) == (expected, clipped)


def test_multipliers_broadcast_by_row():
    result, _ = requantise(np.array([[10, 20], [10, 20]]), np.array([[1], [2]]), 1)
    assert result.tolist() == [[5, 10], [10, 20]]
