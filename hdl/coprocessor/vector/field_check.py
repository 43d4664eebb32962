"""Checks the fields of a VECTOR instruction."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.program import WORD_BYTES, FaultCode, Layout, Opcode, VectorOperation
from ....spec.vector import MAX_TOKENS, NORM_SHIFT_BITS
from ....spec.vector_command import VectorError
from ..program_streams import completion_layout, instruction_layout

__all__ = ["FieldCheck"]


class FieldCheck(wiring.Component):
    """Finds what an instruction without words of the memory shows to be illegal. Combinational.

    Members
    -------
    item : In(instruction_layout)
    result : Out(completion_layout)
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__({"item": In(instruction_layout(Opcode.VECTOR)), "result": Out(completion_layout())})

    def elaborate(self, platform):
        m = Module()
        config, item = self._config.vector, self.item
        normalise = item.operation == VectorOperation.NORMALISE
        add = item.operation == VectorOperation.SUM
        wrong_channels = (item.channels == 0) | (item.channels > config.max_channels)
        wrong_tokens = (item.tokens == 0) | (item.tokens > config.max_tokens)
        known = max(VectorOperation)
        wrong = Signal()
        m.d.comb += wrong.eq(
            (item.operation > known)
            | (item.x_layout > Layout.GATHER)
            | (item.y_layout > Layout.GATHER)
            | (~normalise & (item.y_layout != Layout.TILES))
            | (item.z_layout > Layout.ROWS)
            | (add & (item.z_layout != Layout.TILES))
            | (((item.x_layout == Layout.ROWS) | (item.y_layout == Layout.ROWS)) & self._wrong_segment(item.segment))
            | ((item.z_layout == Layout.ROWS) & self._wrong_segment(item.z_segment))
            | (normalise & (item.shift >= 1 << NORM_SHIFT_BITS))
            | (add & (item.tokens > MAX_TOKENS))
        )
        with m.If(wrong_channels | wrong_tokens | wrong):
            m.d.comb += self.result.error.eq(FaultCode.COMMAND)
        with m.If(wrong_channels):
            m.d.comb += self.result.detail.eq(VectorError.CHANNELS)
        with m.Elif(wrong_tokens):
            m.d.comb += self.result.detail.eq(VectorError.TOKENS)
        return m

    def _wrong_segment(self, segment):
        """Segments fill whole words, except a single one."""
        return (segment == 0) | ((segment < self.item.channels) & (segment % WORD_BYTES != 0))
