"""Block selection: importance of blocks, thresholds of rows, kept blocks, and the decision about the head.

``pipelined.py`` takes a block row's predictions as fast as they come. ``compact.py`` takes one value per cycle.
Both have one signature and one golden model.
"""

from ....spec.attention_config import AttentionConfig
from .compact import CompactSparsityEngine
from .pipelined import SparsityEngine

__all__ = ["make_sparsity_engine"]


def make_sparsity_engine(config: AttentionConfig) -> SparsityEngine | CompactSparsityEngine:
    """The sparsity engine of a core, pipelined or compact as the configuration says."""
    return CompactSparsityEngine(config) if config.compact else SparsityEngine(config)
