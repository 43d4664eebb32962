"""Number formats: every width and fixed-point position that golden and hdl share.

A width is written here once, or derived from a bound by :func:`unsigned_bits` and :func:`signed_bits`.
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
"""ρ is a signed fixed-point number with this many fraction bits, −1 (pruning off) included."""

SCORE_MULTIPLIER_BITS = 17
SCORE_SHIFT_BITS = 4
DIFFERENCE_BITS = 17
"""Row maximum minus score, after the right shift, saturates to this many bits: one 18×18 DSP block
takes it and the multiplier as signed operands."""
SCALE_FRACTION = 12
"""The product of difference and multiplier is shifted right by this to give the exponent."""

EXP_FRACTION = 12
"""Fraction bits of the exponent t in 2^−t."""
EXP_UNIT = 16
"""Fraction bits of 2^−frac(t) before the integer part of t shifts it."""
EXP_CURVATURE = (11, 64)
"""c of 2^−f ≈ 1 − f/2 − c·f·(1−f), 0 ≤ f < 1: exact at both ends, so the pieces join, and 11/64 is the
shift-and-add constant nearest to the c that minimises the largest error (0.1716; error 2.0·10⁻³)."""

RECIPROCAL_FRACTION = 16
"""Fraction bits of the mantissa of a row's denominator, and of its reciprocal."""

OUTPUT_MULTIPLIER_BITS = 16
OUTPUT_SHIFT_BITS = 5
OUTPUT_FRACTION = 9
"""Fraction bits that an output accumulator keeps when it is divided by 2^floor(log2 denominator)."""

BIAS_BITS = 32
ROW_MULTIPLIER_BITS = 16
ROW_SHIFT_BITS = 5
ROW_SHIFT_BASE = 8
"""A row of W·X + b times multiplier / 2^(base + shift) is its INT8 result."""

CYCLE_BITS = 32


def unsigned_bits(largest: int) -> int:
    """Bits of an unsigned number in 0…largest."""
    return max(1, largest.bit_length())


def signed_bits(smallest: int, largest: int) -> int:
    """Bits of a two's-complement number in smallest…largest."""
    return 1 + max(largest.bit_length() if largest > 0 else 0, (-smallest - 1).bit_length() if smallest < 0 else 0)


def ceil_div(numerator: int, denominator: int) -> int:
    """Numerator / denominator, rounded up."""
    return -(-numerator // denominator)
