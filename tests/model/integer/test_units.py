"""Units of channels and of residual sums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.model.integer.units import channel_units, pair_units, residual
from thresher.spec.vector import CHANNEL_SHIFT_MAX

bounds = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12).map(np.array)


@given(bounds, st.floats(0.01, 100), st.integers(0, 100))
def test_every_channel_reaches_its_bound(x_bounds, factor, seed):
    y_bounds = np.random.default_rng(seed).permutation(x_bounds) * factor
    readers = np.random.default_rng(seed).normal(size=(5, len(x_bounds)))
    x = channel_units(x_bounds, np.square(x_bounds) / 9, readers, y_bounds)
    assert (x.scales * 127 >= x_bounds * (1 - 1e-6)).all()
    sums = residual(x, y_bounds)
    assert (sums.y_scales * 127 >= y_bounds * (1 - 1e-6)).all()
    for shift in (sums.x_shift, sums.y_shift):
        assert shift.min() >= 0
        assert shift.max() <= CHANNEL_SHIFT_MAX
    assert sums.unit * 2.0**sums.x_shift == pytest.approx(x.scales)


@given(bounds, st.floats(0.01, 100))
def test_pairs_reach_their_bounds(x_bounds, factor):
    y_bounds = x_bounds[::-1] * factor
    x_scales, sums = pair_units(x_bounds, y_bounds)
    assert (x_scales * 127 >= x_bounds * (1 - 1e-6)).all()
    assert (sums.y_scales * 127 >= y_bounds * (1 - 1e-6)).all()
    assert max(sums.x_shift.max(), sums.y_shift.max()) <= CHANNEL_SHIFT_MAX


def test_an_outlier_does_not_coarsen_the_others():
    ranges = np.array([40.0] + [1.0] * 99)
    x = channel_units(ranges, np.square(ranges / 4), np.ones((10, 100)))
    assert x.scales[0] > 10 * x.scales[1]
    assert x.scales[1] < 3 / 127


def test_weights_of_an_outlier_keep_the_units_together():
    """The finest units would make the outlier's column of W forty times as large as the others."""
    ranges = np.array([40.0] + [1.0] * 99)
    readers = np.ones((10, 100))
    readers[:, 0] = 50
    fine = channel_units(ranges, np.square(ranges / 4), np.ones((10, 100)))
    found = channel_units(ranges, np.square(ranges / 4), readers)
    assert found.scales[1] > fine.scales[1]


def test_coarse_weights_keep_the_units_together():
    """Weights of 4 bits lose more by unequal columns than the inputs gain by finer units."""
    ranges = np.geomspace(1, 40, 100)
    readers = np.random.default_rng(0).normal(size=(10, 100))
    fine, coarse = (channel_units(ranges, np.square(ranges / 4), readers, largest_weight=n) for n in (127, 7))
    assert np.ptp(coarse.exponents) < np.ptp(fine.exponents)
