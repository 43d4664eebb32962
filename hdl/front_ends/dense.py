"""Every column in order: the baseline."""

from amaranth import Module, Mux, Signal

from ...spec.spmm_config import WeightFormat
from .front_end import FrontEnd

__all__ = ["Dense"]


class Dense(FrontEnd):
    """A word is a step, whether its value is 0 or not."""

    weight_format = WeightFormat.DENSE

    def elaborate(self, platform):
        m = Module()
        step, tag = self._tag_step(m), self.i_words.payload.tag
        following = Signal(self._config.column_bits)
        m.d.comb += [
            step.column.eq(Mux(tag.first, 0, following)),
            step.value.eq(self._weight(self._word.values[0])),
        ]
        with m.If(self.i_words.valid):
            m.d.sync += following.eq(step.column + 1)
        return m
