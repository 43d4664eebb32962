"""Units of all tensors of an encoder, from their ranges."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import InputError
from ...spec.formats import INT8_BITS, INT8_MAX
from ..encoder import Encoder
from ..moments import Moments
from ..quantise import LayerScales
from ..ranges import Method
from ..weights import Float32
from .observed import Observed
from .rounding import largest_weight
from .units import ChannelUnits, Float64, Residual, channel_units, pair_units, residual

__all__ = ["Bounds", "LayerUnits", "check_no_bias", "embedding_units", "encoder_places", "encoder_units"]

CLASSES = 2
"""Activation tables per layer. With more, the units of the next matrix's columns differ more, and its weights are
rounded more coarsely."""


@dataclass(frozen=True, kw_only=True)
class LayerUnits:
    """Units of the tensors of a layer.

    Attributes
    ----------
    input, middle, output : ChannelUnits
        Of the layer's input, of the output of its first LayerNorm, and of its own output.
    attention : LayerScales
    attention_sum, output_sum : Residual
        Of the sums before the two LayerNorms.
    """

    input: ChannelUnits
    attention: LayerScales
    attention_sum: Residual
    middle: ChannelUnits
    output_sum: Residual
    output: ChannelUnits


class Bounds:
    """Bounds of the tensors of an encoder, by one method, and what else depends on calibration."""

    def __init__(
        self,
        observed: Observed,
        *,
        method: Method,
        percentile: float,
        per_channel: bool,
        weight_bits: int,
        adjacent: int,
    ):
        self._observed, self._percentile, self.adjacent = observed, percentile, adjacent
        self._method: Method = method
        self.per_channel, self.sentences, self.weight_bits = per_channel, observed.sentences, weight_bits
        self.classes = CLASSES if per_channel else 1

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


def check_no_bias(encoder: Encoder) -> None:
    """Raise :class:`~thresher.spec.errors.InputError` if the encoder adds a bias to its attention scores."""
    if encoder.score_bias is not None:
        raise InputError("the hardware adds no bias to attention scores, but the model does: choose another model")


def encoder_units(encoder: Encoder, bounds: Bounds) -> list[LayerUnits]:
    """Units of every layer."""
    inputs = [_input_units(encoder, bounds, number) for number in range(len(encoder.layers) + 1)]
    found = []
    for number, layer in enumerate(encoder.layers):
        added = bounds.channels(number, "output")
        middle = bounds.units(number, "attention_norm", layer.intermediate.weight, added)
        found.append(
            LayerUnits(
                input=inputs[number],
                attention=_attention_scales(bounds, number),
                attention_sum=residual(inputs[number], bounds.channels(number, "attention_output")),
                middle=middle,
                output_sum=residual(middle, added),
                output=inputs[number + 1],
            )
        )
    return found


def encoder_places(encoder: Encoder) -> Float32:
    """(places, channels): the sums of the embeddings of each position and token type, types outermost."""
    if encoder.types is None:
        return encoder.positions
    return (encoder.types[:, None] + encoder.positions).reshape(-1, encoder.positions.shape[1])


def embedding_units(encoder: Encoder) -> tuple[Float64, Residual]:
    """(channels,) real value of one unit of the word embeddings, and the units of their sum with the places."""
    return pair_units(np.abs(encoder.words).max(axis=0), np.abs(encoder_places(encoder)).max(axis=0))


def _input_units(encoder: Encoder, bounds: Bounds, number: int) -> ChannelUnits:
    """Units of the input of a layer; those of the last layer's output for the number of layers."""
    if number == len(encoder.layers):
        if encoder.config.labels:
            return bounds.units(number - 1, "output_norm", encoder.head_dense.weight)
        return bounds.sum_units(number - 1, "output_norm")
    layer = encoder.layers[number]
    readers = np.concatenate([layer.query.weight, layer.key.weight, layer.value.weight])
    return bounds.units(number, "input", readers, bounds.channels(number, "attention_output"))


def _attention_scales(bounds: Bounds, number: int) -> LayerScales:
    tensors = {"q": "query", "k": "key", "v": "value", "o": "context"}
    return LayerScales(**{name: bounds.tensor(number, tensor) / INT8_MAX for name, tensor in tensors.items()})
