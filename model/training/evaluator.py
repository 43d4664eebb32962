"""Outputs of many texts."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from .data import Examples

__all__ = ["Evaluator"]


class Evaluator:
    """Computes outputs for the same texts again and again.

    Parameters
    ----------
    examples : Examples
    compute : callable
        Takes arrays and a batch to (batch, labels) outputs.
    size : int
        Texts of a batch.
    """

    def __init__(self, examples: Examples, compute: Callable[[Any, Any], jax.Array], size: int = 128):
        self._examples, self._compute, self._size = examples, jax.jit(compute), size

    def logits(
        self, arrays: Any, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> NDArray[np.float32]:
        """(texts, labels) outputs. ``progress`` is given the number of texts done and of all."""
        parts = []
        for batch in self._examples.batches(self._size):
            parts.append((batch["rows"], np.asarray(self._compute(arrays, batch))))
            progress(min(len(parts) * self._size, len(self._examples.tokens)), len(self._examples.tokens))
        outputs = np.zeros((len(self._examples.tokens), parts[0][1].shape[1]), np.float32)
        for rows, found in parts:
            outputs[rows] = found
        return outputs
