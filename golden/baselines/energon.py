"""Energon's mean filter: rounds of growing precision, each with a threshold between mean and extreme of its row.

Zhou et al., arXiv 2110.09310, "mix-precision multi-round filtering".
"""

import numpy as np

from ..lib.integer import Int64
from .rule import HeadView, Mask, Rule

__all__ = ["ENERGON", "filter_round"]

ONE = 1 << 12
"""α = 1 as an integer."""


def filter_round(scores: Int64, alive: Mask, alpha: int) -> Mask:
    """Those of the positions that are still alive whose score reaches the threshold of their row.

    θ = |α|·extreme + (1 − |α|)·mean, over the positions of the row that are alive. The extreme is the maximum for α ≥ 0
    and the minimum for α < 0. Both sides are multiplied by the number of these positions, so nothing is divided.

    Parameters
    ----------
    scores : (…, Lq, Lk) int64
    alive : (…, Lq, Lk) bool
        At least one in each row.
    alpha : int
        α·2^12, from −2^12 to 2^12.
    """
    bounds = np.iinfo(np.int64)
    if alpha >= 0:
        extreme = np.where(alive, scores, bounds.min).max(axis=-1)
    else:
        extreme = np.where(alive, scores, bounds.max).min(axis=-1)
    count = alive.sum(axis=-1)
    threshold = abs(alpha) * count * extreme + (ONE - abs(alpha)) * np.where(alive, scores, 0).sum(axis=-1)
    return alive & (ONE * count[..., None] * scores >= threshold[..., None])


def _keep(head: HeadView, alpha: float) -> Mask:
    integer = round(alpha * ONE)
    visible = np.broadcast_to(head.visible, head.scores.shape)
    alive = filter_round(head.coarse_scores, visible, integer)
    return filter_round(head.scores, alive, integer)


ENERGON = Rule(name="energon", title="Energon", elements=True, dense=-1.0, sparse=1.0, keep=_keep)
"""Two rounds with the same α, the parameter: keys of 2 bits, then of 4 bits."""
