"""Rows and weight words joined: every word knows its place in its row."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.spmm_config import SpmmConfig
from .interface import row_layout, weights_layout
from .steps import tagged_word_layout

__all__ = ["Sequencer", "work_layout"]


def work_layout(config: SpmmConfig) -> data.StructLayout:
    """A row as its engine's sequencer needs it."""
    return data.StructLayout({"length": row_layout(config)["length"].shape, "slot": 1})


class Sequencer(wiring.Component):
    """Counts a row's words. Rows follow each other without a pause; one without words takes one cycle.

    Members
    -------
    i_work : In(stream(work_layout))
    i_words : In(stream(weights_layout))
    o_words : Out(stream(tagged_word_layout))
        Registered.
    """

    def __init__(self, config: SpmmConfig):
        super().__init__(
            {
                "i_work": In(stream.Signature(work_layout(config))),
                "i_words": In(stream.Signature(weights_layout(config))),
                "o_words": Out(stream.Signature(tagged_word_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        work, out = self.i_work.payload, self.o_words
        # Of the row under way; what decides is known from registers.
        active, empty, first, last = Signal(), Signal(), Signal(), Signal()
        slot = Signal()
        left = Signal.like(work.length)
        free, there, begin = Signal(), Signal(), Signal()
        m.d.comb += [
            free.eq(~out.valid | out.ready),
            there.eq(active & (empty | self.i_words.valid)),
            begin.eq(~active | (there & free & last)),
            self.i_words.ready.eq(free & active & ~empty),
            self.i_work.ready.eq(begin),
        ]
        with m.If(free):
            m.d.sync += [
                out.valid.eq(there),
                out.payload.word.eq(Cat(self.i_words.payload)),
                out.payload.tag.first.eq(first),
                out.payload.tag.last.eq(last),
                out.payload.tag.empty.eq(empty),
                out.payload.tag.slot.eq(slot),
            ]
        with m.If(begin):
            m.d.sync += [
                active.eq(self.i_work.valid),
                empty.eq(work.length == 0),
                first.eq(1),
                last.eq(work.length <= 1),
                left.eq(work.length),
                slot.eq(work.slot),
            ]
        with m.Elif(there & free):
            m.d.sync += [first.eq(0), last.eq(left == 2), left.eq(left - 1)]
        return m
