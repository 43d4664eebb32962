"""Requantisation of wide integers to INT8."""

import numpy as np

from ...spec.formats import INT8_MAX, INT8_MIN
from .integer import Int8, Int64, round_half_up_shift

__all__ = ["requantise"]


def requantise(values: Int64, multiplier: Int64 | int, shift: Int64 | int) -> tuple[Int8, int]:
    """Compute clip(round(value · multiplier / 2^shift), −128, 127), rounding halves toward +∞.

    Parameters
    ----------
    values : int64 array
    multiplier : int, or int64 array that broadcasts to the shape of ``values``
    shift : int ≥ 1, or int64 array as ``multiplier``

    Returns
    -------
    results : int8 array, shape of ``values``
    saturations : int
        Number of clipped results.
    """
    rounded = round_half_up_shift(values * multiplier, shift)
    clipped = np.clip(rounded, INT8_MIN, INT8_MAX)
    return clipped.astype(np.int8), int((clipped != rounded).sum())
