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
        place = Signal.like(work.length)
        empty, last, free = Signal(), Signal(), Signal()
        m.d.comb += [
            empty.eq(work.length == 0),
            last.eq(place + 1 == work.length),
            free.eq(~out.valid | out.ready),
            self.i_words.ready.eq(free & self.i_work.valid & ~empty),
            self.i_work.ready.eq(free & (empty | (self.i_words.valid & last))),
        ]
        with m.If(free):
            m.d.sync += [
                out.valid.eq(self.i_work.valid & (empty | self.i_words.valid)),
                out.payload.word.eq(Cat(self.i_words.payload)),
                out.payload.tag.first.eq(place == 0),
                out.payload.tag.last.eq(last | empty),
                out.payload.tag.empty.eq(empty),
                out.payload.tag.slot.eq(work.slot),
            ]
            with m.If(self.i_words.valid & self.i_words.ready):
                m.d.sync += place.eq(place + 1)
            with m.If(self.i_work.valid & self.i_work.ready):
                m.d.sync += place.eq(0)
        return m
