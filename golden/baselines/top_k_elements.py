"""Top-K by elements: the largest scores of each row."""

from .rule import HeadView, Mask, Rule
from .top_k_blocks import count_kept, largest

__all__ = ["TOP_K_ELEMENTS"]


def _keep(head: HeadView, share: float) -> Mask:
    return largest(head.scores, count_kept(share, head.visible.sum(axis=-1)), head.visible)


TOP_K_ELEMENTS = Rule(name="top-k-elements", title="Top-K elements", elements=True, dense=1.0, sparse=0.0, keep=_keep)
"""The parameter is K as a share of the keys that a query sees."""
