"""The rounding of the integer encoder in float32, with gradients, for training (arXiv 1712.05877).

Activations are rounded to the units that the integer encoder would find, and weights per row with the units of their
inputs multiplied into the columns. Gradients pass through the rounding. The integer encoder also rounds biases, the
weights of the softmax and what is inside LayerNorm; these errors are far smaller and left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ...spec.formats import INT8_BITS, INT8_MAX, INT8_MIN
from ..encoder import Encoder, Linear, Observe
from ..integer.encoder_units import Bounds, embedding_units, encoder_units
from ..integer.feed_forward import Function, table_units
from ..integer.observed import observe
from ..integer.units import Float64
from .arrays import rounded

__all__ = ["FakeUnits", "attention_scales", "fake_units", "quantised", "rounding"]

FakeUnits = dict[str, NDArray[np.float32]]
"""``layer/tensor/scale``: real value of one unit of each channel (or of all). ``layer/tensor/zero``: integer that
stands for 0. ``words/scale`` and ``places/scale`` are those of the embeddings."""


def fake_units(
    encoder: Encoder,
    batches: Iterable[NDArray[np.int64]],
    types: Iterable[NDArray[np.int64] | None],
    *,
    adjacent: int = 1,
) -> FakeUnits:
    """The units that :func:`~thresher.model.integer.encoder.integer_encoder` finds by default.

    Parameters
    ----------
    encoder : Encoder
        With NumPy arrays and a head.
    batches, types : iterable of (batch, length) int64
        Calibration sentences, not padded.
    adjacent : int
        As there.
    """
    bounds = Bounds(
        observe(encoder, batches, types=types),
        method="min-max",
        percentile=100.0,
        per_channel=True,
        weight_bits=INT8_BITS,
        adjacent=adjacent,
    )
    found: dict[str, Any] = {}

    def put(layer: int, tensor: str, scale: Float64 | float, zero: Float64 | int = 0) -> None:
        found[f"{layer}/{tensor}/scale"], found[f"{layer}/{tensor}/zero"] = scale, zero

    def put_table(layer: int, before: str, second: Linear, function: Function, classes: int) -> None:
        low, high = bounds.ends(layer, before)
        scales, zeros = np.empty((2, len(low))), np.empty((2, len(low)))
        for each in table_units(second, function, low=low, high=high, classes=classes, adjacent=adjacent):
            scales[:, each.channels] = [[each.input_scale], [each.output_scale]]
            zeros[:, each.channels] = [[each.input_zero], [each.output_zero]]
        put(layer, before, scales[0], zeros[0])
        put(layer, "activated", scales[1], zeros[1])

    if encoder.projection is not None:
        put(0, "embedding_norm", bounds.units(0, "embedding_norm", encoder.projection.weight).scales)
    for number, (layer, units) in enumerate(zip(encoder.layers, encoder_units(encoder, bounds), strict=True)):
        put(number, "input", units.input.scales)
        for name, tensor in (("q", "query"), ("k", "key"), ("v", "value"), ("o", "context")):
            put(number, tensor, getattr(units.attention, name))
        put(number, "attention_output", units.attention_sum.y_scales)
        put(number, "attention_norm", units.middle.scales)
        put_table(number, "intermediate", layer.output, encoder.activation, bounds.classes)
        put(number, "output", units.output_sum.y_scales)
        put(number, "output_norm", units.output.scales)
    last = len(encoder.layers)
    put_table(last, "pooled", encoder.head_output, encoder.head_activation, 1)
    put(last, "scores", bounds.tensor(last, "scores") / INT8_MAX)
    words, sums = embedding_units(encoder)
    found |= {"words/scale": words, "places/scale": sums.y_scales}
    return {name: np.asarray(value, np.float32) for name, value in found.items()}


def attention_scales(units: Mapping[str, Any], layer: int) -> tuple[Any, Any]:
    """Real value of one unit of Q and of K of a layer."""
    return units[f"{layer}/query/scale"], units[f"{layer}/key/scale"]


def rounding(units: Mapping[str, Any]) -> Observe:
    """Rounds every tensor of the encoder that the integer encoder holds in INT8."""

    def replace(layer: int, tensor: str, values: Any) -> Any:
        scale = units.get(f"{layer}/{tensor}/scale")
        if scale is None:
            return None
        zero = units[f"{layer}/{tensor}/zero"]
        return (jnp.clip(rounded(values / scale) + zero, INT8_MIN, INT8_MAX) - zero) * scale

    return replace


def quantised(encoder: Encoder, units: Mapping[str, Any]) -> Encoder:
    """An encoder with jax arrays whose weights and embeddings are rounded."""

    def scale(layer: int, tensor: str) -> Any:
        return units[f"{layer}/{tensor}/scale"]

    columns = {
        "query": "input",
        "key": "input",
        "value": "input",
        "attention_output": "context",
        "intermediate": "attention_norm",
        "output": "activated",
    }
    linears = iter(encoder.linears().items())
    changed = {}
    for number in range(len(encoder.layers)):
        for tensor in columns.values():
            name, linear = next(linears)
            changed[name] = _rounded_rows(linear, scale(number, tensor))
    last = len(encoder.layers)
    parameters = {
        "head_dense": _rounded_rows(encoder.head_dense, scale(last - 1, "output_norm")),
        "head_output": _rounded_rows(encoder.head_output, scale(last, "activated")),
        "words": _RoundedRows(encoder.words, units["words/scale"]),
        "positions": _RoundedRows(
            encoder.positions, units["places/scale"], None if encoder.types is None else encoder.types[0]
        ),
    }
    if encoder.projection is not None:
        parameters["projection"] = _rounded_rows(encoder.projection, scale(0, "embedding_norm"))
    return encoder.with_linears(changed).with_parameters(parameters)


def _rounded_rows(linear: Linear, columns: Any) -> Linear:
    """A dense layer whose weights are rounded per row, with the units of the inputs multiplied into the columns."""
    weight: Any = linear.weight * columns
    largest = jnp.abs(weight).max(axis=1, keepdims=True)
    unit = jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1) / INT8_MAX)
    return Linear(rounded(weight / unit) * unit / columns, linear.bias)


class _RoundedRows:
    """An embedding whose rows are rounded when they are taken, together with a row that is added to each of them."""

    def __init__(self, table: Any, scale: Any, added: Any = None):
        self._table, self._scale, self._added = table, scale, added

    def __getitem__(self, ids: Any) -> jax.Array:
        rows = self._table[ids]
        if self._added is None:
            return rounded(rows / self._scale) * self._scale
        return rounded((rows + self._added) / self._scale) * self._scale - self._added
