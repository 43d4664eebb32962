"""Wide integers to INT8."""

import numpy as np

from ...spec.formats import INT8_MAX, INT8_MIN
from .integer import Int8, Int64, round_half_up_shift

__all__ = ["requantize"]


def requantize(values: Int64, multiplier: Int64 | int, shift: Int64 | int) -> tuple[Int8, int]:
    """clip(round_half_up(value · multiplier / 2^shift), −128, 127).

    Parameters
    ----------
    values : int64 array
    multiplier : int64 array that broadcasts against it, or int
    shift : the same, ≥ 1

    Returns
    -------
    result : int8 array of the same shape
    saturations : int
        How many values were clipped.
    """
    rounded = round_half_up_shift(values * multiplier, shift)
    clipped = np.clip(rounded, INT8_MIN, INT8_MAX)
    return clipped.astype(np.int8), int((clipped != rounded).sum())
