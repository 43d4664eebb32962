"""Softmax of block rows: scores in, weights and reciprocals out.

``pipelined.py`` converts one block of scores per cycle. ``compact.py`` converts one score per cycle.
Both have one golden model and the same streams; the compact ``o_rows`` is one query row, not one block row.
"""

from ....spec.attention_config import AttentionConfig
from .compact import CompactSoftmax
from .pipelined import Softmax

__all__ = ["make_softmax"]


def make_softmax(config: AttentionConfig) -> Softmax | CompactSoftmax:
    """The core's softmax, pipelined or compact according to ``config.compact``."""
    return CompactSoftmax(config) if config.compact else Softmax(config)
