"""Levels of a block of predictions, for the rule ``probability``."""

from itertools import pairwise

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig
from ....spec.formats import LEVEL_NEAR
from ...lib.arithmetic import extreme, masked_product, maximum, popcount
from ...lib.pipeline import delay
from .level_factor import level_scale_layout
from .level_threshold import block_levels_layout

__all__ = ["BlockLevels"]

SCALE = 2
"""Cycles from a block to the scale of its head."""


class BlockLevels(wiring.Component):
    """The level of each query of a block, and its pairs of neighbouring keys that are near. One block per cycle.

    Attributes
    ----------
    latency : int
        Cycles from a block to its levels.

    Members
    -------
    ii : In
        Predictions, [query][key].
    inside : In
        Positions inside the sequences, [query][key].
    scale : In(level_scale_layout)
        Of the head. It follows the predictions by two cycles.
    levels : Out(block_levels_layout)
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        b = config.block
        self.latency = 1 + exact_log2(b) + 2
        super().__init__(
            {
                "ii": In(data.ArrayLayout(data.ArrayLayout(signed(config.prediction_bits), b), b)),
                "inside": In(data.ArrayLayout(b, b)),
                "scale": In(level_scale_layout(config)),
                "levels": Out(block_levels_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        tree = exact_log2(config.block)
        factor = delay(m, self.scale.factor, 1 + tree - SCALE, enable=1, name="factor")[-1]
        shift = delay(m, self.scale.shift, 2 + tree - SCALE, enable=1, name="shift")[-1]
        for query in range(config.block):
            keys = []
            for key in range(config.block):
                masked = Signal(signed(config.prediction_bits), name=f"key_{query}_{key}")
                m.d.sync += masked.eq(Mux(self.inside[query][key], self.ii[query][key], -config.prediction_peak))
                keys.append(masked)
            peak = extreme(m, keys, maximum, name=f"peak_{query}", registered=True)
            scaled = Signal(signed(len(peak) + len(factor)), name=f"scaled_{query}")
            m.d.sync += [scaled.eq(masked_product(peak, factor)), self.levels.levels[query].eq(scaled >> shift)]
            m.d.comb += self.levels.near[query].eq(self._near(m, query, keys))
        return m

    def _near(self, m: Module, query: int, keys: list[Signal]):
        """Number of pairs of neighbouring keys that are near and inside."""
        inside = delay(m, self.inside[query], 2, enable=1, name=f"inside_{query}")[-1]
        limit = (self.scale.shift - LEVEL_NEAR).as_unsigned()[: len(self.scale.shift)]
        near = Signal(len(keys) - 1, name=f"near_{query}")
        for key, (a, b) in enumerate(pairwise(keys)):
            distance = Signal(len(a) + 1, name=f"distance_{query}_{key}")
            m.d.sync += [
                distance.eq(Mux(a > b, a - b, b - a)),
                # Keys inside are the first ones of a block.
                near[key].eq(inside[key + 1] & ((distance >> limit) == 0)),
            ]
        return delay(m, popcount(near), self.latency - 3, enable=1, name=f"pairs_{query}")[-1]
