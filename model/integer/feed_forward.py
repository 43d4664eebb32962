"""Integer parameters of two dense layers with an activation between them, which are products with tables."""

from collections.abc import Callable
from itertools import combinations, pairwise
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...golden.encoder import Product
from ...spec.formats import INT8_BITS, INT8_MAX, INT8_MIN
from ...spec.tables import activation_table
from ..encoder import Linear
from .linear import integer_product
from .moments import Moments
from .units import Float64

__all__ = ["Function", "channel_classes", "feed_forward", "flat_ends"]

Function = Callable[[Any], Any]
"""An activation: floats to floats, element by element."""

FLAT = 5e-4
"""Change of an activation that is ignored. INT8's step is sixteen times as much in a range from −1 to 1."""

_CUTS = 64
"""Places, equally many channels apart, at which classes may begin."""


def flat_ends(function: Function) -> tuple[float, float]:
    """Inputs below which, and above which, a function is flat: −3.6 and +∞ for GELU, ∓4.2 for tanh."""
    x = np.arange(-16, 16 + 1 / 16, 1 / 16)
    y = function(x)
    low, high = int((np.abs(y - y[0]) > FLAT).argmax()) - 1, len(x) - int((np.abs(y - y[-1]) > FLAT)[::-1].argmax())
    return (float(x[low]) if low > 0 else -inf), (float(x[high]) if high < len(x) - 1 else inf)


def channel_classes(bounds: Float64, importance: Float64, count: int) -> list[NDArray[np.int64]]:
    """Channels in classes of similar bounds: Σ importance · (largest bound of the class)² is least.

    Parameters
    ----------
    bounds, importance : (C,) float64
    count : int
        Most classes.

    Returns
    -------
    list of int64 arrays
        Channels of each class, in order of their bounds.
    """
    order = np.argsort(bounds, kind="stable")
    ordered = bounds[order]
    sums = np.concatenate([[0.0], np.cumsum(importance[order])])
    places = np.unique(np.linspace(0, len(order), _CUTS + 1).astype(int))[1:-1]
    best, chosen = inf, [0, len(order)]
    for cuts in combinations(places, min(count - 1, len(places))):
        ends = [0, *map(int, cuts), len(order)]
        error = sum(ordered[b - 1] ** 2 * (sums[b] - sums[a]) for a, b in pairwise(ends))
        if error < best:
            best, chosen = error, ends
    return [order[a:b] for a, b in pairwise(chosen)]


def _range(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point with which INT8 covers a range."""
    scale = (high - low) / (INT8_MAX - INT8_MIN)
    return scale, round(INT8_MIN - low / scale)


def feed_forward(
    first: Linear,
    second: Linear,
    function: Function,
    *,
    columns: Float64,
    rows: Float64,
    low: Float64,
    high: Float64,
    classes: int,
    weight_bits: int = INT8_BITS,
    inputs: tuple[Moments | None, Moments | None] = (None, None),
) -> tuple[tuple[Product, ...], Product]:
    """Products of two dense layers with an activation between them.

    A class of channels has its own table. Both sides of the table have zero points, so that INT8's 256 levels cover the
    range of the inputs that occur, without what lies in the flat ends of the function, and the range of the results.
    The rows of the first matrix are ordered by class, and so are the columns of the second.

    Parameters
    ----------
    columns : (C,) float64
        Real value of one unit of each channel of the input.
    rows : (M,) float64
        Real value of one unit of each result.
    low, high : (W,) float64
        Range of each channel between the layers, before the activation.
    classes : int
        Most classes.
    weight_bits : int
        8 or 4.
    inputs : two Moments, optional
        Of the inputs of each dense layer; see :func:`~thresher.model.integer.linear.integer_product`.

    Returns
    -------
    first : tuple of Product, one per class
    second : Product
    """
    flat_low, flat_high = flat_ends(function)
    importance = np.square(second.weight, dtype=np.float64).sum(axis=0)
    groups = channel_classes(np.clip(high, None, flat_high), importance, classes)
    products, scales, zeros = [], [], []
    for group in groups:
        bottom = max(float(low[group].min()), flat_low)
        top = max(min(float(high[group].max()), flat_high), bottom + 1 / 16)
        input_scale, input_zero = _range(bottom, top)
        results = function(np.linspace(bottom, top, 1 << 10))
        output_scale, output_zero = _range(float(results.min()), max(float(results.max()), float(results.min()) + FLAT))
        table = activation_table(
            lambda x: float(function(np.array(x))),
            input_scale=input_scale,
            output_scale=output_scale,
            input_zero=input_zero,
            output_zero=output_zero,
        )
        part = Linear(first.weight[group], first.bias[group])
        units = np.full(len(group), input_scale)
        products.append(
            integer_product(
                part,
                columns=columns,
                rows=units,
                row_zero=input_zero,
                table=table,
                weight_bits=weight_bits,
                inputs=inputs[0],
            )
        )
        scales.append(np.full(len(group), output_scale))
        zeros.append(np.full(len(group), output_zero))
    order = np.concatenate(groups)
    ordered = Linear(second.weight[:, order], second.bias)
    return tuple(products), integer_product(
        ordered,
        columns=np.concatenate(scales),
        rows=rows,
        column_zero=np.concatenate(zeros),
        weight_bits=weight_bits,
        inputs=None if inputs[1] is None else inputs[1].ordered(order),
    )
