"""Split of INT8 values into an integer part, which the predictor uses, and a fraction."""

import numpy as np

from ...spec.attention_config import AttentionConfig, Split
from ...spec.formats import INT8_PEAK
from ..lib.integer import Int64

__all__ = ["split"]


def split(config: AttentionConfig, x: Int64) -> tuple[Int64, Int64]:
    """Integer part and fraction of x = 2^F·integer + fraction.

    Parameters
    ----------
    config : AttentionConfig
        ``split`` is the rounding rule, ``fraction_bits`` is F.
    x : int64 array of INT8 values, any shape

    Returns
    -------
    integer, fraction : int64 arrays of the same shape
    """
    unit = 1 << config.fraction_bits
    if config.split is Split.ROUND:
        # The largest values of x would round up to one more than the integer part can hold.
        integer = np.minimum((x + unit // 2) // unit, INT8_PEAK // unit - 1)
    elif config.split is Split.TRUNC:
        integer = np.sign(x) * (np.abs(x) // unit)
    else:
        integer = x // unit
    return integer, x - unit * integer
