"""2^−t by a second-order polynomial: the weight of a score that lies below its row's maximum."""

import numpy as np

from ...spec.attention_command import HeadCommand
from ...spec.attention_config import AttentionConfig
from ...spec.formats import DIFFERENCE_BITS, EXP_CURVATURE, EXP_FRACTION, EXP_UNIT, SCALE_FRACTION
from ..lib.integer import Int64, round_half_up_shift

__all__ = ["exponent", "exponential", "weights"]


def exponent(command: HeadCommand, difference: Int64) -> Int64:
    """Non-negative score differences to exponents t with 12 fraction bits."""
    saturated = np.minimum(difference >> command.score_shift, (1 << DIFFERENCE_BITS) - 1)
    return (saturated * command.score_multiplier) >> SCALE_FRACTION


def exponential(config: AttentionConfig, t: Int64) -> Int64:
    """2^−t in 0…weight_max.

    2^−f ≈ 1 − f/2 − c·f·(1−f) for the fraction f of t, then a shift by its integer part, rounded half up. The
    result 2^weight_bits, which only t = 0 and the rounding next to it reach, saturates.
    """
    one = 1 << EXP_FRACTION
    whole, f = t // one, t % one
    numerator, denominator = EXP_CURVATURE
    curve = (numerator * f * (one - f) << EXP_UNIT) // (denominator * one * one)
    mantissa = (1 << EXP_UNIT) - ((f << EXP_UNIT) // (2 * one)) - curve
    # Beyond EXP_UNIT + 2 places nothing is left; NumPy leaves larger shifts undefined.
    shift = np.minimum(EXP_UNIT - config.weight_bits + whole, EXP_UNIT + 2)
    return np.minimum(round_half_up_shift(mantissa, shift), config.weight_max)


def weights(config: AttentionConfig, command: HeadCommand, difference: Int64) -> Int64:
    """Row maximum minus score (≥ 0) to the unsigned weight."""
    return exponential(config, exponent(command, difference))
