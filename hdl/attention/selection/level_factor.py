"""Factor between predicted scores and levels."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ....spec.formats import (
    LEVEL_FACTOR_BITS,
    LEVEL_SHIFT_BASE,
    LEVEL_SHIFT_LEAST,
    SCORE_MULTIPLIER_BITS,
    SCORE_SHIFT_BITS,
    unsigned_bits,
)

__all__ = ["LevelFactor", "level_scale_layout"]

MOST_DROPPED = SCORE_MULTIPLIER_BITS - LEVEL_FACTOR_BITS


def _base(config: AttentionConfig) -> int:
    return LEVEL_SHIFT_BASE - 2 * config.fraction_bits


def level_scale_layout(config: AttentionConfig) -> data.StructLayout:
    """Factor and shift of a head's levels."""
    most = _base(config) + (1 << SCORE_SHIFT_BITS) - 1
    return data.StructLayout({"factor": LEVEL_FACTOR_BITS + 1, "shift": unsigned_bits(most)})


class LevelFactor(wiring.Component):
    """Rounds the scale of a head's scores to three significant bits: a level is (factor · II) >> shift.

    The results follow their inputs by two cycles.

    Members
    -------
    load : In(1)
        Strobe: take the inputs.
    score_multiplier, score_shift : In
    scale : Out(level_scale_layout)
    """

    def __init__(self, config: AttentionConfig):
        self._base = _base(config)
        super().__init__(
            {
                "load": In(1),
                "score_multiplier": In(SCORE_MULTIPLIER_BITS),
                "score_shift": In(SCORE_SHIFT_BITS),
                "scale": Out(level_scale_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        multiplier = Signal.like(self.score_multiplier)
        left = Signal.like(self.scale.shift)
        dropped = Signal(range(MOST_DROPPED + 1))
        found = Signal.like(dropped)
        # The position of the highest bit that is set.
        for place in range(1, MOST_DROPPED + 1):
            with m.If(self.score_multiplier[place + LEVEL_FACTOR_BITS - 1]):
                m.d.comb += found.eq(place)
        with m.If(self.load):
            m.d.sync += [
                multiplier.eq(self.score_multiplier),
                left.eq(self._base + self.score_shift),
                dropped.eq(found),
            ]
        # The lowest bit of ``top`` is the highest bit that is dropped.
        top = Signal(LEVEL_FACTOR_BITS + 1)
        m.d.comb += top.eq(Cat(Const(0, 1), multiplier) >> dropped)
        rest = left - dropped
        m.d.sync += [
            self.scale.factor.eq((top + 1) >> 1),
            self.scale.shift.eq(Mux(rest < LEVEL_SHIFT_LEAST, LEVEL_SHIFT_LEAST, rest)),
        ]
        return m
