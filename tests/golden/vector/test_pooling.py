"""Sums over tokens."""

import numpy as np
import pytest
from thresher.golden.vector.pooling import sum_tokens
from thresher.spec import InputError
from thresher.spec.formats import signed_bits
from thresher.spec.vector import POOL_BITS


def test_sums():
    assert sum_tokens(np.array([[1, 2, 3], [-128, -128, -128]], np.int8)).tolist() == [6, -384]


def test_the_largest_sums_fit():
    sums = sum_tokens(np.full((1, 1024), -128, np.int8))
    assert signed_bits(int(sums[0]), 0) <= POOL_BITS


@pytest.mark.parametrize(
    "x", [np.zeros((2, 0), np.int8), np.zeros((2, 1025), np.int8), np.zeros(2, np.int8), np.zeros((2, 3), np.int16)]
)
def test_wrong_inputs(x):
    with pytest.raises(InputError, match="L from 1 to 1024"):
        sum_tokens(x)
