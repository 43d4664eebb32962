"""Sparsity engine: importance of blocks, thresholds of rows, kept blocks, and the decision on the head.

``pipelined.py`` takes one beat of predictions per cycle. ``compact.py`` takes one prediction per cycle.
Both have one signature and one golden model.
"""

from ....spec.attention_config import AttentionConfig
from .compact import CompactSparsityEngine
from .pipelined import SparsityEngine

__all__ = ["make_sparsity_engine"]


def make_sparsity_engine(config: AttentionConfig) -> SparsityEngine | CompactSparsityEngine:
    """The core's sparsity engine, pipelined or compact according to ``config.compact``."""
    return CompactSparsityEngine(config) if config.compact else SparsityEngine(config)
