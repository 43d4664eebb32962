"""A head with any mask of a rule; what follows the choice is that of the hardware."""

import numpy as np

from ...spec.attention_command import CommandError, HeadCommand
from ...spec.attention_config import AttentionConfig, Fill
from ...spec.formats import ceil_div
from ...spec.heads import HeadStatistics
from ..attention.core import attend, attention_head
from ..attention.predictor import predict
from ..attention.selection import mean_scores
from ..lib.integer import Int8, Int64, as_int8_matrix
from .rule import Mask
from .top_k_blocks import largest

__all__ = ["blocks_of", "masked_head", "row_background"]


def blocks_of(config: AttentionConfig, kept: Mask) -> Mask:
    """(nq, nk) blocks that hardware has to compute for (Lq, Lk) elements: those with an element that is kept."""
    b = config.block
    nq, nk = (ceil_div(length, b) for length in kept.shape)
    padded = np.zeros((nq * b, nk * b), np.bool_)
    padded[: kept.shape[0], : kept.shape[1]] = kept
    return np.asarray(padded.reshape(nq, b, nk, b).any(axis=(1, 3)))


def row_background(config: AttentionConfig, ii: Int64, kept: Mask) -> Int64:
    """(Lq,) score of the pruned elements of each row: the mean of their predicted scores, as hardware has it by block
    row. It is 0 for fills other than ``background``."""
    if config.fill is not Fill.BACKGROUND:
        return np.zeros(len(kept), np.int64)
    return mean_scores(config, np.where(kept, 0, ii).sum(axis=1), (~kept).sum(axis=1))


def masked_head(
    config: AttentionConfig, command: HeadCommand, q: Int8, k: Int8, v: Int8, mask: Mask, *, elements: bool
) -> tuple[Int8, HeadStatistics, int]:
    """A head that computes only what a mask keeps.

    With the fill ``skip``, a row that would keep nothing keeps its element or block of the largest predicted score.

    Parameters
    ----------
    q : (Lq, d) int8
    k, v : (Lk, d) int8
    mask : (nq, nk) or (Lq, Lk) bool
        Blocks or elements to keep.
    elements : bool
        Whether the mask is of elements.

    Returns
    -------
    output : (Lq, d) int8
    statistics : HeadStatistics
        Kept blocks are those with a kept element.
    kept : int
        Number of kept elements.
    """
    shape = (command.query_length, command.key_length)
    wide_q, wide_k, wide_v = (as_int8_matrix(name, each) for name, each in (("Q", q), ("K", k), ("V", v)))
    empty = np.asarray(~mask.any(axis=1))
    predictions = predict(config, wide_q, wide_k)
    if config.fill is Fill.SKIP and empty.any():
        highest = largest(predictions, 1)
        mask = np.where(empty[:, None], highest if elements else blocks_of(config, highest), mask)
    if not elements:
        result = attention_head(config, command, q, k, v, mask=mask)
        assert result.output is not None
        kept = mask.repeat(config.block, axis=0).repeat(config.block, axis=1)[: shape[0], : shape[1]]
        return result.output, result.statistics, int(kept.sum())
    found = attend(config, command, wide_q, wide_k, wide_v, mask, row_background(config, predictions, mask))
    statistics = HeadStatistics(
        error=CommandError.NONE,
        pruned=False,
        kept_blocks=int(blocks_of(config, mask).sum()),
        saturations=found.saturations,
    )
    return found.output, statistics, int(mask.sum())
