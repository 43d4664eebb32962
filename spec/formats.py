"""Number formats that golden and hdl share: widths and fixed-point positions.

Widths that depend on a configuration are its properties. :func:`unsigned_bits` and :func:`signed_bits` derive them
from bounds.
"""

__all__ = [
    "BIAS_BITS",
    "CYCLE_BITS",
    "DIFFERENCE_BITS",
    "EXP_CURVATURE",
    "EXP_FRACTION",
    "EXP_UNIT",
    "INT8_BITS",
    "INT8_MAX",
    "INT8_MIN",
    "INT8_PEAK",
    "LEVEL_FACTOR_BITS",
    "LEVEL_NEAR",
    "LEVEL_SHIFT_BASE",
    "LEVEL_SHIFT_LEAST",
    "LEVEL_WEIGHT_BITS",
    "OUTPUT_FRACTION",
    "OUTPUT_MULTIPLIER_BITS",
    "OUTPUT_SHIFT_BITS",
    "RECIPROCAL_FRACTION",
    "RHO_FRACTION",
    "ROW_MULTIPLIER_BITS",
    "ROW_SHIFT_BASE",
    "ROW_SHIFT_BITS",
    "SCALE_FRACTION",
    "SCORE_MULTIPLIER_BITS",
    "SCORE_SHIFT_BITS",
    "ceil_div",
    "signed_bits",
    "unsigned_bits",
]

INT8_BITS = 8
INT8_MIN = -128
INT8_MAX = 127
INT8_PEAK = 128
"""Largest magnitude of an INT8 value."""

RHO_FRACTION = 8
"""Fraction bits of the signed pruning parameter ρ. Its smallest value, −1, switches block pruning off."""

SCORE_MULTIPLIER_BITS = 17
SCORE_SHIFT_BITS = 4
DIFFERENCE_BITS = 17
"""The row maximum minus a score, shifted right, saturates to this many unsigned bits. The difference and the
multiplier then fit the signed operands of one 18×18 DSP block."""
SCALE_FRACTION = 12
"""Right shift of the product of difference and multiplier. The result is the exponent t."""

EXP_FRACTION = 12
"""Fraction bits of the exponent t in 2^−t."""
EXP_UNIT = 16
"""Fraction bits of 2^−f, where f is the fraction of t. The integer part of t then shifts this value right."""
EXP_CURVATURE = (11, 64)
"""Numerator and denominator of c in 2^−f ≈ 1 − f/2 − c·f·(1−f), 0 ≤ f < 1.

The polynomial is exact at f = 0 and f = 1, so that it is continuous over all t. c = 0.1716 minimises its largest
error. 11/64 is the nearest constant that two shifted additions can make; the largest error is 2.0·10⁻³."""

LEVEL_FACTOR_BITS = 3
"""Significant bits of the factor between a predicted score and its level, the predicted score in powers of two."""
LEVEL_SHIFT_BASE = SCALE_FRACTION + EXP_FRACTION
LEVEL_SHIFT_LEAST = 3
"""Smallest right shift of the product of predicted score and factor. The factor is at most 8, so a level is never
larger than the predicted score."""
LEVEL_NEAR = 2
"""Two predicted scores are near if they differ by less than 2^(shift − 2), which is one to two levels."""
LEVEL_WEIGHT_BITS = 10
"""Fraction bits of the weights 2^−x of predicted scores. Smaller weights are 0."""

RECIPROCAL_FRACTION = 16
"""Fraction bits of the mantissa of a row's denominator, and of the mantissa of its reciprocal."""

OUTPUT_MULTIPLIER_BITS = 16
OUTPUT_SHIFT_BITS = 5
OUTPUT_FRACTION = 9
"""Fraction bits of an output accumulator after its division by 2^floor(log2 denominator)."""

BIAS_BITS = 32
ROW_MULTIPLIER_BITS = 16
ROW_SHIFT_BITS = 5
ROW_SHIFT_BASE = 8
"""Constant part of a row's shift: the INT8 result of (W·X + b) is that sum times multiplier / 2^(8 + shift)."""

CYCLE_BITS = 32
"""Bits of the cycle counts in the statistics."""


def unsigned_bits(largest: int) -> int:
    """Bits of an unsigned number from 0 to ``largest``; at least 1."""
    return max(1, largest.bit_length())


def signed_bits(smallest: int, largest: int) -> int:
    """Bits of a two's-complement number from ``smallest`` to ``largest``."""
    return 1 + max(largest.bit_length() if largest > 0 else 0, (-smallest - 1).bit_length() if smallest < 0 else 0)


def ceil_div(numerator: int, denominator: int) -> int:
    """Divide and round up."""
    return -(-numerator // denominator)
