"""The main array: scores of kept blocks, and P·V of the same blocks."""

from ...spec.attention_config import AttentionConfig, Score
from ..lib.integer import Int64, exact_matmul
from .split import split

__all__ = ["scores", "weighted_values"]


def scores(config: AttentionConfig, q: Int64, k: Int64) -> Int64:
    """Scores of all positions; the core computes those of kept blocks.

    ``exact``: q·k. ``approx``: q·k − qf·kf, the product without the part that both fractions make.

    Parameters
    ----------
    q : (Lq, d) INT8 values
    k : (Lk, d) INT8 values

    Returns
    -------
    (Lq, Lk) int64
    """
    exact = exact_matmul(q, k.T)
    if config.score is Score.EXACT:
        return exact
    return exact - exact_matmul(split(config, q)[1], split(config, k)[1].T)


def weighted_values(weights: Int64, v: Int64) -> Int64:
    """(Lq, Lk) signed weights times (Lk, d) INT8 values: (Lq, d) accumulators."""
    return exact_matmul(weights, v)
