"""Ranges of every tensor of an encoder on calibration sentences."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from ..calibration import show_tensors
from ..encoder import Encoder
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
    """

    sentences: int
    ranges: dict[tuple[int, str], ChannelRanges]


def observe(
    encoder: Encoder,
    batches: Iterable[NDArray[np.int64]],
    *,
    types: Iterable[NDArray[np.int64] | None] = repeat(None),
    histograms: bool = False,
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

    Raises
    ------
    InputError
        There is no sentence, or activations are not finite.
    """
    ranges: dict[tuple[int, str], ChannelRanges] = {}

    def record(layer: int, tensor: str, x: Float32) -> None:
        if (layer, tensor) not in ranges:
            ranges[layer, tensor] = ChannelRanges(x.shape[-1], fraction_bits=FRACTION_BITS if histograms else None)
        ranges[layer, tensor].observe(x)

    return Observed(sentences=show_tensors(encoder, batches, types, record), ranges=ranges)
