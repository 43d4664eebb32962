"""Normaliser: divides accumulators by their row's denominator and requantises them.

``pipelined.py`` gives ``output_lanes`` values per cycle. ``compact.py`` gives one value every four cycles, with two
multipliers. Both have one golden model and the same streams; the compact ``i_row`` is one query row, not one block row.
"""

from ....spec.attention_config import AttentionConfig
from .compact import CompactNormalise
from .pipelined import Normalise

__all__ = ["make_normaliser"]


def make_normaliser(config: AttentionConfig) -> Normalise | CompactNormalise:
    """The core's normaliser, pipelined or compact according to ``config.compact``."""
    return CompactNormalise(config) if config.compact else Normalise(config)
