"""Front end of CSR with column deltas."""

from amaranth import Module, Mux, Signal

from ....spec.spmm_config import WeightFormat
from ....spec.weight_words import ESCAPE
from .front_end import FrontEnd, when

__all__ = ["CsrDelta"]


class CsrDelta(FrontEnd):
    """Makes one step per word. The step of an escape has the value 0."""

    weight_format = WeightFormat.CSR_DELTA

    def elaborate(self, platform):
        m = Module()
        held, valid, step = self._hold(m)
        # The column after the last value, or after the columns that the last escape skipped.
        following = Signal(self._config.column_bits)
        delta, value = Signal.like(self._word.indices[0], name="delta"), Signal.like(self._word.values[0], name="value")
        escape = delta == ESCAPE
        m.d.sync += [delta.eq(self._word.indices[0]), value.eq(self._word.values[0])]
        m.d.comb += [
            step.column.eq(Mux(held.first, 0, following) + delta),
            step.value.eq(when(~escape & ~held.empty, value)),
        ]
        with m.If(valid):
            m.d.sync += following.eq(step.column + ~escape)
        return m
