"""The encoder's forward pass on padded batches."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ..encoder import Attend, Encoder, Observe, float_attention, ignore, in_order
from ..weights import Float32

__all__ = ["Attention", "padded_attention", "run"]

Attention = Callable[[jax.Array], Attend]
"""Makes the attention of a batch from its (batch, length) ``valid``."""

HIDDEN = np.float32(-1e9)
"""Score of a key that is padding: its probability is 0."""


def padded_attention(valid: jax.Array) -> Attend:
    """Attention in float32 without the keys that are padding.

    Parameters
    ----------
    valid : (batch, length) float32
        0 where a text is padded, otherwise 1.
    """
    hidden = ((1 - valid) * HIDDEN)[:, None, None, :]

    def attend(layer: int, q: Float32, k: Float32, v: Float32, bias: Float32 | None = None) -> Float32:
        return float_attention(layer, q, k, v, hidden if bias is None else hidden + bias)  # pyright: ignore[reportArgumentType]

    return attend


def run(
    encoder: Encoder, batch: dict[str, Any], attention: Attention = padded_attention, observe: Observe = ignore
) -> tuple[jax.Array, list[jax.Array]]:
    """Outputs of the head, and the output of each layer.

    Parameters
    ----------
    encoder : Encoder
        With jax arrays.
    batch : Batch
        See :data:`~thresher.model.training.data.Batch`.
    attention : Attention
    observe : Observe
        See :meth:`~thresher.model.encoder.Encoder.hidden_states`.

    Returns
    -------
    logits : (batch, labels) float32
    states : list of (batch, length, hidden) float32
    """
    states: list[Any] = []

    def keep(layer: int, tensor: str, values: Float32) -> None:
        if tensor == "output_norm":
            states.append(values)

    seen = in_order(observe, keep)
    x = encoder.embed_places(batch["ids"], batch["positions"], batch["types"], seen)
    last: Any = encoder.run_layers(x, attention(batch["valid"]), seen)
    logits: Any = encoder.head(last, seen)
    return logits, states
