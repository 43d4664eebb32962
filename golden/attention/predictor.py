"""Predicted scores: the product of the integer parts of Q and K."""

from ...spec.attention_config import AttentionConfig
from ..lib.integer import Int64, exact_matmul
from .split import split

__all__ = ["predict"]


def predict(config: AttentionConfig, q: Int64, k: Int64) -> Int64:
    """II = QI · KIᵀ.

    Parameters
    ----------
    q : (Lq, d) INT8 values
    k : (Lk, d) INT8 values

    Returns
    -------
    (Lq, Lk) int64
    """
    return exact_matmul(split(config, q)[0], split(config, k)[0].T)
