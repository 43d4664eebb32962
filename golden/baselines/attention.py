"""Heads whose blocks or elements a rule has chosen. Scores, softmax and P·V are those of the hardware."""

import numpy as np

from ...spec.attention_command import HeadCommand
from ...spec.attention_config import AttentionConfig, Fill
from ...spec.formats import ceil_div
from ..attention.core import attend
from ..attention.predictor import predict
from ..attention.selection import background_scores, mean_scores
from ..attention.visible import visible_positions
from ..lib.integer import Int8, Int64
from .rule import Mask
from .top_k_blocks import largest

__all__ = ["blocks_of", "elements_of", "masked_heads", "row_background"]


def blocks_of(config: AttentionConfig, kept: Mask) -> Mask:
    """(…, nq, nk) blocks that hardware has to compute for (…, Lq, Lk) elements: those with an element that is kept."""
    b = config.block
    *heads, lq, lk = kept.shape
    nq, nk = ceil_div(lq, b), ceil_div(lk, b)
    padded = np.zeros((*heads, nq * b, nk * b), np.bool_)
    padded[..., :lq, :lk] = kept
    return np.asarray(padded.reshape(*heads, nq, b, nk, b).any(axis=(-3, -1)))


def elements_of(config: AttentionConfig, mask: Mask, shape: tuple[int, int]) -> Mask:
    """(…, Lq, Lk) elements of (…, nq, nk) blocks."""
    return mask.repeat(config.block, axis=-2).repeat(config.block, axis=-1)[..., : shape[0], : shape[1]]


def row_background(config: AttentionConfig, ii: Int64, pruned: Mask) -> Int64:
    """(…, Lq) score of the pruned elements of each row: the mean of their predicted scores, as hardware has it by block
    row. It is 0 for fills other than ``background``."""
    if config.fill is not Fill.BACKGROUND:
        return np.zeros(pruned.shape[:-1], np.int64)
    return mean_scores(config, np.where(pruned, ii, 0).sum(axis=-1), pruned.sum(axis=-1))


def masked_heads(
    config: AttentionConfig, command: HeadCommand, q: Int8, k: Int8, v: Int8, mask: Mask, *, elements: bool
) -> tuple[Int8, Mask, int]:
    """Heads that compute only what a mask keeps.

    With the fill ``skip``, a row that would keep nothing keeps its element or block of the largest predicted score.

    Parameters
    ----------
    q : (…, Lq, d) int8
    k, v : (…, Lk, d) int8
    mask : (…, nq, nk) or (…, Lq, Lk) bool
        Blocks or elements to keep. Keys that a query of a causal head does not see are never kept.
    elements : bool
        Whether the mask is of elements.

    Returns
    -------
    output : (…, Lq, d) int8
    kept : (…, Lq, Lk) bool
        Elements that were kept.
    saturations : int
        Number of clipped outputs.
    """
    wide_q, wide_k, wide_v = (each.astype(np.int64) for each in (q, k, v))
    predictions = predict(config, wide_q, wide_k)
    visible = visible_positions(command)
    mask = mask & (visible if elements else blocks_of(config, visible))
    if config.fill is Fill.SKIP:
        empty = np.asarray(~mask.any(axis=-1))
        if empty.any():
            highest = largest(predictions, np.ones(len(visible), np.int64), visible)
            mask = np.where(empty[..., None], highest if elements else blocks_of(config, highest), mask)
    if elements:
        kept, background = mask, row_background(config, predictions, visible & ~mask)
    else:
        kept = visible & elements_of(config, mask, (command.query_length, command.key_length))
        by_block = background_scores(config, predictions, mask, command)
        background = by_block.repeat(config.block, axis=-1)[..., : q.shape[-2]]
    found = attend(config, command, wide_q, wide_k, wide_v, kept, background)
    return found.output, kept, found.saturations
