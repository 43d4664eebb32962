"""Top-K by blocks: the most important blocks of each block row."""

import numpy as np

from ..attention.selection import block_importance
from ..lib.integer import Int64
from .rule import HeadView, Mask, Rule

__all__ = ["TOP_K_BLOCKS", "count_kept", "largest"]


def count_kept(share: float, sizes: Int64) -> Int64:
    """K of each row: ``share`` of its size, rounded up, at least 1."""
    return np.clip(np.ceil(share * sizes).astype(np.int64), 1, sizes)


def largest(values: Int64, counts: Int64, visible: Mask) -> Mask:
    """The largest visible values of each row. Of equal ones, the first are taken.

    Parameters
    ----------
    values : (…, rows, columns) int64
    counts : (rows,) int64
        Number of values that each row keeps, at most the number of its visible ones.
    visible : (rows, columns) bool
    """
    order = np.argsort(np.where(visible, -values, np.iinfo(np.int64).max), axis=-1, kind="stable")
    kept = np.zeros(values.shape, np.bool_)
    np.put_along_axis(kept, order, np.arange(values.shape[-1]) < counts[:, None], axis=-1)
    return kept


def _keep(head: HeadView, share: float) -> Mask:
    importance = block_importance(head.config, head.scores, head.command)
    return largest(importance, count_kept(share, head.visible_blocks.sum(axis=-1)), head.visible_blocks)


TOP_K_BLOCKS = Rule(name="top-k-blocks", title="Top-K blocks", elements=False, dense=1.0, sparse=0.0, keep=_keep)
"""The parameter is K as a share of the blocks that a row sees. The importance of a block is the one of the
configuration."""
