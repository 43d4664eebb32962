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
from ...spec.formats import INT8_BITS, INT8_MAX
from ...spec.weight_words import WEIGHT_BITS
from ..encoder import Encoder, Layer, Linear
from ..quantise import AttentionScales
from ..ranges import DEFAULT_PERCENTILE, Method
from .encoder_units import Bounds, LayerUnits, check_no_bias, embedding_units, encoder_places, encoder_units
from .feed_forward import Function, feed_forward
from .linear import integer_norm, integer_product
from .observed import observe
from .rounding import round_int8
from .units import ChannelUnits

__all__ = ["IntegerEncoder", "integer_encoder"]


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


def _layer(layer: Layer, units: LayerUnits, bounds: Bounds, number: int, activation: Function) -> EncoderLayer:
    channels, scales = len(units.input.exponents), units.attention
    parts = (layer.query, layer.key, layer.value)
    projections = integer_product(
        Linear(np.concatenate([part.weight for part in parts]), np.concatenate([part.bias for part in parts])),
        columns=units.input.scales,
        rows=np.repeat([scales.q, scales.k, scales.v], channels),
        weight_bits=bounds.weight_bits,
        inputs=bounds.inputs(number, "input"),
    )
    attention_output = integer_product(
        layer.attention_output,
        columns=np.full(channels, scales.o),
        rows=units.attention_sum.y_scales,
        weight_bits=bounds.weight_bits,
        inputs=bounds.inputs(number, "context"),
    )
    low, high = bounds.ends(number, "intermediate")
    intermediate, second = feed_forward(
        layer.intermediate,
        layer.output,
        activation,
        columns=units.middle.scales,
        rows=units.output_sum.y_scales,
        low=low,
        high=high,
        classes=bounds.classes,
        adjacent=bounds.adjacent,
        weight_bits=bounds.weight_bits,
        inputs=(bounds.inputs(number, "attention_norm"), bounds.inputs(number, "intermediate")),
    )
    return EncoderLayer(
        projections=projections,
        attention_output=attention_output,
        attention_norm=integer_norm(layer.attention_norm, units.attention_sum, units.middle),
        intermediate=intermediate,
        output=second,
        output_norm=integer_norm(layer.output_norm, units.output_sum, units.output),
    )


def _embedding(encoder: Encoder, bounds: Bounds, first: ChannelUnits) -> dict[str, Any]:
    """Words, places, the LayerNorm of their sum, and the projection to the units of the first layer's input."""
    assert encoder.embedding_norm is not None
    places = encoder_places(encoder)
    word_scales, sums = embedding_units(encoder)
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


def _classifier(encoder: Encoder, bounds: Bounds, x: ChannelUnits) -> tuple[tuple[Product, ...], float]:
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
    percentile: float = DEFAULT_PERCENTILE,
    per_channel: bool = True,
    weight_bits: int = INT8_BITS,
    adjacent: int = 1,
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
        How the bound of a tensor's INT8 values is found. See :data:`~thresher.model.ranges.METHODS`.
    percentile : float
        Of the magnitudes, for that method.
    per_channel : bool
        Whether the units of activations differ by powers of two from channel to channel, and GELU has a table for each
        of two classes of channels. Otherwise every tensor has one unit and one table, for comparison.
    weight_bits : int
        Bits of the weights of all products, 8 or 4. Embeddings have 8 bits: a text uses few of their rows.
    adjacent : int
        Channels between the feed-forward layers that stay together when channels are ordered, because the weights are
        pruned in banks or groups of this many columns; see :func:`~thresher.spec.weight_words.pattern_columns`.

    Raises
    ------
    ConfigError
        Method, percentile or number of bits is not allowed.
    InputError
        There is no sentence, the encoder adds a bias to its attention scores, or numbers do not fit the hardware's
        formats.
    """
    encoder.config.check_encoder()
    check_one_of("weight_bits", weight_bits, WEIGHT_BITS)
    check_no_bias(encoder)
    observed = observe(encoder, batches, types=types, histograms=method != "min-max", moments=weight_bits != INT8_BITS)
    bounds = Bounds(
        observed,
        method=method,
        percentile=percentile,
        per_channel=per_channel,
        weight_bits=weight_bits,
        adjacent=adjacent,
    )
    units = encoder_units(encoder, bounds)
    layers = [
        _layer(layer, units[number], bounds, number, encoder.activation) for number, layer in enumerate(encoder.layers)
    ]
    last = units[-1].output
    classifier, output_scale = (), last.unit
    if encoder.config.labels:
        classifier, output_scale = _classifier(encoder, bounds, last)
    return IntegerEncoder(
        golden=GoldenEncoder(
            heads=encoder.config.num_attention_heads,
            **_embedding(encoder, bounds, units[0].input),
            layers=tuple(layers),
            classifier=classifier,
            output_shift=last.exponents,
        ),
        attention=AttentionScales(
            method=method,
            percentile=percentile,
            sentences=bounds.sentences,
            layers=tuple(each.attention for each in units),
        ),
        output_scale=output_scale,
    )
