"""Reciprocal square root 1/√V by a piecewise-linear approximation."""

import numpy as np

from ...spec.formats import unsigned_bits
from ...spec.tables import root_table
from ...spec.vector import ROOT_FRACTION, ROOT_SEGMENTS
from ..lib.integer import Int64

__all__ = ["reciprocal_root"]


def reciprocal_root(variance: Int64) -> tuple[Int64, Int64]:
    """Mantissa and exponent of 1/√V ≈ mantissa / 2^(16 + exponent).

    V = 2^e · (1 + f), 0 ≤ f < 1, and V = 4^exponent · m with 1 ≤ m < 4. The mantissa approximates 1/√m by a line for
    each segment of f; odd e have segments of their own.

    Parameters
    ----------
    variance : int64 array, ≥ 0
        0 is taken as 1.

    Returns
    -------
    mantissa, exponent : int64 arrays of the same shape
        The mantissa has 16 fraction bits. It is at most 1 and about ½ at least.
    """
    v = np.maximum(variance, 1)
    e = np.array([int(value).bit_length() - 1 for value in v.flat], np.int64).reshape(v.shape)
    one = 1 << ROOT_FRACTION
    # f with 16 fraction bits, rounded down. V may have more than 47 bits: shift right before shifting left.
    f = np.where(e > ROOT_FRACTION, v >> np.maximum(e - ROOT_FRACTION, 0), v << np.maximum(ROOT_FRACTION - e, 0)) - one
    width = one // ROOT_SEGMENTS
    table = np.array(root_table(), np.int64)
    entry = table[(e & 1) * ROOT_SEGMENTS + f // width]
    mantissa = entry[..., 0] - entry[..., 1] * (f % width) // width
    assert unsigned_bits(int(mantissa.max(initial=0))) <= ROOT_FRACTION + 1
    return mantissa, e >> 1
