"""Predictor: estimated scores, from the integer parts of Q and K.

``pipelined.py`` looks up sums of query nibbles in tables. ``compact.py`` has a small multiplier per product of nibbles.
Both have one signature and one golden model.
"""

from ....spec.attention_config import AttentionConfig
from .compact import CompactPredictor
from .pipelined import Predictor

__all__ = ["make_predictor"]


def make_predictor(config: AttentionConfig) -> Predictor | CompactPredictor:
    """The core's predictor, pipelined or compact according to ``config.compact``."""
    return CompactPredictor(config) if config.compact else Predictor(config)
