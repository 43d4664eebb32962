"""Selection: which blocks of a head are kept, and whether the head is pruned."""

from dataclasses import dataclass

import numpy as np

from ...spec.attention_command import HeadCommand
from ...spec.attention_config import AttentionConfig, BlockRule, Fill, Importance
from ...spec.formats import (
    LEVEL_FACTOR_BITS,
    LEVEL_NEAR,
    LEVEL_SHIFT_BASE,
    LEVEL_SHIFT_LEAST,
    LEVEL_WEIGHT_BITS,
    RHO_FRACTION,
    ceil_div,
)
from ..lib.integer import Int64
from .visible import visible_blocks, visible_positions

__all__ = [
    "Selection",
    "background_scores",
    "block_importance",
    "block_mask",
    "kept_blocks",
    "level_scale",
    "mean_scores",
    "probability_mask",
    "select",
]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Decisions about a head of nq × nk blocks.

    Attributes
    ----------
    importance : (nq, nk) int64
        Importance of each block; 0 for those in which no query sees a key.
    mask : (nq, nk) bool
        Kept blocks.
    background : (nq,) int64
        Score of the pruned positions of each block row; 0 if the row has none, or if the fill is not ``background``.
    head_sum : int
        θ_H = Σ|II|.
    pruned : bool
        Whether θ_H is below the head threshold.
    """

    importance: Int64
    mask: np.ndarray
    background: Int64
    head_sum: int
    pruned: bool


def _blocks(config: AttentionConfig, ii: Int64, outside: int) -> Int64:
    """Arrange (…, Lq, Lk) positions as (…, nq, nk, block²). Positions outside the sequences get the value
    ``outside``."""
    b = config.block
    *heads, lq, lk = ii.shape
    nq, nk = ceil_div(lq, b), ceil_div(lk, b)
    padded = np.full((*heads, nq * b, nk * b), outside, np.int64)
    padded[..., :lq, :lk] = ii
    return padded.reshape(*heads, nq, b, nk, b).swapaxes(-3, -2).reshape(*heads, nq, nk, b * b)


def block_importance(config: AttentionConfig, ii: Int64, command: HeadCommand | None = None) -> Int64:
    """Importance of each block. Positions outside the sequences, and keys that a query does not see, do not count.

    Parameters
    ----------
    config : AttentionConfig
        ``importance`` is the rule.
    ii : (…, Lq, Lk) int64
        Predicted scores.
    command : HeadCommand, optional
        Of a head that may be causal.

    Returns
    -------
    (…, nq, nk) int64
        0 for blocks in which no query sees a key.
    """
    if config.importance is Importance.MAX:
        lowest = np.iinfo(np.int64).min
        largest = _blocks(config, _hide(ii, command, lowest), lowest).max(axis=-1)
        return np.where(largest == lowest, 0, largest)
    seen = _hide(ii, command, 0)
    return _blocks(config, np.abs(seen) if config.importance is Importance.ABS_SUM else seen, 0).sum(axis=-1)


def _hide(ii: Int64, command: HeadCommand | None, hidden: int) -> Int64:
    """Predicted scores, with ``hidden`` for the keys that a query of a causal head does not see."""
    return np.where(visible_positions(command), ii, hidden) if command is not None and command.causal else ii


def block_mask(importance: Int64, rho: int, visible: np.ndarray | None = None) -> np.ndarray:
    """Kept blocks: those whose importance is at least the threshold Θ of their row.

    Θ = |ρ|·extreme + (1 − |ρ|)·mean. The extreme is the row's maximum for ρ ≥ 0 and its minimum for ρ < 0. To avoid a
    division, both sides of the comparison are multiplied by 2^8·n, where n is the number of blocks in the row.

    Parameters
    ----------
    importance : (…, nq, nk) int64
    rho : int
        ρ·2^8.
    visible : (nq, nk) bool, optional
        Blocks in which a query sees a key. Others do not count, and are not kept.

    Returns
    -------
    (…, nq, nk) bool
    """
    one = 1 << RHO_FRACTION
    seen = np.ones(importance.shape[-2:], np.bool_) if visible is None else visible
    n = seen.sum(axis=-1, keepdims=True)
    limits = np.iinfo(np.int64)
    if rho >= 0:
        extreme = np.where(seen, importance, limits.min).max(axis=-1, keepdims=True)
    else:
        extreme = np.where(seen, importance, limits.max).min(axis=-1, keepdims=True)
    total = np.where(seen, importance, 0).sum(axis=-1, keepdims=True)
    threshold = abs(rho) * n * extreme + (one - abs(rho)) * total
    return seen & (n * one * importance >= threshold)


def level_scale(config: AttentionConfig, command: HeadCommand) -> tuple[int, int]:
    """Factor and shift of the levels of a head: its score scale, rounded to three significant bits.

    The level of a predicted score is (factor · II) >> shift. Its weight in the softmax is about 2^level.
    """
    dropped = max(command.score_multiplier.bit_length() - LEVEL_FACTOR_BITS, 0)
    factor = (command.score_multiplier + ((1 << dropped) >> 1)) >> dropped
    shift = LEVEL_SHIFT_BASE + command.score_shift - 2 * config.fraction_bits - dropped
    return factor, max(shift, LEVEL_SHIFT_LEAST)


def probability_mask(config: AttentionConfig, ii: Int64, command: HeadCommand) -> np.ndarray:
    """Kept blocks: those in which a query has a key whose predicted probability is at least (1 + ρ) / 2.

    The weight of a block for a query is 2^level, where the level is that of its largest predicted score. Weights are
    relative to the query's largest one, 2^10; smaller ones than 1 are 0. The sum of a query counts a block's weight
    once, and once more for each pair of neighbouring keys in it whose predicted scores are near.

    Parameters
    ----------
    config : AttentionConfig
    ii : (…, Lq, Lk) int64
        Predicted scores.
    command : HeadCommand

    Returns
    -------
    (…, nq, nk) bool
        A row may keep no block.
    """
    b = config.block
    outside = np.iinfo(np.int64).min
    each = _blocks(config, _hide(ii, command, outside), outside)
    each = each.reshape(*each.shape[:-1], b, b)  # (…, nq, nk, query, key)
    inside = each != outside
    each = np.where(inside, each, 0)
    factor, shift = level_scale(config, command)
    near = np.abs(np.diff(each, axis=-1)) < 1 << (shift - LEVEL_NEAR)
    count = 1 + (near & inside[..., 1:]).sum(axis=-1)

    lowest = -config.prediction_peak
    level = (factor * np.where(inside, each, lowest).max(axis=-1)) >> shift  # (…, nq, nk, query)
    below = level.max(axis=-2, keepdims=True) - level
    sees = inside.any(axis=-1)
    weight = np.where(sees, (1 << LEVEL_WEIGHT_BITS) >> np.minimum(below, LEVEL_WEIGHT_BITS + 1), 0)
    total = (count * weight).sum(axis=-2, keepdims=True)
    one = 1 << RHO_FRACTION
    keep = 2 * one * weight >= (one + command.rho) * total
    return (keep & sees).any(axis=-1)


def kept_blocks(config: AttentionConfig, ii: Int64, command: HeadCommand) -> np.ndarray:
    """Kept blocks of a head by the rule of the configuration.

    Parameters
    ----------
    config : AttentionConfig
        ``block_rule`` is the rule.
    ii : (…, Lq, Lk) int64
        Predicted scores.
    command : HeadCommand

    Returns
    -------
    (…, nq, nk) bool
    """
    if config.block_rule is BlockRule.PROBABILITY:
        return probability_mask(config, ii, command)
    return block_mask(block_importance(config, ii, command), command.rho, visible_blocks(config, command))


def background_scores(
    config: AttentionConfig, ii: Int64, mask: np.ndarray, command: HeadCommand | None = None
) -> Int64:
    """Score of the pruned positions of each block row: 2^(2F) times the mean of their predicted scores, rounded down.

    It is 0 for rows without pruned blocks, and for fills other than ``background``.

    Parameters
    ----------
    config : AttentionConfig
    ii : (…, Lq, Lk) int64
        Predicted scores.
    mask : (…, nq, nk) bool
        Kept blocks.
    command : HeadCommand, optional
        Of a head that may be causal. Keys that a query does not see do not count.

    Returns
    -------
    (…, nq) int64
    """
    if config.fill is not Fill.BACKGROUND:
        return np.zeros(mask.shape[:-1], np.int64)
    block_sums = _blocks(config, _hide(ii, command, 0), 0).sum(axis=-1)
    block_sizes = _blocks(config, _hide(np.ones_like(ii), command, 0), 0).sum(axis=-1)
    total = np.where(mask, 0, block_sums).sum(axis=-1)
    count = np.where(mask, 0, block_sizes).sum(axis=-1)
    return mean_scores(config, total, count)


def mean_scores(config: AttentionConfig, total: Int64, count: Int64) -> Int64:
    """Scores of sums of predicted scores over ``count`` positions: 2^(2F) · total / count, rounded down; 0 for none."""
    return (total << (2 * config.fraction_bits)) // np.maximum(count, 1)


def select(config: AttentionConfig, ii: Int64, command: HeadCommand, mask: np.ndarray | None = None) -> Selection:
    """Decide which blocks are kept and whether the head is pruned.

    Parameters
    ----------
    config : AttentionConfig
    ii : (…, Lq, Lk) int64
        Predicted scores.
    command : HeadCommand
    mask : (nq, nk) bool, optional
        Blocks to keep instead of those above the threshold, for comparison with random masks. Blocks in which no query
        sees a key are not kept.
    """
    mask = kept_blocks(config, ii, command) if mask is None else mask & visible_blocks(config, command)
    head_sum = int(np.abs(_hide(ii, command, 0)).sum())
    return Selection(
        importance=block_importance(config, ii, command),
        mask=mask,
        background=background_scores(config, ii, mask, command),
        head_sum=head_sum,
        pruned=head_sum < command.head_threshold,
    )
