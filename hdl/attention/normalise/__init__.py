"""The end of a head: accumulators are divided by their row's denominator and requantised.

``pipelined.py`` gives one value per cycle. ``compact.py`` gives one value every four cycles, with two multipliers.
Both have one signature and one golden model.
"""

from ....spec.attention_config import AttentionConfig
from .compact import CompactNormalise
from .pipelined import Normalise

__all__ = ["make_normaliser"]


def make_normaliser(config: AttentionConfig) -> Normalise | CompactNormalise:
    """The normaliser of a core, pipelined or compact as the configuration says."""
    return CompactNormalise(config) if config.compact else Normalise(config)
