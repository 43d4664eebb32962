"""Sums over the tokens of a text."""

import numpy as np

from ...spec.errors import InputError
from ...spec.vector import CHANNEL_SHIFT_MAX, MAX_TOKENS
from ..lib.integer import Int8, Int64

__all__ = ["sum_tokens"]


def sum_tokens(x: Int8, shift: Int64) -> Int64:
    """Σ over the tokens of x << shift, for each channel.

    Parameters
    ----------
    x : (C, L) int8
        The tokens of one text, 1 ≤ L ≤ 1024.
    shift : (C,) int64, 0…9

    Returns
    -------
    (C,) int64, 27 bits signed

    Raises
    ------
    InputError
        The arrays do not fit together, or are out of range.
    """
    if x.dtype != np.int8 or x.ndim != 2 or not 1 <= x.shape[1] <= MAX_TOKENS or shift.shape != (len(x),):
        raise InputError(
            f"x must be int8 of shape (C, L), L from 1 to {MAX_TOKENS}, and shift of shape (C,), "
            f"not {x.dtype} of shape {x.shape} and shape {shift.shape}"
        )
    if shift.min() < 0 or shift.max() > CHANNEL_SHIFT_MAX:
        raise InputError(f"shift must be from 0 to {CHANNEL_SHIFT_MAX}, not {shift.min()}…{shift.max()}")
    return x.astype(np.int64).sum(axis=1) << shift
