"""Sums over the tokens of a text."""

import numpy as np

from ...spec.errors import InputError
from ...spec.vector import MAX_TOKENS
from ..lib.integer import Int8, Int64

__all__ = ["sum_tokens"]


def sum_tokens(x: Int8) -> Int64:
    """Σ over the tokens, for each channel.

    Parameters
    ----------
    x : (C, L) int8
        The tokens of one text, 1 ≤ L ≤ 1024.

    Returns
    -------
    (C,) int64, 18 bits signed

    Raises
    ------
    InputError
        x is no such array.
    """
    if x.dtype != np.int8 or x.ndim != 2 or not 1 <= x.shape[1] <= MAX_TOKENS:
        raise InputError(f"x must be int8 of shape (C, L), L from 1 to {MAX_TOKENS}, not {x.dtype} of shape {x.shape}")
    return x.astype(np.int64).sum(axis=1)
