"""Mean and covariance of the inputs of a product."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .units import Float64, Int64

__all__ = ["MomentSums", "Moments"]


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

    def ordered(self, channels: Int64) -> "Moments":
        """The moments of these channels, in this order."""
        return Moments(mean=self.mean[channels], covariance=self.covariance[np.ix_(channels, channels)])


class MomentSums:
    """Sums from which moments follow.

    Parameters
    ----------
    channels : int
        K.
    """

    def __init__(self, channels: int):
        self._sums = np.zeros(channels)
        self._products = np.zeros((channels, channels))
        self._values = 0

    def observe(self, x: NDArray[np.floating]) -> None:
        """Count the values of (…, K) finite numbers."""
        rows = x.reshape(-1, len(self._sums)).astype(np.float64)
        self._sums += rows.sum(axis=0)
        self._products += rows.T @ rows
        self._values += len(rows)

    def moments(self) -> Moments:
        """The moments of all values so far; there is at least one."""
        mean = self._sums / self._values
        return Moments(mean=mean, covariance=self._products / self._values - np.outer(mean, mean))
