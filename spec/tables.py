"""Contents of the lookup tables that golden and hardware share."""

import math

from .errors import ConfigError
from .formats import INT8_MAX, INT8_MIN, RECIPROCAL_FRACTION

__all__ = ["gelu_table", "reciprocal_table"]


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


def gelu_table(input_scale: float, output_scale: float) -> list[int]:
    """Table of GELU for the INT8 inputs −128…127, in this order.

    An entry is gelu(input · input_scale) / output_scale, rounded half up and clipped to INT8.
    gelu(x) = x/2 · (1 + erf(x/√2)), after Hendrycks and Gimpel (arXiv 1606.08415).

    Parameters
    ----------
    input_scale, output_scale : float
        Real value of one unit of the input and of the output, > 0.

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
        x = value * input_scale
        y = x / 2 * (1 + math.erf(x / math.sqrt(2))) / output_scale
        table.append(math.floor(max(INT8_MIN, min(INT8_MAX, y)) + 0.5))
    return table
