"""CSR with absolute column indices."""

from amaranth import Module

from ...spec.spmm_config import WeightFormat
from .front_end import FrontEnd

__all__ = ["Csr"]


class Csr(FrontEnd):
    """A word is a step."""

    weight_format = WeightFormat.CSR

    def elaborate(self, platform):
        m = Module()
        step = self._tag_step(m)
        m.d.comb += [
            step.column.eq(self._word.indices[0]),
            step.value.eq(self._weight(self._word.values[0])),
        ]
        return m
