"""Residual addition and LayerNorm of INT8 tokens, bit for bit."""

from dataclasses import dataclass, fields

import numpy as np

from ...spec.errors import InputError
from ...spec.formats import signed_bits, unsigned_bits
from ...spec.vector import (
    CHANNEL_SHIFT_MAX,
    EPSILON_BITS,
    GAIN_BITS,
    MAX_CHANNELS,
    NORM_BIAS_BITS,
    NORM_BITS,
    NORM_FRACTION,
    NORM_SHIFT_BITS,
    OPERAND_BITS,
    OPERAND_FRACTION,
    ROOT_FRACTION,
    SQUARE_SUM_BITS,
    SUM_BITS,
    TOTAL_BITS,
    VARIANCE_BITS,
)
from ..lib.integer import Int8, Int64, round_half_up_shift
from ..lib.requantise import requantise
from .reciprocal_root import reciprocal_root

__all__ = ["LayerNorm", "add_and_normalise"]


@dataclass(frozen=True, kw_only=True)
class LayerNorm:
    """Integer parameters of a residual addition with LayerNorm over C channels.

    Attributes
    ----------
    x_shift, y_shift : (C,) int64, 0…9
        Left shift of each channel of the two operands.
    gain : (C,) int64, 16 bits signed
    bias : (C,) int64, 32 bits signed
    shift : int, 0…31
    epsilon : int, 32 bits unsigned
        Added to the variance.

    Raises
    ------
    InputError
        The arrays have no equal length from 1 to 1024, or a number is out of range.
    """

    x_shift: Int64
    y_shift: Int64
    gain: Int64
    bias: Int64
    shift: int
    epsilon: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "x_shift": (0, CHANNEL_SHIFT_MAX),
            "y_shift": (0, CHANNEL_SHIFT_MAX),
            "gain": (-(1 << (GAIN_BITS - 1)), (1 << (GAIN_BITS - 1)) - 1),
            "bias": (-(1 << (NORM_BIAS_BITS - 1)), (1 << (NORM_BIAS_BITS - 1)) - 1),
            "shift": (0, (1 << NORM_SHIFT_BITS) - 1),
            "epsilon": (0, (1 << EPSILON_BITS) - 1),
        }
        channels = len(self.gain)
        if not 1 <= channels <= MAX_CHANNELS:
            raise InputError(f"LayerNorm must have from 1 to {MAX_CHANNELS} channels, not {channels}")
        for field in fields(self):
            value = np.asarray(getattr(self, field.name))
            low, high = ranges[field.name]
            expected = () if field.name in ("shift", "epsilon") else (channels,)
            if value.dtype.kind not in "iu" or value.shape != expected:
                raise InputError(f"{field.name} must be integers of shape {expected}, not {value.dtype} {value.shape}")
            if value.min() < low or value.max() > high:
                raise InputError(f"{field.name} must be from {low} to {high}, not {value.min()}…{value.max()}")

    @property
    def channels(self) -> int:
        """C."""
        return len(self.gain)


def add_and_normalise(parameters: LayerNorm, x: Int8, y: Int8) -> tuple[Int8, int]:
    """INT8 LayerNorm of the sum (x << x_shift) + (y << y_shift), token by token.

    Parameters
    ----------
    parameters : LayerNorm
    x, y : (C, N) int8
        A column per token.

    Returns
    -------
    output : (C, N) int8
    saturations : int
        Number of clipped results.

    Raises
    ------
    InputError
        An operand has the wrong shape or dtype.
    """
    channels = parameters.channels
    for name, operand in (("x", x), ("y", y)):
        if operand.dtype != np.int8 or operand.ndim != 2 or len(operand) != channels or operand.shape != x.shape:
            raise InputError(
                f"{name} must be int8 of shape ({channels}, N), one N for both operands, "
                f"not {operand.dtype} of shape {operand.shape}"
            )
    v = _shifted(x, parameters.x_shift) + _shifted(y, parameters.y_shift)
    _fits(v, SUM_BITS)

    total = v.sum(axis=0)
    squares = (v * v).sum(axis=0)
    _fits(total, TOTAL_BITS)
    assert unsigned_bits(int(squares.max(initial=0))) <= SQUARE_SUM_BITS
    variance = channels * squares - total * total + parameters.epsilon
    assert unsigned_bits(int(variance.max(initial=0))) <= VARIANCE_BITS
    mantissa, exponent = reciprocal_root(variance)

    centred = channels * v - total
    _fits(centred, TOTAL_BITS)
    operand = (centred << OPERAND_FRACTION) >> exponent
    _fits(operand, OPERAND_BITS)
    normalised = round_half_up_shift(operand * mantissa, OPERAND_FRACTION + ROOT_FRACTION - NORM_FRACTION)
    peak = 1 << (NORM_BITS - 1)
    normalised = np.clip(normalised, -peak, peak - 1)
    scaled = normalised * parameters.gain[:, None] + parameters.bias[:, None]
    return requantise(scaled, 1, NORM_FRACTION + parameters.shift)


def _shifted(operand: Int8, shift: Int64) -> Int64:
    return operand.astype(np.int64) << shift[:, None]


def _fits(values: Int64, bits: int) -> None:
    assert signed_bits(int(values.min(initial=0)), int(values.max(initial=0))) <= bits
