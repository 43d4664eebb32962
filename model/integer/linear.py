"""Integer parameters of dense layers and LayerNorms."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...golden.encoder import Product
from ...golden.vector.layer_norm import LayerNorm as IntegerLayerNorm
from ...spec.errors import InputError
from ...spec.formats import BIAS_BITS, INT8_BITS
from ...spec.spmm_command import row_scaling
from ...spec.vector import EPSILON_BITS, GAIN_BITS, NORM_BIAS_BITS, NORM_FRACTION, NORM_SHIFT_BITS
from ..encoder import LayerNorm, Linear
from ..moments import Moments
from .rounding import quantised_rows
from .units import ChannelUnits, Float64, Residual

__all__ = ["integer_norm", "integer_product"]

SMALLEST_SCALE = 2.0**-23
"""Of a row of W, relative to the scale of its result. The row of a pruned output may be all zeros; its bias then still
reaches every result with 32 bits."""


def integer_product(
    linear: Linear,
    *,
    columns: Float64,
    rows: Float64,
    column_zero: NDArray[np.int64] | int = 0,
    row_zero: int = 0,
    table: Sequence[int] | None = None,
    weight_bits: int = INT8_BITS,
    inputs: Moments | None = None,
) -> Product:
    """A dense layer as a product of the SpMM engine.

    The scales of the input's channels are multiplied into the columns of W before its rows are quantised, and zero
    points into the bias, so that the engine needs neither.

    Parameters
    ----------
    linear : Linear
        W (M, K) and b (M,).
    columns, rows : (K,), (M,) float64
        Real value of one unit of each input channel and of each result.
    column_zero, row_zero : (K,) int64 or int, int
        Integer that stands for 0 in each input channel and in the results.
    table : 256 integers, optional
        Activation.
    weight_bits : int
        8 or 4.
    inputs : Moments, optional
        Of the real inputs. Weights of 4 bits are rounded so that these have small errors, and the bias contains the
        mean error.

    Raises
    ------
    InputError
        A bias is too large for 32 bits.
    """
    folded = linear.weight.astype(np.float64) * columns
    moments = None if inputs is None else inputs.in_units(columns)
    covariance = None if moments is None else moments.covariance
    weights, scales = quantised_rows(folded, SMALLEST_SCALE * rows, weight_bits, covariance)
    real_bias = linear.bias.astype(np.float64)
    if moments is not None:
        real_bias += (folded - weights * scales[:, None]) @ moments.mean
    zeros = weights.astype(np.int64) * column_zero
    bias = np.rint((real_bias + row_zero * rows) / scales).astype(np.int64) - zeros.sum(axis=1)
    if np.abs(bias).max() >= 1 << (BIAS_BITS - 1):
        raise InputError("a bias is too large for the weights of its row: calibrate with other sentences")
    multiplier, shift = np.array([row_scaling(scale) for scale in scales / rows]).T
    return Product(
        weights=weights,
        bias=bias,
        multiplier=multiplier,
        shift=shift,
        table=None if table is None else np.array(table, np.int8),
    )


def integer_norm(norm: LayerNorm, sums: Residual, output: ChannelUnits) -> IntegerLayerNorm:
    """A LayerNorm of a residual sum; the scales of the output's channels are part of gain and bias.

    Raises
    ------
    InputError
        There are more channels than the vector unit takes, or gain and bias differ too much for their bits.
    """
    gain, bias = norm.weight / output.scales, norm.bias / output.scales
    largest_gain, largest_bias = (1 << (GAIN_BITS - 1)) - 1, (1 << (NORM_BIAS_BITS - 1)) - 1
    fitting = [
        shift
        for shift in range(1 << NORM_SHIFT_BITS)
        if np.rint(np.abs(gain) * 2.0**shift).max() <= largest_gain
        and np.rint(np.abs(bias) * 2.0 ** (shift + NORM_FRACTION)).max() <= largest_bias
    ]
    if not fitting:
        raise InputError("gain or bias of a LayerNorm is too large for its output: calibrate with other sentences")
    shift = fitting[-1]
    epsilon = round(norm.eps * (len(gain) / sums.unit) ** 2)
    return IntegerLayerNorm(
        x_shift=sums.x_shift,
        y_shift=sums.y_shift,
        gain=np.rint(gain * 2.0**shift).astype(np.int64),
        bias=np.rint(bias * 2.0 ** (shift + NORM_FRACTION)).astype(np.int64),
        shift=shift,
        epsilon=min(epsilon, (1 << EPSILON_BITS) - 1),
    )
