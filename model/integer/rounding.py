"""Weights as integers of 8 or 4 bits, with a scale per row."""

import numpy as np
from numpy.typing import NDArray

from ...spec.formats import INT8_BITS, INT8_MAX
from .units import Float64

__all__ = ["largest_weight", "quantised_rows", "round_int8"]

CLIPS = tuple(share / 32 for share in range(32, 7, -1))
"""Clips of a row's weights that are tried if they have 4 bits, relative to its largest magnitude."""

DAMPING = 0.3
"""Variance that is added to every input of a product, relative to their mean variance. Few calibration sentences do not
determine the covariance; with this, rounding relies less on it."""


def largest_weight(weight_bits: int) -> int:
    """Largest weight of this many bits: 127 or 7."""
    return (1 << (weight_bits - 1)) - 1


def round_int8(x: NDArray[np.floating], scales: Float64) -> NDArray[np.int8]:
    """round(x / scales), halves to even, clipped to −127…127."""
    return np.clip(np.rint(x / scales), -INT8_MAX, INT8_MAX).astype(np.int8)


def quantised_rows(
    weights: Float64, least: Float64, weight_bits: int = INT8_BITS, covariance: Float64 | None = None
) -> tuple[NDArray[np.int8], Float64]:
    """Weights as integers, with a symmetric scale per row. Weights of 0 stay 0.

    With 8 bits, a row's largest magnitude becomes 127, and weights are rounded to nearest. With 4 bits, the row's
    largest weights are clipped: of the scales that :data:`CLIPS` give, the one with the least sum of squared errors is
    taken. Then :func:`second_order` rounds.

    Parameters
    ----------
    weights : (M, K) float64
    least : (M,) float64
        Smallest scale of each row.
    weight_bits : int
    covariance : (K, K) float64, optional
        Of the inputs. By default they are independent and of equal variance. Then weights are rounded to nearest.

    Returns
    -------
    quantised : (M, K) int8
        −127…127 with 8 bits, −8…7 with 4.
    scales : (M,) float64
        Real value of one unit of each row.
    """
    if weight_bits == INT8_BITS:
        scales = np.maximum(np.abs(weights).max(axis=1) / INT8_MAX, least)
        return round_int8(weights, scales[:, None]), scales
    scales = _clipped_scales(weights, least, weight_bits)
    if covariance is None:
        return _rounded(weights, scales[:, None], weight_bits).astype(np.int8), scales
    return second_order(weights, scales, weight_bits, covariance), scales


def _rounded(x: Float64, scales: Float64, weight_bits: int) -> Float64:
    largest = largest_weight(weight_bits)
    return np.clip(np.rint(x / scales), -largest - 1, largest)


def _clipped_scales(weights: Float64, least: Float64, weight_bits: int) -> Float64:
    peaks = np.abs(weights).max(axis=1)
    scales, errors = np.ones(len(weights)), np.full(len(weights), np.inf)
    for clip in CLIPS:
        tried = np.maximum(peaks * clip / largest_weight(weight_bits), least)
        found = np.square(_rounded(weights, tried[:, None], weight_bits) * tried[:, None] - weights).sum(axis=1)
        scales = np.where(found < errors, tried, scales)
        errors = np.minimum(found, errors)
    return scales


def second_order(weights: Float64, scales: Float64, weight_bits: int, covariance: Float64) -> NDArray[np.int8]:
    """Round weights such that the errors of the products, not those of the weights, are small.

    The columns are rounded one after another. Each weight first takes up the errors of the columns before, as far as
    its input is correlated with theirs. This is the rounding of GPTQ (arXiv 2210.17323), in the form of successive
    cancellation: with covariance = R·Rᵀ, R upper triangular, the error of a row w rounded to q is |(w − q)·R|², and
    component j of (w − q)·R depends on columns 0 to j only.

    Parameters
    ----------
    weights, scales, weight_bits, covariance
        See :func:`quantised_rows`.
    """
    damped = covariance + np.eye(len(covariance)) * (DAMPING * np.trace(covariance) / len(covariance) or 1.0)
    factors = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1].T.copy()  # row j is column j of R
    columns = weights.T.copy()
    errors, found = np.zeros_like(columns), np.zeros(columns.shape, np.int8)
    for j, (column, factor) in enumerate(zip(columns, factors, strict=True)):
        wanted = column + factor[:j] @ errors[:j] / factor[j]
        found[j] = np.where(column != 0, _rounded(wanted, scales, weight_bits), 0)
        errors[j] = column - found[j] * scales
    return found.T.copy()
