"""Row accumulators divided by their row's denominator and requantised: the last step of a head."""

from ...spec.attention_command import HeadCommand
from ...spec.formats import OUTPUT_FRACTION, RECIPROCAL_FRACTION
from ..lib.integer import Int8, Int64, round_half_up_shift
from ..lib.requantise import requantize

__all__ = ["normalise", "row_multiplier"]


def row_multiplier(command: HeadCommand, mantissa: Int64) -> Int64:
    """(Lq,) reciprocal mantissa and output multiplier in one 16-bit factor."""
    return round_half_up_shift(mantissa * command.output_multiplier, RECIPROCAL_FRACTION)


def normalise(command: HeadCommand, accumulators: Int64, mantissa: Int64, exponent: Int64) -> tuple[Int8, int]:
    """(Lq, d) accumulators to INT8 outputs, and how many of them were clipped.

    An accumulator over D = 2^exponent·(1+x) is first shifted right by the exponent, keeping 9 fraction bits (rounded
    down: 1/512 of a unit of V), which leaves an operand of about 18 bits for the one multiplication.
    """
    operands = (accumulators << OUTPUT_FRACTION) >> exponent[:, None]
    return requantize(operands, row_multiplier(command, mantissa)[:, None], command.output_shift + OUTPUT_FRACTION)
