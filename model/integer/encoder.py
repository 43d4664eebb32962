"""A trained encoder in integers, from the ranges of its tensors."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...golden.encoder import Encoder as GoldenEncoder
from ...golden.encoder import EncoderLayer, Product, Text
from ...spec.base import check_one_of
from ...spec.errors import InputError
from ...spec.formats import INT8_BITS, INT8_MAX
from ...spec.weight_words import WEIGHT_BITS
from ..encoder import Encoder, Layer, Linear
from ..quantise import AttentionScales, LayerScales
from ..ranges import Method
from .feed_forward import Function, feed_forward
from .linear import integer_norm, integer_product
from .moments import Moments
from .observed import Observed, observe
from .rounding import largest_weight, round_int8
from .units import ChannelUnits, Float64, channel_units, pair_units, residual

__all__ = ["IntegerEncoder", "integer_encoder"]

CLASSES = 2
"""Activation tables per layer. With more, the units of the next matrix's columns differ more, and its weights are
rounded more coarsely."""


@dataclass(frozen=True, kw_only=True)
class IntegerEncoder:
    """An encoder in integers, and what its integers are worth.

    Attributes
    ----------
    golden : Encoder
    attention : AttentionScales
        Scales of Q, K, V and O of every layer, for the commands of its heads.
    output_scale : float
        Real value of one unit of a class score, or of a sum over tokens.
    """

    golden: GoldenEncoder
    attention: AttentionScales
    output_scale: float

    def texts(self, encoder: Encoder, ids: NDArray[np.int64], types: NDArray[np.int64] | None = None) -> list[Text]:
        """(batch, length) token ids and types as texts of the golden model.

        Parameters
        ----------
        encoder : Encoder
            Which this encoder was made of.
        """
        positions, types = encoder.places(ids, types)
        places = positions if encoder.types is None else types * len(encoder.positions) + positions
        return [
            Text(ids=tuple(map(int, row)), places=tuple(map(int, place)))
            for row, place in zip(ids, places, strict=True)
        ]


class _Bounds:
    """Bounds of the tensors of an encoder, by one method, and what else depends on calibration."""

    def __init__(self, observed: Observed, method: Method, percentile: float, per_channel: bool, weight_bits: int):
        self._observed, self._percentile = observed, percentile
        self._method: Method = method
        self.per_channel, self.sentences, self.weight_bits = per_channel, observed.sentences, weight_bits

    def channels(self, layer: int, tensor: str) -> Float64:
        """(C,) bound of each channel."""
        ranges = self._observed.ranges[layer, tensor]
        return ranges.bounds(self._method, percentile=self._percentile, per_channel=self.per_channel)

    def tensor(self, layer: int, tensor: str) -> float:
        """One bound for all channels."""
        ranges = self._observed.ranges[layer, tensor]
        return float(ranges.bounds(self._method, percentile=self._percentile, per_channel=False)[0])

    def units(
        self, layer: int, tensor: str, readers: NDArray[np.floating], added: Float64 | None = None
    ) -> ChannelUnits:
        """Units of a tensor that products read; see :func:`~thresher.model.integer.units.channel_units`."""
        squares = self._observed.ranges[layer, tensor].moments
        largest = largest_weight(self.weight_bits)
        return channel_units(self.channels(layer, tensor), squares, readers, added, largest_weight=largest)

    def sum_units(self, layer: int, tensor: str) -> ChannelUnits:
        """Units of a tensor whose tokens are added up."""
        bounds, squares = self.channels(layer, tensor), self._observed.ranges[layer, tensor].moments
        return channel_units(bounds, squares, np.eye(len(bounds)))

    def inputs(self, layer: int, tensor: str) -> Moments | None:
        """Moments of the input of a product, which weights of 4 bits need."""
        return None if self.weight_bits == INT8_BITS else self._observed.inputs[layer, tensor]

    def ends(self, layer: int, tensor: str) -> tuple[Float64, Float64]:
        """(C,) smallest and largest value of each channel, within the bounds."""
        ranges, bounds = self._observed.ranges[layer, tensor], self.channels(layer, tensor)
        return np.maximum(ranges.low, -bounds), np.minimum(ranges.high, bounds)


def _input_units(encoder: Encoder, bounds: _Bounds, number: int) -> ChannelUnits:
    """Units of the input of a layer; those of the last layer's output for the number of layers."""
    if number == len(encoder.layers):
        if encoder.config.labels:
            return bounds.units(number - 1, "output_norm", encoder.head_dense.weight)
        return bounds.sum_units(number - 1, "output_norm")
    layer = encoder.layers[number]
    readers = np.concatenate([layer.query.weight, layer.key.weight, layer.value.weight])
    return bounds.units(number, "input", readers, bounds.channels(number, "attention_output"))


def _attention_scales(bounds: _Bounds, number: int) -> LayerScales:
    tensors = {"q": "query", "k": "key", "v": "value", "o": "context"}
    return LayerScales(**{name: bounds.tensor(number, tensor) / INT8_MAX for name, tensor in tensors.items()})


def _layer(
    layer: Layer,
    number: int,
    bounds: _Bounds,
    activation: Function,
    scales: LayerScales,
    x: ChannelUnits,
    output: ChannelUnits,
) -> EncoderLayer:
    channels = len(x.exponents)
    parts = (layer.query, layer.key, layer.value)
    projections = integer_product(
        Linear(np.concatenate([part.weight for part in parts]), np.concatenate([part.bias for part in parts])),
        columns=x.scales,
        rows=np.repeat([scales.q, scales.k, scales.v], channels),
        weight_bits=bounds.weight_bits,
        inputs=bounds.inputs(number, "input"),
    )
    attention_sum = residual(x, bounds.channels(number, "attention_output"))
    attention_output = integer_product(
        layer.attention_output,
        columns=np.full(channels, scales.o),
        rows=attention_sum.y_scales,
        weight_bits=bounds.weight_bits,
        inputs=bounds.inputs(number, "context"),
    )
    added = bounds.channels(number, "output")
    middle = bounds.units(number, "attention_norm", layer.intermediate.weight, added)
    output_sum = residual(middle, added)
    low, high = bounds.ends(number, "intermediate")
    intermediate, second = feed_forward(
        layer.intermediate,
        layer.output,
        activation,
        columns=middle.scales,
        rows=output_sum.y_scales,
        low=low,
        high=high,
        classes=CLASSES if bounds.per_channel else 1,
        weight_bits=bounds.weight_bits,
        inputs=(bounds.inputs(number, "attention_norm"), bounds.inputs(number, "intermediate")),
    )
    return EncoderLayer(
        projections=projections,
        attention_output=attention_output,
        attention_norm=integer_norm(layer.attention_norm, attention_sum, middle),
        intermediate=intermediate,
        output=second,
        output_norm=integer_norm(layer.output_norm, output_sum, output),
    )


def _embedding(encoder: Encoder, bounds: _Bounds, first: ChannelUnits) -> dict[str, Any]:
    """Words, places, the LayerNorm of their sum, and the projection to the units of the first layer's input."""
    places = encoder.positions
    if encoder.types is not None:
        places = (encoder.types[:, None] + places).reshape(-1, places.shape[1])
    word_scales, sums = pair_units(np.abs(encoder.words).max(axis=0), np.abs(places).max(axis=0))
    output, projection = first, None
    if encoder.projection is not None:
        output = bounds.units(0, "embedding_norm", encoder.projection.weight)
        projection = integer_product(
            encoder.projection,
            columns=output.scales,
            rows=first.scales,
            weight_bits=bounds.weight_bits,
            inputs=bounds.inputs(0, "embedding_norm"),
        )
    return {
        "words": round_int8(encoder.words, word_scales),
        "places": round_int8(places, sums.y_scales),
        "embedding_norm": integer_norm(encoder.embedding_norm, sums, output),
        "projection": projection,
    }


def _classifier(encoder: Encoder, bounds: _Bounds, x: ChannelUnits) -> tuple[tuple[Product, ...], float]:
    """Products of the classification head, and the value of one unit of a score."""
    number = len(encoder.layers)
    low, high = bounds.ends(number, "pooled")
    scale = bounds.tensor(number, "scores") / INT8_MAX
    first, second = feed_forward(
        encoder.head_dense,
        encoder.head_output,
        encoder.head_activation,
        columns=x.scales,
        rows=np.full(len(encoder.config.labels), scale),
        low=low,
        high=high,
        classes=1,
        weight_bits=bounds.weight_bits,
        inputs=(bounds.inputs(number - 1, "output_norm"), bounds.inputs(number, "pooled")),
    )
    return (*first, second), scale


def integer_encoder(
    encoder: Encoder,
    batches: Iterable[NDArray[np.int64]],
    *,
    types: Iterable[NDArray[np.int64] | None] = repeat(None),
    method: Method = "min-max",
    percentile: float = 99.99,
    per_channel: bool = True,
    weight_bits: int = INT8_BITS,
) -> IntegerEncoder:
    """Quantise all of an encoder after training.

    Parameters
    ----------
    encoder : Encoder
    batches : iterable of (batch, length) int64
        Token ids of the calibration sentences.
    types : iterable of (batch, length) int64, optional
        Their token types, by default 0.
    method : Method
        How the bound of a tensor's INT8 values is found. See :data:`~thresher.model.integer.ranges.METHODS`.
    percentile : float
        Of the magnitudes, for that method.
    per_channel : bool
        Whether the units of activations differ by powers of two from channel to channel, and GELU has a table for each
        of two classes of channels. Otherwise every tensor has one unit and one table, for comparison.
    weight_bits : int
        Bits of the weights of all products, 8 or 4. Embeddings have 8 bits: a text uses few of their rows.

    Raises
    ------
    ConfigError
        Method, percentile or number of bits is not allowed.
    InputError
        There is no sentence, the encoder adds a bias to its attention scores, or numbers do not fit the hardware's
        formats.
    """
    check_one_of("weight_bits", weight_bits, WEIGHT_BITS)
    if encoder.score_bias is not None:
        raise InputError("the hardware adds no bias to attention scores, but the model does: choose another model")
    observed = observe(encoder, batches, types=types, histograms=method != "min-max", moments=weight_bits != INT8_BITS)
    bounds = _Bounds(observed, method, percentile, per_channel, weight_bits)
    units = [_input_units(encoder, bounds, layer) for layer in range(len(encoder.layers) + 1)]
    scales = [_attention_scales(bounds, layer) for layer in range(len(encoder.layers))]
    layers = [
        _layer(layer, number, bounds, encoder.activation, scales[number], units[number], units[number + 1])
        for number, layer in enumerate(encoder.layers)
    ]
    last = units[-1]
    classifier, output_scale = (), last.unit
    if encoder.config.labels:
        classifier, output_scale = _classifier(encoder, bounds, last)
    return IntegerEncoder(
        golden=GoldenEncoder(
            heads=encoder.config.num_attention_heads,
            **_embedding(encoder, bounds, units[0]),
            layers=tuple(layers),
            classifier=classifier,
            output_shift=last.exponents,
        ),
        attention=AttentionScales(
            method=method, percentile=percentile, sentences=bounds.sentences, layers=tuple(scales)
        ),
        output_scale=output_scale,
    )
