"""Top-K by blocks: the most important blocks of each block row."""

import math

import numpy as np

from ..attention.selection import block_importance
from ..lib.integer import Int64
from .rule import HeadView, Mask, Rule

__all__ = ["TOP_K_BLOCKS", "count_kept", "largest"]


def count_kept(share: float, size: int) -> int:
    """K: ``share`` of a row of ``size``, rounded up, at least 1."""
    return min(max(math.ceil(share * size), 1), size)


def largest(values: Int64, count: int) -> Mask:
    """The ``count`` largest values of each row. Of equal ones, the first are taken."""
    order = np.argsort(-values, axis=-1, kind="stable")[..., :count]
    kept = np.zeros(values.shape, np.bool_)
    np.put_along_axis(kept, order, True, axis=-1)
    return kept


def _keep(head: HeadView, share: float) -> Mask:
    importance = block_importance(head.config, head.scores)
    return largest(importance, count_kept(share, importance.shape[-1]))


TOP_K_BLOCKS = Rule(name="top-k-blocks", title="Top-K blocks", elements=False, dense=1.0, sparse=0.0, keep=_keep)
"""The parameter is K as a share of the row. The importance of a block is the one of the configuration."""
