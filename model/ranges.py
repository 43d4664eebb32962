"""Ranges of the channels of a tensor, from observed values."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import ConfigError
from ..spec.formats import INT8_MAX
from .weights import Float32

__all__ = ["DEFAULT_PERCENTILE", "METHODS", "ChannelRanges", "Method", "check_ranges"]

Method = Literal["min-max", "percentile", "mse", "kl"]
METHODS: tuple[Method, ...] = get_args(Method)
"""How a bound is chosen: the largest magnitude; a percentile of the magnitudes; the bound with the least squared error
of the quantised values; or the bound with the least Kullback–Leibler divergence of their distribution."""
DEFAULT_PERCENTILE = 99.99

_LEAST_EXPONENT, _LARGEST_EXPONENT = -24, 15
"""Magnitudes below the least power of two share a bin, and so do those above the largest."""

_CANDIDATES = 0.5 ** (np.arange(32) / 8)
"""Bounds that ``mse`` and ``kl`` try, as shares of the largest magnitude."""

_FLOAT32_FRACTION, _FLOAT32_BIAS = 23, 127
_SMALLEST = 1e-30


class ChannelRanges:
    """Smallest and largest value of every channel, and on request a histogram of the magnitudes.

    A bin is the magnitudes that share their exponent and the highest bits of their fraction. So memory does not depend
    on the number of values.

    Parameters
    ----------
    channels : int
        C.
    fraction_bits : int, optional
        Make a histogram with 2^fraction_bits bins to each power of two. Only the method ``min-max`` needs none.

    Attributes
    ----------
    low, high : (C,) float64
        Smallest and largest value of each channel.
    squares : (C,) float64
        Sum of the squares of each channel's values.
    values : int
        Number of values of each channel.
    """

    def __init__(self, channels: int, *, fraction_bits: int | None = None):
        self.low = np.full(channels, np.inf)
        self.high = np.full(channels, -np.inf)
        self.squares = np.zeros(channels)
        self.values = 0
        self._histogram = None if fraction_bits is None else _Histogram(channels, fraction_bits)

    def observe(self, x: Float32) -> None:
        """Count the values of (…, C) finite numbers."""
        rows = np.ascontiguousarray(x, np.float32).reshape(-1, len(self.low))
        self.low = np.minimum(self.low, rows.min(axis=0, initial=np.inf))
        self.high = np.maximum(self.high, rows.max(axis=0, initial=-np.inf))
        self.squares += np.square(rows, dtype=np.float64).sum(axis=0)
        self.values += len(rows)
        if self._histogram is not None:
            self._histogram.observe(np.abs(rows))

    @property
    def peak(self) -> NDArray[np.float64]:
        """(C,) largest magnitude of each channel."""
        return np.maximum(np.maximum(-self.low, self.high), 0)

    @property
    def moments(self) -> NDArray[np.float64]:
        """(C,) mean of the squared values of each channel."""
        return self.squares / max(self.values, 1)

    def bounds(
        self, method: Method = "min-max", *, percentile: float = DEFAULT_PERCENTILE, per_channel: bool = True
    ) -> NDArray[np.float64]:
        """Magnitude of each channel that INT8's 127 stands for.

        Parameters
        ----------
        method : Method
        percentile : float
            Of the magnitudes, for the method of that name; 50 < percentile ≤ 100.
        per_channel : bool
            Otherwise all channels have one bound, chosen for all values together.

        Returns
        -------
        (C,) float64, > 0

        Raises
        ------
        ConfigError
            Method or percentile is not allowed.
        """
        check_ranges(method, percentile)
        peak = self.peak if per_channel else self.peak.max(keepdims=True)
        found = peak
        if method != "min-max":
            assert self._histogram is not None, "only min-max needs no histogram"
            found = self._histogram.bounds(method, peak, percentile, per_channel)
        # A channel that is always zero fits any bound.
        found = np.where(peak > 0, np.minimum(found, peak), 1.0)
        return np.broadcast_to(found, self.low.shape).copy()


class _Histogram:
    """Magnitudes of every channel."""

    def __init__(self, channels: int, fraction_bits: int):
        self._shift = _FLOAT32_FRACTION - fraction_bits
        self._first = (_LEAST_EXPONENT + _FLOAT32_BIAS) << fraction_bits
        bins = (_LARGEST_EXPONENT + 1 - _LEAST_EXPONENT) << fraction_bits
        self._counts = np.zeros((channels, bins), np.int64)
        # Where each bin begins, and where the last one ends.
        starts = (np.arange(bins + 1) + self._first << self._shift).astype(np.uint32).view(np.float32)
        self._edges = starts.astype(np.float64)
        self._centres = (self._edges[:-1] + self._edges[1:]) / 2

    def observe(self, magnitudes: Float32) -> None:
        bits = (magnitudes.view(np.uint32) >> self._shift).astype(np.int64) - self._first
        channels, bins = self._counts.shape
        places = np.clip(bits, 0, bins - 1) + np.arange(channels) * bins
        used, counts = np.unique(places, return_counts=True)
        self._counts.reshape(-1)[used] += counts

    def bounds(
        self, method: Method, peak: NDArray[np.float64], percentile: float, per_channel: bool
    ) -> NDArray[np.float64]:
        counts = self._counts if per_channel else self._counts.sum(axis=0, keepdims=True)
        if method == "percentile":
            return np.array([self._percentile(row, percentile) for row in counts])
        error = self._squared_error if method == "mse" else self._divergence
        errors = np.stack([error(counts, peak * share) for share in _CANDIDATES])
        return peak * _CANDIDATES[errors.argmin(axis=0)]

    def _percentile(self, counts: NDArray[np.int64], percentile: float) -> float:
        cumulative = counts.cumsum()
        bin_ = int(np.searchsorted(cumulative, percentile / 100 * cumulative[-1]))
        last = len(counts) - 1  # holds everything above its start, up to the peak
        return float(self._edges[bin_ + 1]) if bin_ < last else np.inf

    def _levels(self, bound: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(C, 1): scale of each channel, and (C, bins): INT8 level of each bin."""
        scale = (np.maximum(bound, _SMALLEST) / INT8_MAX)[:, None]
        return scale, np.minimum(np.rint(self._centres / scale), INT8_MAX)

    def _squared_error(self, counts: NDArray[np.int64], bound: NDArray[np.float64]) -> NDArray[np.float64]:
        scale, level = self._levels(bound)
        return (counts * (level * scale - self._centres) ** 2).sum(axis=1)

    def _divergence(self, counts: NDArray[np.int64], bound: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kullback–Leibler divergence of each channel's INT8 levels from its magnitudes.

        The values of a level are spread evenly over the bins of the level that occur. Values beyond the bound count in
        the last bin below it. A bin that only they fill has half a value after quantisation, so that the result stays
        finite.
        """
        _, level = self._levels(bound)
        ends = np.maximum((bound[:, None] >= self._centres).sum(axis=1), 1)
        result = np.zeros(len(counts))
        for channel, (row, end) in enumerate(zip(counts, ends, strict=True)):
            p, levels = row[:end].astype(np.float64), level[channel, :end].astype(np.int64)
            values = np.bincount(levels, weights=p, minlength=INT8_MAX + 1)
            bins = np.bincount(levels, weights=p > 0, minlength=INT8_MAX + 1)
            q = np.where(p > 0, values[levels] / np.maximum(bins[levels], 1), 0)
            p[-1] += row[end:].sum()
            used = p > 0
            p, q = p[used], np.maximum(q[used], 0.5)
            p, q = p / p.sum(), q / q.sum()
            result[channel] = (p * np.log(p / q)).sum()
        return result


def check_ranges(method: Method, percentile: float) -> None:
    """Check the settings of a calibration.

    Raises
    ------
    ConfigError
        Method or percentile is not allowed.
    """
    if method not in METHODS:
        raise ConfigError("method", method, "must be one of " + ", ".join(METHODS))
    if not 50 < percentile <= 100:
        raise ConfigError("percentile", percentile, "must be above 50 and at most 100")
