"""Ranges of every tensor of an encoder on calibration sentences."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from ..calibration import show_tensors
from ..encoder import Encoder
from ..moments import Moments, MomentSums
from ..ranges import ChannelRanges
from ..weights import Float32

__all__ = ["Observed", "observe"]

FRACTION_BITS = 5
"""Bins of a histogram are 2^−5 of their smallest value wide."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What an encoder did on some sentences.

    Attributes
    ----------
    sentences : int
    ranges : mapping of (layer, tensor) to ChannelRanges
        Named as :meth:`~thresher.model.encoder.Encoder.hidden_states` and ``logits`` say.
    inputs : mapping of (layer, tensor) to Moments
        Of the inputs of all products, on request. Those of an activation's results have the name of its inputs.
    """

    sentences: int
    ranges: dict[tuple[int, str], ChannelRanges]
    inputs: dict[tuple[int, str], Moments]


def observe(
    encoder: Encoder,
    batches: Iterable[NDArray[np.int64]],
    *,
    types: Iterable[NDArray[np.int64] | None] = repeat(None),
    histograms: bool = False,
    moments: bool = False,
) -> Observed:
    """Run an encoder in float32 and record the ranges of its tensors.

    Parameters
    ----------
    batches : iterable of (batch, length) int64
        Token ids of the calibration sentences.
    types : iterable of (batch, length) int64, optional
        Their token types, by default 0.
    histograms : bool
        Whether to count magnitudes, which all methods but ``min-max`` need.
    moments : bool
        Whether to record the moments of the inputs of products.

    Raises
    ------
    InputError
        There is no sentence, or activations are not finite.
    """
    ranges: dict[tuple[int, str], ChannelRanges] = {}
    sums: dict[tuple[int, str], MomentSums] = {}

    def record(layer: int, tensor: str, x: Float32) -> None:
        if (layer, tensor) not in ranges:
            ranges[layer, tensor] = ChannelRanges(x.shape[-1], fraction_bits=FRACTION_BITS if histograms else None)
        ranges[layer, tensor].observe(x)
        if moments and (read := _product_input(encoder, layer, tensor, x)) is not None:
            sums.setdefault((layer, tensor), MomentSums(read.shape[-1])).observe(read)

    sentences = show_tensors(encoder, batches, types, record)
    return Observed(sentences=sentences, ranges=ranges, inputs={name: each.moments() for name, each in sums.items()})


def _product_input(encoder: Encoder, layer: int, tensor: str, x: Float32) -> Float32 | None:
    """What a product reads of a tensor."""
    if tensor in ("input", "context", "attention_norm"):
        return x
    if tensor == "intermediate":
        return encoder.activation(x)
    if tensor == "embedding_norm" and encoder.projection is not None:
        return x
    if not encoder.config.labels:
        return None
    if tensor == "output_norm" and layer == len(encoder.layers) - 1:
        return x[:, 0]
    return encoder.head_activation(x) if tensor == "pooled" else None
