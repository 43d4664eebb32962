"""Mean and covariance of channels over the tokens of some sentences."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["CentredSums", "MomentSums", "Moments", "covariance"]

Float64 = NDArray[np.float64]

NOISE = 1e-5
"""A channel is constant if its variance is this small relative to its mean square, both about the origin. Sums of
many float32 products have errors of this size."""

_Float = TypeVar("_Float", bound=np.floating)


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Moments of K channels over the tokens of some sentences.

    Attributes
    ----------
    mean : (K,) float64
    covariance : (K, K) float64
    """

    mean: Float64
    covariance: Float64

    def in_units(self, scales: Float64) -> "Moments":
        """The moments of the channels divided by ``scales``."""
        return Moments(mean=self.mean / scales, covariance=self.covariance / np.outer(scales, scales))

    def ordered(self, channels: NDArray[np.int64]) -> "Moments":
        """The moments of these channels, in this order."""
        return Moments(mean=self.mean[channels], covariance=self.covariance[np.ix_(channels, channels)])


class CentredSums:
    """Sums of channels and of their squares, about an origin: the channels' means in the first batch.

    Products of what is about the origin are small where a channel hardly varies. So a covariance that is computed from
    them is not a small difference of large numbers.

    Parameters
    ----------
    channels : int
        K.
    """

    def __init__(self, channels: int):
        self._origin: Float64 | None = None
        self._sums, self._squares = np.zeros(channels), np.zeros(channels)
        self._tokens = 0

    def observe(self, x: NDArray[_Float]) -> NDArray[_Float]:
        """Count (…, K) finite numbers. Returns them as rows, about the origin."""
        rows = x.reshape(-1, len(self._sums))
        origin = self._origin
        if origin is None:
            origin = self._origin = rows.mean(axis=0, dtype=np.float64)
        rows = (rows - origin).astype(x.dtype)
        self._sums += rows.sum(axis=0, dtype=np.float64)
        self._squares += np.square(rows).sum(axis=0, dtype=np.float64)
        self._tokens += len(rows)
        return rows

    @property
    def offset(self) -> Float64:
        """(K,) mean about the origin."""
        return self._sums / self._tokens

    @property
    def mean(self) -> Float64:
        """(K,) mean of all tokens so far; there is at least one."""
        assert self._origin is not None
        return self._origin + self.offset

    @property
    def varies(self) -> NDArray[np.bool_]:
        """(K,) false where the channel is constant but for rounding."""
        squares = self._squares / self._tokens
        return ~(squares - np.square(self.offset) <= NOISE * squares)  # true for NaN

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return self._tokens


def covariance(products: Float64, left: CentredSums, right: CentredSums) -> Float64:
    """(K, N) covariance of channels, from the sums of their products. That of a constant channel is 0.

    Parameters
    ----------
    products : (K, N) float64
        Of what :meth:`CentredSums.observe` returned.
    left, right : CentredSums
        Of the K and the N channels.
    """
    found = products / left.tokens - np.outer(left.offset, right.offset)
    return np.where(np.outer(left.varies, right.varies), found, 0.0)


class MomentSums:
    """Sums from which moments follow.

    Parameters
    ----------
    channels : int
        K.
    """

    def __init__(self, channels: int):
        self._sums = CentredSums(channels)
        self._products = np.zeros((channels, channels))

    def observe(self, x: NDArray[np.floating]) -> None:
        """Count the values of (…, K) finite numbers."""
        rows = self._sums.observe(x.astype(np.float64))
        self._products += rows.T @ rows

    def moments(self) -> Moments:
        """The moments of all values so far; there is at least one."""
        return Moments(mean=self._sums.mean, covariance=covariance(self._products, self._sums, self._sums))
