"""Dropout (Srivastava et al., 2014), at the places where BERT has it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..encoder import Observe

__all__ = ["dropout", "key_of"]

PLACES = ("input", "attention_output", "output")
"""Tensors whose values are dropped; the first one only in the first layer."""
MASK = (1 << 32) - 1
"""Bits of a seed that jax takes at once."""


def key_of(seed: int) -> jax.Array:
    """A jax key of a seed of any size. Of a larger one, jax itself takes the low 32 bits alone, or none.

    Parameters
    ----------
    seed : int
        At least 0.
    """
    low, rest = seed & MASK, seed >> 32
    key = jax.random.key(np.uint32(low))
    while rest:
        key, rest = jax.random.fold_in(key, np.uint32(rest & MASK)), rest >> 32
    return key


def dropout(key: jax.Array, rate: float) -> Observe:
    """Sets a share of the values to zero, and scales the others up so that the mean stays.

    Parameters
    ----------
    key : jax key
        Of this step. Tensors and layers get keys of their own from it.
    rate : float
        Share of zeros, below 1.
    """

    def replace(layer: int, tensor: str, values: Any) -> Any:
        if tensor not in PLACES or (tensor == PLACES[0] and layer):
            return None
        own = jax.random.fold_in(key, layer * len(PLACES) + PLACES.index(tensor))
        return jnp.where(jax.random.bernoulli(own, 1 - rate, values.shape), values / (1 - rate), 0)

    return replace
