"""Positions of tokens in a text, and distances between them."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["DISTANCE_BUCKETS", "causal_mask", "distance_buckets", "positions_after_padding"]

_Int64 = NDArray[np.int64]

DISTANCE_BUCKETS = 32
"""Number of buckets of :func:`distance_buckets`."""

# Distances up to 8 have a bucket each. Above, a bucket ends √2 times as far away as it begins.
_STARTS = np.array([1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91])


def positions_after_padding(ids: _Int64, padding: int) -> _Int64:
    """(batch, length) token ids to positions ``padding`` + 1, ``padding`` + 2, …

    A padding token that stands in the text has the position ``padding`` and is not counted.
    """
    counted = ids != padding
    return counted.cumsum(axis=-1) * counted + padding


def causal_mask(length: int) -> NDArray[np.float32]:
    """(length, length) numbers to add to the scores: 0 where query i (row) sees key j (column), otherwise −∞."""
    return np.triu(np.full((length, length), -np.inf, np.float32), 1)


def distance_buckets(length: int) -> _Int64:
    """(length, length) buckets of the distance from query i (row) to key j (column).

    The buckets of the sequence-to-sequence model T5 (arXiv 1910.10683): 0…15 for keys at or before the query, 16…31
    for keys after it.
    """
    place = np.arange(length)
    ahead = place[None, :] - place[:, None]
    return np.searchsorted(_STARTS, np.abs(ahead), side="right") + np.where(ahead > 0, DISTANCE_BUCKETS // 2, 0)
