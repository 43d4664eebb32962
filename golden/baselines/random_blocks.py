"""Random blocks: the control. Each block row keeps as many blocks as with Top-K by blocks, at random places."""

import numpy as np

from .rule import HeadView, Mask, Rule
from .top_k_blocks import count_kept

__all__ = ["RANDOM"]


def _keep(head: HeadView, share: float) -> Mask:
    heads, visible = head.scores.shape[:-2], head.visible_blocks
    sizes = visible.sum(axis=-1)
    kept = np.zeros((*heads, *visible.shape), np.bool_)
    for size in np.unique(sizes):  # a row sees its first blocks
        rows = np.flatnonzero(sizes == size)
        chosen = np.broadcast_to(np.arange(size) < count_kept(share, size), (*heads, len(rows), size))
        kept[..., rows, :size] = head.random.permuted(chosen, axis=-1)
    return kept


RANDOM = Rule(name="random", title="random blocks", elements=False, dense=1.0, sparse=0.0, keep=_keep)
"""The parameter is the share of the blocks that a row sees, which it keeps."""
