"""Attention core: the result of one head, bit for bit."""

from dataclasses import dataclass

import numpy as np

from ...spec.attention_command import CommandError, HeadCommand
from ...spec.attention_config import AttentionConfig, Fill
from ...spec.errors import InputError
from ...spec.formats import ceil_div
from ...spec.heads import HeadStatistics
from ..lib.integer import Int8, Int64, as_int8_matrix
from .array import scores, weighted_values
from .normalise import normalise
from .predictor import predict
from .selection import Selection, select
from .softmax import Softmax, softmax
from .visible import visible_blocks, visible_positions

__all__ = ["Attended", "HeadResult", "HeadTrace", "attend", "attention_head"]


@dataclass(frozen=True, kw_only=True)
class HeadTrace:
    """Intermediate results of a head, for tests and pictures.

    Attributes
    ----------
    predictions : (Lq, Lk) int64
    selection : Selection
    scores : (Lq, Lk) int64
        Of all positions, not only of kept ones.
    softmax : Softmax
    accumulators : (Lq, d) int64
        P·V before normalisation.
    """

    predictions: Int64
    selection: Selection
    scores: Int64
    softmax: Softmax
    accumulators: Int64


@dataclass(frozen=True, kw_only=True)
class HeadResult:
    """Result of a head.

    Attributes
    ----------
    output : (Lq, d) int8, or None
        None if the command is rejected.
    statistics : HeadStatistics
    trace : HeadTrace or None
        None if the command is rejected or the head is pruned.
    """

    output: Int8 | None
    statistics: HeadStatistics
    trace: HeadTrace | None


@dataclass(frozen=True, kw_only=True)
class Attended:
    """What heads compute after their positions are chosen.

    Attributes
    ----------
    scores : (…, Lq, Lk) int64
        Of all positions, not only of kept ones.
    softmax : Softmax
    accumulators : (…, Lq, d) int64
        P·V before normalisation.
    output : (…, Lq, d) int8
    saturations : int
        Number of clipped outputs.
    """

    scores: Int64
    softmax: Softmax
    accumulators: Int64
    output: Int8
    saturations: int


def attend(
    config: AttentionConfig, command: HeadCommand, q: Int64, k: Int64, v: Int64, kept: np.ndarray, background: Int64
) -> Attended:
    """Score, softmax, P·V and normalise, for any choice of positions. Further axes are heads with one command.

    Parameters
    ----------
    q : (…, Lq, d) int64, INT8 values
    k, v : (…, Lk, d) int64, INT8 values
    kept : (…, Lq, Lk) bool
        Positions to keep; only keys that the row sees.
    background : (…, Lq) int64
        Score of the pruned positions of each row.
    """
    all_scores = scores(config, q, k)
    rows = softmax(config, command, all_scores, kept, background)
    accumulators = weighted_values(rows.weights, v)
    output, saturations = normalise(command, accumulators, rows.mantissa, rows.exponent)
    return Attended(scores=all_scores, softmax=rows, accumulators=accumulators, output=output, saturations=saturations)


def _check_shapes(q: Int64, k: Int64, v: Int64, command: HeadCommand) -> None:
    expected = {
        "Q": (q, (command.query_length, command.head_dim)),
        "K": (k, (command.key_length, command.head_dim)),
        "V": (v, (command.key_length, command.head_dim)),
    }
    for name, (matrix, shape) in expected.items():
        if matrix.shape != shape:
            raise InputError(f"{name} must have shape {shape}, as its command says, not {matrix.shape}")


def _check_mask(config: AttentionConfig, mask: np.ndarray, command: HeadCommand) -> None:
    shape = ceil_div(command.query_length, config.block), ceil_div(command.key_length, config.block)
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise InputError(f"mask must be a boolean array of {shape} blocks, not {mask.dtype} of shape {mask.shape}")
    if config.fill is Fill.SKIP and not (mask & visible_blocks(config, command)).any(axis=1).all():
        raise InputError("mask must keep at least one block in every block row with fill=skip")


def attention_head(
    config: AttentionConfig,
    command: HeadCommand,
    q: Int8,
    k: Int8,
    v: Int8,
    *,
    mask: np.ndarray | None = None,
) -> HeadResult:
    """Compute a head of attention: predict, select, score, softmax, P·V, normalise.

    Parameters
    ----------
    config : AttentionConfig
    command : HeadCommand
    q : (Lq, d) int8
    k, v : (Lk, d) int8
    mask : (nq, nk) bool, optional
        Blocks to keep instead of those of the rule. With the fill ``skip``, at least one in each block row.

    Raises
    ------
    InputError
        An array has the wrong shape or dtype.
    CommandValueError
        The command does not fit the fields of the command stream.
    """
    wide_q, wide_k, wide_v = as_int8_matrix("Q", q), as_int8_matrix("K", k), as_int8_matrix("V", v)
    command.check_encodable(config)
    error = command.rejection(config)
    if error is not CommandError.NONE:
        statistics = HeadStatistics(error=error, pruned=False, kept_blocks=0, saturations=0)
        return HeadResult(output=None, statistics=statistics, trace=None)
    _check_shapes(wide_q, wide_k, wide_v, command)
    if mask is not None:
        _check_mask(config, mask, command)

    predictions = predict(config, wide_q, wide_k)
    selection = select(config, predictions, command, mask)
    if selection.pruned:
        statistics = HeadStatistics(error=error, pruned=True, kept_blocks=0, saturations=0)
        return HeadResult(output=np.zeros(q.shape, np.int8), statistics=statistics, trace=None)

    # Blocks to positions: each block covers block × block of them, and the last ones may reach beyond the sequences.
    lq, lk, block = command.query_length, command.key_length, config.block
    kept = selection.mask.repeat(block, axis=0).repeat(block, axis=1)[:lq, :lk] & visible_positions(command)
    background = selection.background.repeat(block)[:lq]

    found = attend(config, command, wide_q, wide_k, wide_v, kept, background)
    kept_blocks = int(selection.mask.sum())
    return HeadResult(
        output=found.output,
        statistics=HeadStatistics(error=error, pruned=False, kept_blocks=kept_blocks, saturations=found.saturations),
        trace=HeadTrace(
            predictions=predictions,
            selection=selection,
            scores=found.scores,
            softmax=found.softmax,
            accumulators=found.accumulators,
        ),
    )
