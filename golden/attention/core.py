"""A whole head: what the attention core answers, bit for bit."""

from dataclasses import dataclass

import numpy as np

from ...spec.attention_command import CommandError, HeadCommand
from ...spec.attention_config import AttentionConfig
from ...spec.errors import InputError
from ...spec.formats import ceil_div
from ...spec.heads import HeadStatistics
from ..lib.integer import Int8, Int64, as_int8_matrix
from .array import scores, weighted_values
from .normalise import normalise
from .predictor import predict
from .selection import Selection, select
from .softmax import Softmax, softmax

__all__ = ["HeadResult", "HeadTrace", "attention_head"]


@dataclass(frozen=True, kw_only=True)
class HeadTrace:
    """Intermediate results of a head, for unit tests and pictures."""

    predictions: Int64
    selection: Selection
    scores: Int64
    softmax: Softmax
    accumulators: Int64


@dataclass(frozen=True, kw_only=True)
class HeadResult:
    """A head's output (Lq, d) int8 — ``None`` when refused — its statistics, and the trace of what led there
    (``None`` when the head was refused or pruned)."""

    output: Int8 | None
    statistics: HeadStatistics
    trace: HeadTrace | None


def _check_shapes(config: AttentionConfig, q: Int64, k: Int64, v: Int64, command: HeadCommand) -> None:
    expected = {
        "Q": (q, (command.query_length, command.head_dim)),
        "K": (k, (command.key_length, command.head_dim)),
        "V": (v, (command.key_length, command.head_dim)),
    }
    for name, (matrix, shape) in expected.items():
        if matrix.shape != shape:
            raise InputError(f"{name} has shape {matrix.shape}, but its command says {shape}")


def _check_mask(config: AttentionConfig, mask: np.ndarray, command: HeadCommand) -> None:
    shape = ceil_div(command.query_length, config.block), ceil_div(command.key_length, config.block)
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise InputError(f"mask must be a boolean array of {shape} blocks, not {mask.dtype} of shape {mask.shape}")
    if not mask.any(axis=1).all():
        raise InputError("mask must keep a block in every row: a row without one has no softmax")


def attention_head(
    config: AttentionConfig,
    command: HeadCommand,
    q: Int8,
    k: Int8,
    v: Int8,
    *,
    mask: np.ndarray | None = None,
) -> HeadResult:
    """One head of attention: predict, select, score, softmax, P·V, requantise.

    Parameters
    ----------
    q : (Lq, d) int8
    k, v : (Lk, d) int8
    mask : (nq, nk) bool, optional
        Blocks to keep in place of the threshold's choice; at least one of each row.

    Raises
    ------
    InputError
        A shape or dtype does not fit the command.
    CommandValueError
        The command does not fit the fields of the command stream.
    """
    wide_q, wide_k, wide_v = as_int8_matrix("Q", q), as_int8_matrix("K", k), as_int8_matrix("V", v)
    command.check_encodable(config)
    error = command.refusal(config)
    if error is not CommandError.NONE:
        refused = HeadStatistics(error=error, pruned=False, kept_blocks=0, saturations=0)
        return HeadResult(output=None, statistics=refused, trace=None)
    _check_shapes(config, wide_q, wide_k, wide_v, command)

    if mask is not None:
        _check_mask(config, mask, command)
    predictions = predict(config, wide_q, wide_k)
    selection = select(config, predictions, command, mask)
    if selection.pruned:
        zeros = np.zeros(q.shape, np.int8)
        gone = HeadStatistics(error=error, pruned=True, kept_blocks=0, saturations=0)
        return HeadResult(output=zeros, statistics=gone, trace=None)

    lq, lk, b = command.query_length, command.key_length, config.block
    kept = selection.mask.repeat(b, axis=0).repeat(b, axis=1)[:lq, :lk]
    all_scores = scores(config, wide_q, wide_k)
    probabilities = softmax(config, command, all_scores, kept, selection.background.repeat(b)[:lq])
    accumulators = weighted_values(probabilities.weights, wide_v)
    output, saturations = normalise(command, accumulators, probabilities.mantissa, probabilities.exponent)
    return HeadResult(
        output=output,
        statistics=HeadStatistics(
            error=error, pruned=False, kept_blocks=int(selection.mask.sum()), saturations=saturations
        ),
        trace=HeadTrace(
            predictions=predictions,
            selection=selection,
            scores=all_scores,
            softmax=probabilities,
            accumulators=accumulators,
        ),
    )
