"""Integer parameters of two dense layers with an activation between them, which are products with tables."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...golden.encoder import Product
from ...spec.formats import INT8_BITS, INT8_MAX, INT8_MIN
from ...spec.tables import activation_table
from ..encoder import Linear
from ..moments import Moments
from .linear import integer_product
from .units import Float64

__all__ = ["Function", "TableUnits", "channel_classes", "feed_forward", "flat_ends", "table_units"]

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


def channel_classes(bounds: Float64, importance: Float64, count: int, adjacent: int = 1) -> list[NDArray[np.int64]]:
    """Channels in classes of similar bounds: Σ importance · (largest bound of the class)² is least.

    Parameters
    ----------
    bounds, importance : (C,) float64
    count : int
        Most classes.
    adjacent : int
        Size of the blocks of channels that are moved as a whole. Block i has the channels from i · ``adjacent`` on.

    Returns
    -------
    list of int64 arrays
        Channels of each class, in order of the largest bounds of their blocks. A last block with fewer channels stays
        the last one.
    """
    order = _ordered(bounds, adjacent)
    sums = np.concatenate([[0.0], np.cumsum(importance[order])])
    places = np.unique(np.linspace(0, len(order), _CUTS + 1).astype(int))[1:-1]
    best, chosen = inf, [0, len(order)]
    for cuts in combinations(places, min(count - 1, len(places))):
        ends = [0, *map(int, cuts), len(order)]
        error = sum(bounds[order[a:b]].max() ** 2 * (sums[b] - sums[a]) for a, b in pairwise(ends))
        if error < best:
            best, chosen = error, ends
    return [order[a:b] for a, b in pairwise(chosen)]


def _ordered(bounds: Float64, adjacent: int) -> NDArray[np.int64]:
    whole = len(bounds) // adjacent * adjacent
    blocks = np.arange(whole).reshape(-1, adjacent)
    order = np.argsort(bounds[:whole].reshape(blocks.shape).max(axis=1), kind="stable")
    return np.concatenate([blocks[order].ravel(), np.arange(whole, len(bounds))])


def _range(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point with which INT8 covers a range."""
    scale = (high - low) / (INT8_MAX - INT8_MIN)
    return scale, round(INT8_MIN - low / scale)


@dataclass(frozen=True, kw_only=True)
class TableUnits:
    """Units of both sides of an activation table.

    Attributes
    ----------
    channels : (n,) int64
        Channels that the table is for.
    input_scale, output_scale : float
        Real value of one unit.
    input_zero, output_zero : int
        Integer that stands for 0.
    """

    channels: NDArray[np.int64]
    input_scale: float
    input_zero: int
    output_scale: float
    output_zero: int


def table_units(
    second: Linear, function: Function, *, low: Float64, high: Float64, classes: int, adjacent: int = 1
) -> list[TableUnits]:
    """Units of the activation table of each class of channels; parameters are those of :func:`feed_forward`.

    Both sides have zero points, so that INT8's 256 levels cover the range of the inputs that occur, without what lies
    in the flat ends of the function, and the range of the results.
    """
    flat_low, flat_high = flat_ends(function)
    importance = np.square(second.weight, dtype=np.float64).sum(axis=0)
    units = []
    for group in channel_classes(np.clip(high, None, flat_high), importance, classes, adjacent):
        bottom = max(float(low[group].min()), flat_low)
        top = max(min(float(high[group].max()), flat_high), bottom + 1 / 16)
        input_scale, input_zero = _range(bottom, top)
        results = function(np.linspace(bottom, top, 1 << 10))
        output_scale, output_zero = _range(float(results.min()), max(float(results.max()), float(results.min()) + FLAT))
        units.append(
            TableUnits(
                channels=group,
                input_scale=input_scale,
                input_zero=input_zero,
                output_scale=output_scale,
                output_zero=output_zero,
            )
        )
    return units


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
    adjacent: int = 1,
    weight_bits: int = INT8_BITS,
    inputs: tuple[Moments | None, Moments | None] = (None, None),
) -> tuple[tuple[Product, ...], Product]:
    """Products of two dense layers with an activation between them.

    A class of channels has its own table; see :func:`table_units`. The rows of the first matrix are ordered by class,
    and so are the columns of the second.

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
    adjacent : int
        See :func:`channel_classes`.
    weight_bits : int
        8 or 4.
    inputs : two Moments, optional
        Of the inputs of each dense layer; see :func:`~thresher.model.integer.linear.integer_product`.

    Returns
    -------
    first : tuple of Product, one per class
    second : Product
    """
    units = table_units(second, function, low=low, high=high, classes=classes, adjacent=adjacent)
    products = []
    for each in units:
        table = activation_table(
            lambda x: float(function(np.array(x))),
            input_scale=each.input_scale,
            output_scale=each.output_scale,
            input_zero=each.input_zero,
            output_zero=each.output_zero,
        )
        products.append(
            integer_product(
                Linear(first.weight[each.channels], first.bias[each.channels]),
                columns=columns,
                rows=np.full(len(each.channels), each.input_scale),
                row_zero=each.input_zero,
                table=table,
                weight_bits=weight_bits,
                inputs=inputs[0],
            )
        )
    order = np.concatenate([each.channels for each in units])
    ordered = Linear(second.weight[:, order], second.bias)
    return tuple(products), integer_product(
        ordered,
        columns=np.concatenate([np.full(len(each.channels), each.output_scale) for each in units]),
        rows=rows,
        column_zero=np.concatenate([np.full(len(each.channels), each.output_zero) for each in units]),
        weight_bits=weight_bits,
        inputs=None if inputs[1] is None else inputs[1].ordered(order),
    )
