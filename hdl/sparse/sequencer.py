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
    """Counts a row's words, and the steps of each: it knows how many the front end makes of a word, since to be asked
    for the next in time would be too far a way. Rows follow each other without a pause; one without words takes one
    cycle.

    Members
    -------
    i_work : In(stream(work_layout))
    i_words : In(stream(weights_layout))
    more_steps : In
        Steps of a word after its first.
    o_words : Out(stream(tagged_word_layout, always_ready))
        Registered. A word is offered for as many cycles as it has steps.
    """

    def __init__(self, config: SpmmConfig):
        super().__init__(
            {
                "i_work": In(stream.Signature(work_layout(config))),
                "i_words": In(stream.Signature(weights_layout(config))),
                "more_steps": In(range(max(config.banks, config.kept, 2))),
                "o_words": Out(stream.Signature(tagged_word_layout(config), always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        work, out = self.i_work.payload, self.o_words
        # Of the row under way; what decides is known from registers.
        active, empty, first, last = Signal(), Signal(), Signal(), Signal()
        slot = Signal()
        left = Signal.like(work.length)
        steps_left = Signal.like(self.more_steps)
        free, there, begin = Signal(init=1), Signal(), Signal()
        m.d.comb += [
            there.eq(active & (empty | self.i_words.valid)),
            begin.eq(~active | (there & free & last)),
            self.i_words.ready.eq(free & active & ~empty),
            self.i_work.ready.eq(begin),
        ]
        # The word's many registers have one of their own for this, the other way round: two that are alike would become
        # one, in the middle between them and what decides.
        hold, free_next = Signal(), Signal()
        m.d.comb += free_next.eq(free | (steps_left == 1))
        m.d.sync += [steps_left.eq(steps_left - 1), free.eq(free_next), hold.eq(~free_next)]
        with m.If(~hold):
            m.d.sync += out.payload.word.eq(Cat(self.i_words.payload))
        with m.If(free):
            m.d.comb += free_next.eq(~there | empty | (self.more_steps == 0))
            m.d.sync += [
                steps_left.eq(self.more_steps),
                out.valid.eq(there),
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
