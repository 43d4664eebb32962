"""The helpers that every golden block rests on."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.golden.lib.integer import as_int8_matrix, exact_matmul, round_half_up_shift
from thresher.spec import InputError


@given(st.integers(-(2**40), 2**40), st.integers(1, 40))
def test_rounding_is_to_nearest_with_halves_up(value, shift):
    rounded = int(round_half_up_shift(np.array([value], np.int64), shift)[0])
    difference = rounded - Fraction(value, 2**shift)
    assert Fraction(-1, 2) < difference <= Fraction(1, 2)


@pytest.mark.parametrize(("value", "expected"), [(-3, -1), (-2, -1), (-1, 0), (0, 0), (1, 1), (2, 1), (3, 2)])
def test_halves_go_toward_plus_infinity(value, expected):
    assert round_half_up_shift(np.array([value], np.int64), 1) == [expected]


def test_shifts_may_differ_by_element():
    result = round_half_up_shift(np.array([[7, 7, 7]], np.int64), np.array([1, 2, 3], np.int64))
    assert result.tolist() == [[4, 2, 1]]


@pytest.mark.parametrize("magnitude", [1, 128, 2**20, 2**26, 2**27])
def test_products_are_exact_on_both_paths(magnitude):
    rng = np.random.default_rng(1)
    a = rng.integers(-magnitude, magnitude + 1, (5, 40))
    b = rng.integers(-magnitude, magnitude + 1, (40, 3))
    a[0], b[:, 0] = magnitude, magnitude - 1  # odd sums beyond 2^53 for the largest magnitude
    expected = [[sum(int(x) * int(y) for x, y in zip(row, column, strict=True)) for column in b.T] for row in a]
    assert exact_matmul(a, b).tolist() == expected


def test_widening_keeps_minus_128():
    wide = as_int8_matrix("Q", np.array([[-128, 127]], np.int8))
    assert wide.dtype == np.int64
    assert wide.tolist() == [[-128, 127]]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((2, 2)), ["Q", "int8", "float64"]),
        (np.full((2, 2), np.nan), ["Q", "int8", "float64"]),
        (np.zeros((2, 2), np.uint8), ["Q", "int8", "uint8"]),
        (np.zeros((2, 2), np.int64), ["Q", "int8", "int64"]),
        ([[1, 2]], ["Q", "int8", "list"]),
        (None, ["Q", "int8", "NoneType"]),
        (np.zeros(4, np.int8), ["Q", "two dimensions", "(4,)"]),
        (np.zeros((1, 2, 2), np.int8), ["Q", "two dimensions", "(1, 2, 2)"]),
    ],
)
def test_other_inputs_are_rejected_in_one_line(value, words):
    with pytest.raises(InputError) as caught:
        as_int8_matrix("Q", value)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
