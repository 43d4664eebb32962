"""What the inputs and the wanted outputs of a dense layer are like, on calibration sentences."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..moments import CentredSums, Float64, covariance
from ..weights import Float32

__all__ = ["Float64", "LayerStatistics", "StatisticsSums"]


@dataclass(frozen=True, kw_only=True)
class LayerStatistics:
    """Moments of the inputs x and the wanted outputs y of a dense layer with K inputs and M outputs.

    Attributes
    ----------
    mean : (K,) float64
        Of x.
    covariance : (K, K) float64
        Of x.
    wanted : (M,) float64
        Mean of y.
    cross : (M, K) float64
        Covariance of y and x.
    """

    mean: Float64
    covariance: Float64
    wanted: Float64
    cross: Float64

    def of_outputs(self, rows: slice) -> "LayerStatistics":
        """The statistics of some of the outputs."""
        return LayerStatistics(
            mean=self.mean, covariance=self.covariance, wanted=self.wanted[rows], cross=self.cross[rows]
        )

    def bias(self, weight: NDArray[np.floating]) -> Float32:
        """(M,) bias with which (M, K) weights give outputs of the wanted mean."""
        return (self.wanted - weight.astype(np.float64) @ self.mean).astype(np.float32)

    @property
    def squares(self) -> Float64:
        """(K,) mean of the squares of x."""
        return np.diag(self.covariance) + np.square(self.mean)


class StatisticsSums:
    """Sums from which :class:`LayerStatistics` follow.

    The products of a batch are summed in float32, and those of all batches in float64.

    Parameters
    ----------
    inputs, outputs : int
        K, M.
    """

    def __init__(self, inputs: int, outputs: int):
        self._x, self._y = CentredSums(inputs), CentredSums(outputs)
        self._xx, self._yx = np.zeros((inputs, inputs)), np.zeros((outputs, inputs))

    def observe(self, x: Float32, y: Float32) -> None:
        """Count the tokens of (…, K) inputs and (…, M) wanted outputs."""
        x, y = self._x.observe(x), self._y.observe(y)
        self._xx += x.T @ x
        self._yx += y.T @ x

    def statistics(self) -> LayerStatistics:
        """The statistics of all tokens so far; there is at least one."""
        return LayerStatistics(
            mean=self._x.mean,
            covariance=covariance(self._xx, self._x, self._x),
            wanted=self._y.mean,
            cross=covariance(self._yx, self._y, self._x),
        )
