"""Exponential 2^−t by a second-order polynomial: the weight of a score below its row maximum."""

import numpy as np

from ...spec.attention_command import HeadCommand
from ...spec.attention_config import AttentionConfig
from ...spec.formats import DIFFERENCE_BITS, EXP_CURVATURE, EXP_FRACTION, EXP_UNIT, SCALE_FRACTION
from ..lib.integer import Int64, round_half_up_shift

__all__ = ["exponent", "exponential", "weights"]


def exponent(command: HeadCommand, difference: Int64) -> Int64:
    """Exponents t, with 12 fraction bits, of score differences ≥ 0."""
    saturated = np.minimum(difference >> command.score_shift, (1 << DIFFERENCE_BITS) - 1)
    return (saturated * command.score_multiplier) >> SCALE_FRACTION


def exponential(config: AttentionConfig, t: Int64) -> Int64:
    """Weights 2^−t, from 0 to ``weight_max``.

    For the fraction f of t, 2^−f ≈ 1 − f/2 − c·f·(1−f). The integer part of t shifts this value right, with rounding
    half up. The result 2^weight_bits saturates; only t = 0 and a few values above it reach it.

    Parameters
    ----------
    config : AttentionConfig
    t : int64 array, ≥ 0
        With 12 fraction bits.
    """
    one = 1 << EXP_FRACTION
    whole, f = t // one, t % one
    numerator, denominator = EXP_CURVATURE
    linear = (f << EXP_UNIT) // (2 * one)
    curve = (numerator * f * (one - f) << EXP_UNIT) // (denominator * one * one)
    mantissa = (1 << EXP_UNIT) - linear - curve
    # A shift by EXP_UNIT + 2 already gives 0. NumPy does not define shifts of 64 and more.
    shift = np.minimum(EXP_UNIT - config.weight_bits + whole, EXP_UNIT + 2)
    return np.minimum(round_half_up_shift(mantissa, shift), config.weight_max)


def weights(config: AttentionConfig, command: HeadCommand, difference: Int64) -> Int64:
    """Weights of score differences, row maximum minus score, ≥ 0."""
    return exponential(config, exponent(command, difference))
