"""Which blocks of the attention matrix are worth computing, and which heads."""

from dataclasses import dataclass

import numpy as np

from ...spec.attention_command import HeadCommand
from ...spec.attention_config import AttentionConfig, Fill, Importance
from ...spec.formats import RHO_FRACTION, ceil_div
from ..lib.integer import Int64

__all__ = ["Selection", "background_scores", "block_importance", "block_mask", "select"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What the sparsity engine decides about one head, of nq × nk blocks.

    Attributes
    ----------
    importance : (nq, nk) int64
    mask : (nq, nk) bool
        Kept blocks.
    background : (nq,) int64
        Score that the pruned positions of a block row stand for; 0 where nothing is pruned.
    head_sum : int
        θ_H = Σ|II|.
    pruned : bool
        θ_H is below the head threshold.
    """

    importance: Int64
    mask: np.ndarray
    background: Int64
    head_sum: int
    pruned: bool


def _blocks(config: AttentionConfig, ii: Int64, outside: int) -> Int64:
    """(Lq, Lk) to (nq, nk, block²); positions outside the sequence hold ``outside``."""
    b = config.block
    nq, nk = ceil_div(ii.shape[0], b), ceil_div(ii.shape[1], b)
    padded = np.full((nq * b, nk * b), outside, np.int64)
    padded[: ii.shape[0], : ii.shape[1]] = ii
    return padded.reshape(nq, b, nk, b).transpose(0, 2, 1, 3).reshape(nq, nk, b * b)


def block_importance(config: AttentionConfig, ii: Int64) -> Int64:
    """(Lq, Lk) predictions to (nq, nk) importances; what lies outside the sequence takes no part."""
    if config.importance is Importance.MAX:
        return _blocks(config, ii, np.iinfo(np.int64).min).max(axis=-1)
    if config.importance is Importance.ABS_SUM:
        return _blocks(config, np.abs(ii), 0).sum(axis=-1)
    return _blocks(config, ii, 0).sum(axis=-1)


def block_mask(importance: Int64, rho: int) -> np.ndarray:
    """Keep a block when its importance reaches its row's threshold.

    With ρ ≥ 0 the threshold lies between the row's mean (ρ = 0) and maximum (ρ = 1), with ρ < 0 between mean and
    minimum: Θ = |ρ|·extreme + (1 − |ρ|)·mean. Both sides are multiplied by n·2^8, so nothing is divided.

    Parameters
    ----------
    importance : (nq, nk) int64
    rho : int
        ρ·2^8

    Returns
    -------
    (nq, nk) bool
    """
    one = 1 << RHO_FRACTION
    n = importance.shape[1]
    extreme = importance.max(axis=1) if rho >= 0 else importance.min(axis=1)
    threshold = abs(rho) * n * extreme + (one - abs(rho)) * importance.sum(axis=1)
    return n * one * importance >= threshold[:, None]


def background_scores(config: AttentionConfig, ii: Int64, mask: np.ndarray) -> Int64:
    """(nq,) score of each block row's pruned positions: the mean of their II, as a score (times 2^2F), rounded
    down. 0 for rows with nothing pruned, and for the other fills."""
    nq = mask.shape[0]
    if config.fill is not Fill.BACKGROUND:
        return np.zeros(nq, np.int64)
    pruned = ~mask
    total = (_blocks(config, ii, 0).sum(axis=-1) * pruned).sum(axis=1)
    count = (_blocks(config, np.ones_like(ii), 0).sum(axis=-1) * pruned).sum(axis=1)
    return (total << (2 * config.fraction_bits)) // np.maximum(count, 1)


def select(config: AttentionConfig, ii: Int64, command: HeadCommand, mask: np.ndarray | None = None) -> Selection:
    """Decide which blocks are kept and whether the head is pruned.

    Parameters
    ----------
    ii : (Lq, Lk) int64
        Predictions.
    mask : (nq, nk) bool, optional
        Use this mask in place of the threshold (random-mask controls).
    """
    importance = block_importance(config, ii)
    if mask is None:
        mask = block_mask(importance, command.rho)
    head_sum = int(np.abs(ii).sum())
    return Selection(
        importance=importance,
        mask=mask,
        background=background_scores(config, ii, mask),
        head_sum=head_sum,
        pruned=head_sum < command.head_threshold,
    )
