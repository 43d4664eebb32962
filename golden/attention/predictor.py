"""Predictor: predicted scores from the integer parts of Q and K."""

from ...spec.attention_config import AttentionConfig
from ..lib.integer import Int64, exact_matmul
from .split import split

__all__ = ["predict"]


def predict(config: AttentionConfig, q: Int64, k: Int64) -> Int64:
    """Predicted scores II = QI · KIᵀ, where QI and KI are the integer parts of Q and K.

    Parameters
    ----------
    config : AttentionConfig
    q : (…, Lq, d) int64, INT8 values
    k : (…, Lk, d) int64, INT8 values

    Returns
    -------
    (…, Lq, Lk) int64
    """
    q_integer, _ = split(config, q)
    k_integer, _ = split(config, k)
    return exact_matmul(q_integer, k_integer.swapaxes(-1, -2))
