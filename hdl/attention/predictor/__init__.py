"""Predicted scores: products of the 4-bit integer parts of Q and K.

``pipelined.py`` looks sums of query nibbles up in tables, and predicts several keys per cycle.
``compact.py`` multiplies nibbles, one key group after another.
Both have one signature and one golden model.
"""

from ....spec.attention_config import AttentionConfig
from .compact import CompactPredictor
from .pipelined import Predictor

__all__ = ["make_predictor"]


def make_predictor(config: AttentionConfig) -> Predictor | CompactPredictor:
    """The predictor of a core, pipelined or compact as the configuration says."""
    return CompactPredictor(config) if config.compact else Predictor(config)
