"""An encoder on calibration sentences."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import InputError
from .encoder import Encoder, Observe
from .weights import Float32

__all__ = ["show_tensors"]


def show_tensors(
    encoder: Encoder,
    batches: Iterable[NDArray[np.int64]],
    types: Iterable[NDArray[np.int64] | None],
    observe: Observe,
) -> int:
    """Run an encoder in float32, and its head if it has one, and show a function every tensor.

    Parameters
    ----------
    batches : iterable of (batch, length) int64
        Token ids of the calibration sentences.
    types : iterable of (batch, length) int64 or None
        Their token types, or ``None`` for 0; at least as many as batches.
    observe : Observe
        See :meth:`~thresher.model.encoder.Encoder.hidden_states` and ``logits``.

    Returns
    -------
    int
        Number of sentences.

    Raises
    ------
    InputError
        There is no sentence, or a tensor is not finite.
    """

    def checked(layer: int, tensor: str, values: Float32) -> None:
        if not np.isfinite(values).all():
            raise InputError(f"{tensor} of layer {layer} holds NaN or infinity: check the model's weights")
        observe(layer, tensor, values)

    sentences = 0
    run = encoder.logits if encoder.config.labels else encoder.hidden_states
    for ids, types_of_ids in zip(batches, types, strict=False):
        run(ids, observe=checked, types=types_of_ids)
        sentences += len(ids)
    if not sentences:
        raise InputError("no calibration sentence was given: give at least one")
    return sentences
