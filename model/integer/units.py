"""Units of INT8 tensors whose channels differ by powers of two, and of the residual sums that they meet in."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...spec.formats import INT8_MAX
from ...spec.vector import CHANNEL_SHIFT_MAX

__all__ = ["ChannelUnits", "Residual", "channel_units", "pair_units", "residual"]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

FINER = 2
"""A residual sum has units of up to 2^−FINER of the smallest unit of its operand x, so that y may be finer than x."""
LARGEST_EXPONENT = CHANNEL_SHIFT_MAX - FINER


@dataclass(frozen=True, kw_only=True)
class ChannelUnits:
    """Units of an INT8 tensor: one unit of channel c is worth unit · 2^exponents[c]."""

    unit: float
    exponents: Int64

    @property
    def scales(self) -> Float64:
        """(C,) real value of one unit of each channel."""
        return np.ldexp(self.unit, self.exponents)


@dataclass(frozen=True, kw_only=True)
class Residual:
    """Units of a residual sum (x << x_shift) + (y << y_shift).

    Attributes
    ----------
    unit : float
        Real value of one unit of the sum.
    x_shift, y_shift : (C,) int64
    """

    unit: float
    x_shift: Int64
    y_shift: Int64

    @property
    def y_scales(self) -> Float64:
        """(C,) real value of one unit of each channel of y."""
        return np.ldexp(self.unit, self.y_shift)


def _exponents(bounds: Float64, unit: float, largest: int) -> Int64:
    """Least exponent with which INT8 reaches the bound of each channel."""
    needed = np.ceil(np.log2(bounds / (INT8_MAX * unit)) - 1e-9)
    return np.clip(needed, 0, largest).astype(np.int64)


def channel_units(
    bounds: Float64,
    moments: Float64,
    readers: NDArray[np.floating],
    added: Float64 | None = None,
    *,
    largest_weight: int = INT8_MAX,
) -> ChannelUnits:
    """Units of a tensor x for which the products W·x have the least estimated error.

    The error of a product has two parts. Each channel of x is rounded to its unit, and the error is multiplied by the
    weights. Each row of W, with the units of x multiplied into its columns, is rounded to the unit of the row, and this
    error is multiplied by x. Small units make the first part small. But a channel with a large range then has a unit,
    and a column of W, that is much larger than those of the others, which makes the second part large.

    Parameters
    ----------
    bounds : (C,) float64
        Magnitude of each channel that INT8's 127 must reach.
    moments : (C,) float64
        Mean of the squared values of each channel.
    readers : (M, C) float
        W of all products together.
    added : (C,) float64, optional
        Bounds of a tensor that is added to this one in a residual sum. The sum must reach them, too.
    largest_weight : int
        Integer that the largest weight of a row becomes.
    """
    top = bounds.max() / INT8_MAX
    least = top * 0.5**LARGEST_EXPONENT
    if added is not None:
        least = max(least, added.max() / INT8_MAX * 0.5**CHANNEL_SHIFT_MAX)
    steps = max(0, math.floor(8 * math.log2(top / least)))
    magnitudes = np.abs(readers).astype(np.float64)
    importance = np.square(magnitudes).sum(axis=0)

    def error(units: ChannelUnits) -> float:
        scales = units.scales
        row_units = (magnitudes * scales).max(axis=1) / largest_weight
        return float((importance * scales**2).sum() + np.square(row_units).sum() * (moments / scales**2).sum())

    candidates = [
        ChannelUnits(unit=unit, exponents=_exponents(bounds, unit, LARGEST_EXPONENT))
        for unit in max(top, least) * 0.5 ** (np.arange(steps + 1) / 8)
    ]
    return min(candidates, key=error)


def residual(x: ChannelUnits, y_bounds: Float64) -> Residual:
    """Units of the sum of a tensor x and a tensor y with these bounds, which takes its units from the sum."""
    spare = math.log2(x.unit * (INT8_MAX << CHANNEL_SHIFT_MAX) / y_bounds.max())
    finer = max(0, min(FINER, math.floor(spare + 1e-9)))
    unit = x.unit / (1 << finer)
    return Residual(unit=unit, x_shift=x.exponents + finer, y_shift=_exponents(y_bounds, unit, CHANNEL_SHIFT_MAX))


def pair_units(x_bounds: Float64, y_bounds: Float64) -> tuple[Float64, Residual]:
    """Units of the sum of two tensors that both take their units from the sum.

    Returns
    -------
    x_scales : (C,) float64
        Real value of one unit of each channel of x.
    residual : Residual
    """
    unit = max(x_bounds.max(), y_bounds.max()) / INT8_MAX / (1 << CHANNEL_SHIFT_MAX)
    sums = Residual(
        unit=unit,
        x_shift=_exponents(x_bounds, unit, CHANNEL_SHIFT_MAX),
        y_shift=_exponents(y_bounds, unit, CHANNEL_SHIFT_MAX),
    )
    return np.ldexp(unit, sums.x_shift), sums
