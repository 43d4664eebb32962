"""Settings of the rows of W: from the memory to the engine's stream."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from ....spec.memory import SETTING_BYTES
from ....spec.program import WORD_BYTES
from ....spec.spmm_config import SpmmConfig
from ...lib.packets import framed_layout
from ...lib.streams import HalfBuffer
from ...spmm.product_streams import rows_layout
from ..memory_streams import ADDRESS_BITS, span_layout, word_layout
from .assembler import Assembler
from .tensor_tiles import SIZE_BITS

__all__ = ["Settings", "settings_job_layout"]

SETTING_WORDS = SETTING_BYTES // WORD_BYTES


def settings_job_layout() -> data.StructLayout:
    """Settings of ``rows`` rows at an address, which the engine takes ``passes`` times."""
    return data.StructLayout({"address": ADDRESS_BITS, "rows": SIZE_BITS, "passes": SIZE_BITS})


def setting_layout() -> data.StructLayout:
    """Settings of a row in the memory."""
    return data.StructLayout({"bias": 32, "multiplier": 16, "shift": 8, "zero": 8, "length": 32, "engine": 32})


class Settings(wiring.Component):
    """Reads the settings of all rows, once per pass.

    Parameters
    ----------
    config : SpmmConfig

    Members
    -------
    i_job : In(stream(settings_job_layout))
    o_spans : Out(stream(span_layout))
    i_words : In(stream(word_layout))
    o_rows : Out(stream(framed_layout(rows_layout)))
        A packet per job.
    """

    def __init__(self, config: SpmmConfig):
        self._config = config
        super().__init__(
            {
                "i_job": In(stream.Signature(settings_job_layout())),
                "o_spans": Out(stream.Signature(span_layout())),
                "i_words": In(stream.Signature(word_layout())),
                "o_rows": Out(stream.Signature(framed_layout(rows_layout(config)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows, job = self._config.rows, self.i_job.payload
        m.submodules.assembler = assembler = Assembler(most=SETTING_WORDS * rows)
        # A beat takes several words, so the engine can take it from a register with two cycles per beat.
        m.submodules.buffer = buffer = HalfBuffer(assembler.o_beats.payload.shape())
        connect(m, assembler.o_beats, buffer.i)
        connect(m, flipped(self.i_words), assembler.i_words)
        counted = Signal()
        left = Signal(SIZE_BITS)  # passes that have not begun
        last_pass = Signal()
        beats = assembler.i_beats
        rest = job.rows & (rows - 1)
        with m.If(self.o_spans.ready):
            m.d.sync += self.o_spans.valid.eq(0)
        with m.If(beats.ready):
            m.d.sync += beats.valid.eq(0)
        with m.If(~counted):
            m.d.sync += [counted.eq(self.i_job.valid), left.eq(job.passes), last_pass.eq(job.passes == 1)]
        with m.Elif(~self.o_spans.valid & ~beats.valid):
            m.d.sync += [
                self.o_spans.valid.eq(1),
                self.o_spans.payload.address.eq(job.address),
                self.o_spans.payload.words.eq(job.rows * SETTING_WORDS),
                beats.valid.eq(1),
                beats.payload.count.eq((job.rows + (rows - 1)) >> exact_log2(rows)),
                beats.payload.words.eq(SETTING_WORDS * rows),
                beats.payload.last_words.eq(Mux(rest == 0, rows, rest) * SETTING_WORDS),
                beats.payload.last.eq(last_pass),
                left.eq(left - 1),
                last_pass.eq(left == 2),
            ]
            with m.If(last_pass):
                m.d.comb += self.i_job.ready.eq(1)
                m.d.sync += counted.eq(0)
        stored = data.View(data.ArrayLayout(setting_layout(), rows), Value.cast(buffer.o.payload.data))
        m.d.comb += [
            self.o_rows.valid.eq(buffer.o.valid),
            buffer.o.ready.eq(self.o_rows.ready),
            self.o_rows.payload.last.eq(buffer.o.payload.last),
        ]
        for index in range(rows):
            row = self.o_rows.payload.data[index]
            m.d.comb += [row[name].eq(stored[index][name]) for name in row.shape().members]
        return m
