"""Front end of CSR with absolute column indices."""

from amaranth import Module, Signal

from ....spec.spmm_config import WeightFormat
from .front_end import FrontEnd, when

__all__ = ["Csr"]


class Csr(FrontEnd):
    """Makes one step per word."""

    weight_format = WeightFormat.CSR

    def elaborate(self, platform):
        m = Module()
        held, _, step = self._hold(m)
        index, value = Signal.like(self._word.indices[0], name="index"), Signal.like(self._word.values[0], name="value")
        m.d.sync += [index.eq(self._word.indices[0]), value.eq(self._word.values[0])]
        m.d.comb += [step.column.eq(index), step.value.eq(when(~held.empty, value))]
        return m
