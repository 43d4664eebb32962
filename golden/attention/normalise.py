"""Normalisation: accumulators are divided by the denominator of their row and requantised to INT8."""

from ...spec.attention_command import HeadCommand
from ...spec.formats import OUTPUT_FRACTION, RECIPROCAL_FRACTION
from ..lib.integer import Int8, Int64, round_half_up_shift
from ..lib.requantise import requantise

__all__ = ["normalise", "row_multiplier"]


def row_multiplier(command: HeadCommand, mantissa: Int64) -> Int64:
    """Factor of each row: the product of the reciprocal's mantissa and the output multiplier, as a 16-bit number.

    Parameters
    ----------
    command : HeadCommand
    mantissa : (…, Lq) int64
        With 16 fraction bits, at most 1.

    Returns
    -------
    (…, Lq) int64
    """
    return round_half_up_shift(mantissa * command.output_multiplier, RECIPROCAL_FRACTION)


def normalise(command: HeadCommand, accumulators: Int64, mantissa: Int64, exponent: Int64) -> tuple[Int8, int]:
    """INT8 outputs of a head.

    The denominator of a row is D = 2^exponent · (1 + x). The accumulator is first divided by 2^exponent. The result
    keeps 9 fraction bits, rounded down to 1/512 of a unit of V, and has about 18 bits, the width of a multiplier. The
    row's factor then divides it by 1 + x and applies the output scale.

    Parameters
    ----------
    command : HeadCommand
    accumulators : (…, Lq, d) int64
    mantissa, exponent : (…, Lq) int64
        See :class:`~thresher.golden.attention.softmax.Softmax`.

    Returns
    -------
    outputs : (…, Lq, d) int8
    saturations : int
        Number of clipped outputs.
    """
    operands = (accumulators << OUTPUT_FRACTION) >> exponent[..., None]
    factors = row_multiplier(command, mantissa)[..., None]
    return requantise(operands, factors, OUTPUT_FRACTION + command.output_shift)
