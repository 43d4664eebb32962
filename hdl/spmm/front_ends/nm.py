"""Front end of N:M weights: a word is a group of columns."""

from amaranth import Cat, Module, Mux, Signal

from ....spec.spmm_config import WeightFormat
from .front_end import FrontEnd, when

__all__ = ["Nm"]


class Nm(FrontEnd):
    """Makes ``kept`` steps per word."""

    weight_format = WeightFormat.NM

    def elaborate(self, platform):
        m = Module()
        place = self.i_words.payload.tag.place
        held, valid, step = self._hold(m)
        index, value = Signal.like(self._word.indices[0], name="index"), Signal.like(self._word.values[0], name="value")
        m.d.sync += [index.eq(self._word.indices[place]), value.eq(self._word.values[place])]
        before = Signal(self._config.column_bits)  # group of the last step; wider than needed
        group = Signal.like(before)
        m.d.comb += [
            group.eq(Mux(held.first, 0, before + held.opens)),
            step.column.eq(Cat(index, group)),
            step.value.eq(when(~held.empty, value)),
        ]
        with m.If(valid):
            m.d.sync += before.eq(group)
        return m
