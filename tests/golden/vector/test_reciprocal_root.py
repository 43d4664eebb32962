"""1/√V: error bound, ends, and monotony."""

import numpy as np
import pytest
from thresher.golden.vector.reciprocal_root import reciprocal_root
from thresher.spec.vector import ROOT_FRACTION, VARIANCE_BITS


def test_error_over_all_magnitudes():
    rng = np.random.default_rng(0)
    random = [rng.integers(1 << bits, 2 << bits, 500) for bits in range(VARIANCE_BITS)]
    ends = [np.arange(1, 5000), 4 ** np.arange(27), 4 ** np.arange(1, 27) - 1]
    variance = np.concatenate([*random, *ends])
    mantissa, exponent = reciprocal_root(variance)
    error = mantissa / 2.0 ** (ROOT_FRACTION + exponent) * np.sqrt(variance.astype(np.float64)) - 1
    assert np.abs(error).max() < 2.2e-4


def test_mantissa_never_grows_within_four_octaves():
    mantissa, exponent = reciprocal_root(np.arange(1 << 16, 1 << 18))
    assert set(exponent) == {8}
    # At the border of two segments the lines differ by their errors, at most 1.7·10⁻⁴ of 2^16.
    assert np.diff(mantissa).max() <= 8


@pytest.mark.parametrize(("variance", "exponent"), [(0, 0), (1, 0), (3, 0), (4, 1), ((1 << 54) - 1, 26), (1 << 54, 27)])
def test_exponent(variance, exponent):
    mantissa, found = reciprocal_root(np.array([variance]))
    assert found == [exponent]
    assert (1 << 15) - 16 <= mantissa[0] <= 1 << 16
