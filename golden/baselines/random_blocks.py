"""Random blocks: the control. Each block row keeps as many blocks as with Top-K by blocks, at random places."""

import numpy as np

from ...spec.formats import ceil_div
from .rule import HeadView, Mask, Rule
from .top_k_blocks import count_kept

__all__ = ["RANDOM"]


def _keep(head: HeadView, share: float) -> Mask:
    *heads, queries, keys = head.scores.shape
    shape = (*heads, ceil_div(queries, head.config.block), ceil_div(keys, head.config.block))
    kept = np.broadcast_to(np.arange(shape[-1]) < count_kept(share, shape[-1]), shape)
    return head.random.permuted(kept, axis=-1)


RANDOM = Rule(name="random", title="random blocks", elements=False, dense=1.0, sparse=0.0, keep=_keep)
"""The parameter is the share of blocks that a row keeps."""
