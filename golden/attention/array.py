"""PE array: scores Q·Kᵀ, and the products P·V of weights and values."""

from ...spec.attention_config import AttentionConfig, Score
from ..lib.integer import Int64, exact_matmul
from .split import split

__all__ = ["scores", "weighted_values"]


def scores(config: AttentionConfig, q: Int64, k: Int64) -> Int64:
    """Scores of all positions. The hardware computes only those of kept blocks.

    ``exact``: q·k. ``approx``: q·k − qf·kf, where qf and kf are the fractions of q and k.

    Parameters
    ----------
    config : AttentionConfig
    q : (…, Lq, d) int64, INT8 values
    k : (…, Lk, d) int64, INT8 values

    Returns
    -------
    (…, Lq, Lk) int64
    """
    exact = exact_matmul(q, k.swapaxes(-1, -2))
    if config.score is Score.EXACT:
        return exact
    _, q_fraction = split(config, q)
    _, k_fraction = split(config, k)
    return exact - exact_matmul(q_fraction, k_fraction.swapaxes(-1, -2))


def weighted_values(weights: Int64, v: Int64) -> Int64:
    """Accumulators P·V.

    Parameters
    ----------
    weights : (…, Lq, Lk) int64
    v : (…, Lk, d) int64, INT8 values

    Returns
    -------
    (…, Lq, d) int64
    """
    return exact_matmul(weights, v)
