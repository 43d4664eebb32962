"""Contents of the lookup tables that golden and hardware share."""

import math
from collections.abc import Callable

from .errors import ConfigError
from .formats import INT8_MAX, INT8_MIN, RECIPROCAL_FRACTION
from .vector import ROOT_FRACTION, ROOT_SEGMENTS

__all__ = ["activation_table", "gelu", "gelu_table", "reciprocal_table", "root_table"]


def reciprocal_table(segments: int) -> list[tuple[int, int]]:
    """Offset and drop of each segment of a piecewise-linear 1/x, 1 ≤ x < 2.

    Segment i covers x0 ≤ x < x1, x0 = 1 + i/segments, x1 = 1 + (i+1)/segments. Its line has the value ``offset`` at x0
    and ``offset − drop`` at x1, both with 16 fraction bits. It is the chord of 1/x, lowered by half of its largest
    distance from 1/x. Then the largest positive and negative errors are equal. That distance is (1/√x0 − 1/√x1)².

    Returns
    -------
    list of (offset, drop)
        offset = round(2^16 · (1/x0 − (1/√x0 − 1/√x1)²/2)), drop = round(2^16 · (1/x0 − 1/x1)). Each is rounded once.
    """
    one = 1 << RECIPROCAL_FRACTION
    table = []
    for i in range(segments):
        x0, x1 = 1 + i / segments, 1 + (i + 1) / segments
        lowered = (1 / math.sqrt(x0) - 1 / math.sqrt(x1)) ** 2 / 2
        table.append((round(one * (1 / x0 - lowered)), round(one * (1 / x0 - 1 / x1))))
    return table


def root_table() -> list[tuple[int, int]]:
    """Offset and drop of each segment of a piecewise-linear 1/√m, 1 ≤ m < 4.

    The first half of the segments divides 1 ≤ m < 2 equally, the second half 2 ≤ m < 4. The line of a segment
    m0 ≤ m < m1 is the chord of 1/√m, lowered by half of its largest distance from 1/√m. The chord has the slope
    s = (1/√m1 − 1/√m0)/(m1 − m0). The largest distance is where the curve has the same slope, at m = (−2·s)^(−2/3).

    Returns
    -------
    list of (offset, drop)
        As in :func:`reciprocal_table`, each rounded once.
    """
    one = 1 << ROOT_FRACTION
    table = []
    for octave in (1, 2):
        for i in range(ROOT_SEGMENTS):
            m0, m1 = octave * (1 + i / ROOT_SEGMENTS), octave * (1 + (i + 1) / ROOT_SEGMENTS)
            high, low = 1 / math.sqrt(m0), 1 / math.sqrt(m1)
            slope = (low - high) / (m1 - m0)
            middle = (-2 * slope) ** (-2 / 3)
            lowered = (high + slope * (middle - m0) - 1 / math.sqrt(middle)) / 2
            table.append((round(one * (high - lowered)), round(one * (high - low))))
    return table


def gelu(x: float) -> float:
    """x/2 · (1 + erf(x/√2)), after Hendrycks and Gimpel (arXiv 1606.08415)."""
    return x / 2 * (1 + math.erf(x / math.sqrt(2)))


def activation_table(
    function: Callable[[float], float],
    *,
    input_scale: float,
    output_scale: float,
    input_zero: int = 0,
    output_zero: int = 0,
) -> list[int]:
    """Table of a function for the INT8 inputs −128…127, in this order.

    An entry is function((input − input_zero) · input_scale) / output_scale + output_zero, rounded half up and clipped
    to INT8.

    Parameters
    ----------
    function : callable
        Real function of a real number.
    input_scale, output_scale : float
        Real value of one unit of the input and of the output, > 0.
    input_zero, output_zero : int
        Integers that stand for 0.

    Raises
    ------
    ConfigError
        A scale is not positive and finite.
    """
    for name, scale in (("input_scale", input_scale), ("output_scale", output_scale)):
        if not (math.isfinite(scale) and scale > 0):
            raise ConfigError(name, scale, "must be a positive, finite number")
    table = []
    for value in range(INT8_MIN, INT8_MAX + 1):
        y = function((value - input_zero) * input_scale) / output_scale + output_zero
        table.append(math.floor(max(INT8_MIN, min(INT8_MAX, y)) + 0.5))
    return table


def gelu_table(input_scale: float, output_scale: float) -> list[int]:
    """Table of :func:`gelu` without zero points; see :func:`activation_table`."""
    return activation_table(gelu, input_scale=input_scale, output_scale=output_scale)
