"""N:M: a word is a group of columns."""

from amaranth import Cat, Module, Mux, Signal

from ...spec.formats import unsigned_bits
from ...spec.spmm_config import WeightFormat
from .front_end import FrontEnd

__all__ = ["Nm"]


class Nm(FrontEnd):
    """``kept`` steps per word."""

    weight_format = WeightFormat.NM

    def elaborate(self, platform):
        m = Module()
        config = self._config
        tag = self.i_words.payload.tag
        place = Signal(unsigned_bits(config.kept - 1))
        following = Signal(config.column_bits)  # the group after this one; more bits than it can need
        group = Signal.like(following)
        last = Signal(init=config.kept == 1)  # known before the words' register asks for it
        step = self._tag_step(m, first=place == 0, last=last)
        m.d.comb += [
            group.eq(Mux(tag.first, 0, following)),
            step.column.eq(Cat(self._word.indices[place], group)),
            step.value.eq(self._weight(self._word.values[place])),
        ]
        with m.If(self.i_words.valid):
            m.d.sync += [place.eq(place + 1), last.eq(place == config.kept - 2)]
            with m.If(self.i_words.ready):
                m.d.sync += [place.eq(0), last.eq(config.kept == 1), following.eq(group + 1)]
        return m
