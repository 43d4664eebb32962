"""Number formats of the vector unit: residual sums, LayerNorm, and sums over tokens."""

import math

from .formats import INT8_MAX, INT8_PEAK, signed_bits, unsigned_bits

__all__ = [
    "CHANNEL_SHIFT_BITS",
    "CHANNEL_SHIFT_MAX",
    "EPSILON_BITS",
    "GAIN_BITS",
    "MAX_CHANNELS",
    "MAX_TOKENS",
    "NORM_BIAS_BITS",
    "NORM_BITS",
    "NORM_FRACTION",
    "NORM_SHIFT_BITS",
    "OPERAND_BITS",
    "OPERAND_FRACTION",
    "POOL_BITS",
    "ROOT_FRACTION",
    "ROOT_SEGMENTS",
    "SQUARE_SUM_BITS",
    "SUM_BITS",
    "TOTAL_BITS",
    "VARIANCE_BITS",
    "operand_bits",
    "square_sum_bits",
    "total_bits",
    "variance_bits",
]

MAX_CHANNELS = 1024
"""Largest hidden size of a model. The widths below follow from it."""
MAX_TOKENS = 1024
"""Most tokens of one text."""

CHANNEL_SHIFT_MAX = 9
"""Largest shift of a channel of the two operands of a residual sum."""
CHANNEL_SHIFT_BITS = unsigned_bits(CHANNEL_SHIFT_MAX)

SUM_PEAK = 2 * INT8_PEAK << CHANNEL_SHIFT_MAX
SUM_BITS = signed_bits(-SUM_PEAK, SUM_PEAK - 1)
"""A residual sum v fits one operand of an 18×18 multiplier."""
EPSILON_BITS = 32

ROOT_SEGMENTS = 16
"""Segments of 1/√m in each of the two octaves 1 ≤ m < 2 and 2 ≤ m < 4."""
ROOT_FRACTION = 16
"""Fraction bits of 1/√m."""

OPERAND_FRACTION = 11
"""Fraction bits of (C·v − S1) / 2^k."""


def total_bits(channels: int) -> int:
    """Bits of S1, the sum of v over at most ``channels`` channels, and of C·v − S1."""
    peak = SUM_PEAK * max(channels, 2 * (channels - 1))
    return signed_bits(-peak, peak - 1)


def square_sum_bits(channels: int) -> int:
    """Bits of S2, the sum of v² over at most ``channels`` channels."""
    return unsigned_bits(SUM_PEAK**2 * channels)


def variance_bits(channels: int) -> int:
    """Bits of V = C·S2 − S1² + epsilon for at most ``channels`` channels."""
    return unsigned_bits(SUM_PEAK**2 * channels**2 + (1 << EPSILON_BITS))


def operand_bits(channels: int) -> int:
    """Bits of u = (C·v − S1) / 2^k for at most ``channels`` channels, with :data:`OPERAND_FRACTION` fraction bits.

    Its magnitude is below 2·√(C − 1), by the Cauchy–Schwarz inequality.
    """
    peak = math.isqrt((channels - 1) << 2 * (OPERAND_FRACTION + 1)) + 1
    return signed_bits(-peak, peak)


TOTAL_BITS = total_bits(MAX_CHANNELS)
SQUARE_SUM_BITS = square_sum_bits(MAX_CHANNELS)
VARIANCE_BITS = variance_bits(MAX_CHANNELS)
OPERAND_BITS = operand_bits(MAX_CHANNELS)
"""One operand of an 18×18 multiplier."""

NORM_FRACTION = 10
NORM_BITS = 16
"""Of the normalised value n: its magnitude is below √C, except for the error of 1/√m. It saturates."""

GAIN_BITS = 16
NORM_BIAS_BITS = 32
NORM_SHIFT_BITS = 5

POOL_BITS = signed_bits(-INT8_PEAK * MAX_TOKENS, INT8_MAX * MAX_TOKENS)
"""Of a sum over the tokens of a text."""
