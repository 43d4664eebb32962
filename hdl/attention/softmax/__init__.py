"""Softmax of block rows: scores in, weights and reciprocals out.

``pipelined.py`` weighs a block's scores in parallel. ``compact.py`` weighs one score per cycle.
Both have one signature and one golden model.
"""

from ....spec.attention_config import AttentionConfig
from .compact import CompactSoftmax
from .pipelined import Softmax

__all__ = ["make_softmax"]


def make_softmax(config: AttentionConfig) -> Softmax | CompactSoftmax:
    """The softmax unit of a core, pipelined or compact as the configuration says."""
    return CompactSoftmax(config) if config.compact else Softmax(config)
