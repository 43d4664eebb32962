"""Kept weights in INT8."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...spec.errors import InputError
from ...spec.formats import INT8_MAX
from ..weights import Float32
from .patterns import Mask, magnitudes

__all__ = ["SCALE_RANGE", "QuantisedMatrix", "quantise_pruned"]


@dataclass(frozen=True, kw_only=True)
class QuantisedMatrix:
    """A pruned matrix in INT8.

    Attributes
    ----------
    values : (M, K) int8
        −127…127, zero where pruned; and where a kept weight rounds to zero.
    scales : (M,) float32
        Value of one unit of each row, > 0.
    """

    values: NDArray[np.int8]
    scales: Float32

    def dequantise(self) -> Float32:
        """(M, K) float32 values of the INT8 weights."""
        return self.values * self.scales[:, None]


SCALE_RANGE = 2.0**-12
"""Smallest scale of a row, relative to the largest one of its matrix. All rows of a product share one output scale, and
with smaller weights a row's output is its bias."""


def quantise_pruned(weights: ArrayLike, mask: Mask) -> QuantisedMatrix:
    """Quantise kept weights to round(w / scale), halves to even, with one symmetric scale per row (output channel).

    A row's scale is its largest magnitude / 127, but at least 2⁻¹² of the matrix's largest scale, which the hardware's
    multiplier and shift can represent. The scales of a matrix of zeros are 1/127.

    Parameters
    ----------
    weights : (M, K) numbers
    mask : (M, K) bool
        See the pruning methods.

    Raises
    ------
    InputError
        The weights are not a matrix of finite float32 numbers, or the mask does not fit them.
    """
    magnitudes("the weight matrix", weights)
    exact = np.asarray(weights, np.float64)
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != exact.shape:
        found = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"the mask is {found}: it must be bool of the weights' shape {exact.shape}")
    exact = np.where(mask, exact, 0.0)
    scales = np.abs(exact).max(axis=1) / INT8_MAX
    largest = scales.max()
    if largest > np.finfo(np.float32).max:
        raise InputError("the weight matrix holds numbers beyond float32: scale them down")
    if (
        largest * SCALE_RANGE < np.finfo(np.float32).tiny
    ):  # zeros, or numbers so small that the scale would be subnormal
        largest = 1 / (INT8_MAX * SCALE_RANGE)
    scales = np.maximum(scales, largest * SCALE_RANGE).astype(np.float32)
    rounded = np.rint(exact / scales[:, None].astype(np.float64))
    values = np.clip(rounded, -INT8_MAX, INT8_MAX).astype(np.int8)
    return QuantisedMatrix(values=values, scales=scales)
