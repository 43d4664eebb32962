"""The rules of the hardware, with the interface of the others."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...spec.attention_config import HeadRule
from ...spec.formats import RHO_FRACTION
from ..attention.selection import block_importance, block_mask, probability_mask
from .rule import HeadView, Mask, Rule

__all__ = ["PROBABILITY", "THRESHOLD", "head_magnitudes"]

ONE = 1 << RHO_FRACTION


def _integer(rho: float) -> int:
    """ρ·2^8, as in a command."""
    return min(round(rho * ONE), ONE - 1)


def _threshold(head: HeadView, rho: float) -> Mask:
    importance = block_importance(head.config, head.scores, head.command)
    return block_mask(importance, _integer(rho), head.visible_blocks)


def _probability(head: HeadView, rho: float) -> Mask:
    return probability_mask(head.config, head.scores, replace(head.command, rho=_integer(rho)))


THRESHOLD = Rule(name="threshold", title="threshold", elements=False, dense=-1.0, sparse=1.0, keep=_threshold)
"""Block threshold between the mean and an extreme of the block row (docs/numbers.md)."""

PROBABILITY = Rule(name="probability", title="probability", elements=False, dense=-1.0, sparse=1.0, keep=_probability)
"""Predicted probability of a block (docs/numbers.md)."""


def head_magnitudes(head: HeadView) -> NDArray[np.float64]:
    """(…) what the head threshold τ is compared with: the mean or the sum of |score|. A head below τ is pruned."""
    sums = np.where(head.visible, np.abs(head.scores), 0).sum(axis=(-2, -1)).astype(np.float64)
    return np.asarray(sums / head.visible.sum() if head.config.head_rule is HeadRule.PER_ELEMENT else sums)
