"""CSR whose columns are counted from the one before."""

from amaranth import Module, Mux, Signal

from ...spec.formats import INT8_BITS
from ...spec.spmm_config import WeightFormat
from ...spec.weight_words import ESCAPE
from .front_end import FrontEnd

__all__ = ["CsrDelta"]


class CsrDelta(FrontEnd):
    """A word is a step; an escape's has the value 0."""

    weight_format = WeightFormat.CSR_DELTA

    def elaborate(self, platform):
        m = Module()
        step, tag = self._tag_step(m), self.i_words.payload.tag
        # The column after the last value, or after what the last escape skipped.
        following = Signal(self._config.column_bits)
        delta = self._word.indices[0]
        escape = delta == ESCAPE
        m.d.comb += [
            step.column.eq(Mux(tag.first, 0, following) + delta),
            step.value.eq(self._weight(self._word.values[0]) & ~escape.replicate(INT8_BITS)),
        ]
        with m.If(self.i_words.valid):
            m.d.sync += following.eq(step.column + ~escape)
        return m
