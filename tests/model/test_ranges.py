"""Ranges of channels: percentiles, bounds of least error, and channels of zeros."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from thresher.model.ranges import METHODS, ChannelRanges
from thresher.spec import ConfigError


@given(
    x=arrays(np.float32, st.integers(1, 200), elements=st.floats(-1e4, 1e4, width=32)),
    percentile=st.floats(50.01, 99.999),
)
def test_percentile_is_bounded_closely(x, percentile):
    found = ChannelRanges(1, fraction_bits=9)
    half = len(x) // 2
    found.observe(x[half:])
    found.observe(x[:half])
    magnitude = np.sort(np.abs(x))
    exact = magnitude[max(0, int(np.ceil(percentile / 100 * len(x))) - 1)]
    assert found.peak == magnitude[-1]
    if exact > 1e-7:  # smaller numbers share one bin
        assert exact <= found.bounds("percentile", percentile=percentile)[0] <= max(exact * (1 + 2**-8), exact)


def test_values_beyond_the_histogram_reach_the_peak():
    found = ChannelRanges(1, fraction_bits=5)
    found.observe(np.array([[1.0], [1e6], [-3e6]], np.float32))
    assert found.bounds("percentile", percentile=100) == [3e6]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_channels_of_zeros_are_usable(method, per_channel):
    nothing = ChannelRanges(3, fraction_bits=5)
    nothing.observe(np.zeros((5, 3), np.float32))
    assert nothing.bounds(method, per_channel=per_channel).tolist() == [1.0] * 3


def test_each_channel_has_its_own_range():
    found = ChannelRanges(2)
    found.observe(np.array([[[1, -8], [-2, 4]]], np.float32))
    assert (found.low.tolist(), found.high.tolist()) == ([-2, -8], [1, 4])
    assert found.bounds().tolist() == [2, 8]
    assert found.bounds(per_channel=False).tolist() == [8, 8]


def test_bounds_of_an_outlier():
    """One value a hundred times as far out as ten thousand others: only min-max reaches it."""
    x = np.random.default_rng(0).normal(size=(10_000, 1)).astype(np.float32)
    x[0] = 400
    found = ChannelRanges(1, fraction_bits=6)
    found.observe(x)
    bounds = {method: found.bounds(method, percentile=99.9)[0] for method in METHODS}
    assert bounds["min-max"] == 400
    assert bounds["percentile"] == pytest.approx(np.percentile(np.abs(x), 99.9), rel=0.05)
    assert 30 < bounds["mse"] <= 400
    assert bounds["kl"] < 100


def test_mse_is_the_best_of_the_candidates():
    x = np.random.default_rng(1).laplace(size=(20_000, 1)).astype(np.float32)
    found = ChannelRanges(1, fraction_bits=6)
    found.observe(x)

    def error(bound: float) -> float:
        scale = bound / 127
        return float(np.square(np.clip(np.rint(x / scale), -127, 127) * scale - x).sum())

    best = found.bounds("mse")[0]
    assert error(best) < 1.02 * min(error(np.abs(x).max() * 0.5 ** (i / 8)) for i in range(32))


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"method": "max"}, "method"), ({"percentile": 50}, "percentile"), ({"percentile": 101}, "percentile")],
)
def test_wrong_settings(settings, name):
    found = ChannelRanges(1)
    found.observe(np.ones((1, 1), np.float32))
    with pytest.raises(ConfigError, match=name):
        found.bounds(**{"method": "percentile"} | settings)
