"""Front end of dense weights: every column in order, as a baseline."""

from amaranth import Module, Mux, Signal

from ....spec.spmm_config import WeightFormat
from .front_end import FrontEnd, when

__all__ = ["Dense"]


class Dense(FrontEnd):
    """Makes one step per word, zeros included."""

    weight_format = WeightFormat.DENSE

    def elaborate(self, platform):
        m = Module()
        held, valid, step = self._hold(m)
        following = Signal(self._config.column_bits)
        value = Signal.like(self._word.values[0], name="value")
        m.d.sync += value.eq(self._word.values[0])
        m.d.comb += [step.column.eq(Mux(held.first, 0, following)), step.value.eq(when(~held.empty, value))]
        with m.If(valid):
            m.d.sync += following.eq(step.column + 1)
        return m
