"""Reciprocal 1/D by a piecewise-linear approximation."""

from functools import cache

import numpy as np

from ...spec.attention_config import AttentionConfig
from ...spec.formats import RECIPROCAL_FRACTION, unsigned_bits
from ...spec.tables import reciprocal_table
from ..lib.integer import Int64

__all__ = ["reciprocal"]

_POWERS: Int64 = 1 << np.arange(63)


@cache
def _table(segments: int) -> Int64:
    return np.array(reciprocal_table(segments), np.int64)


def reciprocal(config: AttentionConfig, denominator: Int64) -> tuple[Int64, Int64]:
    """Mantissa and exponent of 1/D ≈ mantissa / 2^(16 + exponent).

    D = 2^exponent · (1 + x), 0 ≤ x < 1. The mantissa approximates 1/(1 + x) by a line for each segment of x.

    Parameters
    ----------
    config : AttentionConfig
    denominator : int64 array, ≥ 1

    Returns
    -------
    mantissa, exponent : int64 arrays of the same shape
        The mantissa has 16 fraction bits. It is at most 1 and about ½ at least.
    """
    one = 1 << RECIPROCAL_FRACTION
    exponent = np.searchsorted(_POWERS, denominator, side="right") - 1
    x = (denominator << RECIPROCAL_FRACTION >> exponent) - one
    width = one // config.reciprocal_segments
    offset, drop = np.moveaxis(_table(config.reciprocal_segments)[x // width], -1, 0)
    mantissa = offset - drop * (x % width) // width
    assert unsigned_bits(int(mantissa.max(initial=0))) <= RECIPROCAL_FRACTION + 1
    return mantissa, exponent
