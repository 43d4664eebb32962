"""Sequencer: joins rows and weight words, so that every word has its place in its row."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.spmm_config import SpmmConfig
from .product_streams import row_layout, weights_layout
from .steps import tagged_word_layout

__all__ = ["Sequencer", "work_layout"]


def work_layout(config: SpmmConfig) -> data.StructLayout:
    """Data of a row that its engine's sequencer needs."""
    return data.StructLayout({"length": row_layout(config)["length"].shape, "slot": 1})


class Sequencer(wiring.Component):
    """Counts the words of each row and the steps of each word.

    The sequencer is told the steps per word, because the front end is too far away to request the next word in time.
    Rows follow each other without a pause. A row without words takes one cycle.

    Members
    -------
    i_work : In(stream(work_layout))
    i_words : In(stream(weights_layout))
    more_steps : In
        Steps of a word after its first.
    o_words : Out(stream(tagged_word_layout, always_ready))
        From registers. The word does not change until its last step; the tags of its steps follow each other.
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
        work = self.i_work.payload
        # A word is accepted in one cycle and passed on in the next, so that its registers may be far from the control.
        word = Signal.like(self.i_words.payload)
        valid = Signal()
        tag = Signal.like(self.o_words.payload.tag)
        self._pass_on(m, word, tag, valid)
        # State of the current row, all in registers.
        active = Signal()
        empty = Signal()
        first = Signal()
        last = Signal()
        slot = Signal()
        row_ends = Signal()  # the row ends with the current word
        left = Signal.like(work.length)
        steps_left = Signal.like(self.more_steps)
        single = Signal()
        m.d.sync += single.eq(self.more_steps == 0)
        free = Signal(init=1)
        there = Signal()
        begin = Signal()
        m.d.comb += [
            there.eq(active & (empty | self.i_words.valid)),
            begin.eq(~active | (there & free & last)),
            self.i_words.ready.eq(free & active & ~empty),
            self.i_work.ready.eq(begin),
        ]
        m.d.sync += [
            steps_left.eq(steps_left - 1),
            free.eq(free | (steps_left == 1)),
            word.eq(self.i_words.payload),
            tag.first.eq(free & first),
            tag.last.eq(Mux(free, last & (empty | single), row_ends & (steps_left == 1))),
            tag.opens.eq(free),
        ]
        with m.If(free):
            m.d.sync += [
                steps_left.eq(self.more_steps),
                free.eq(~there | empty | single),
                valid.eq(there),
                row_ends.eq(last),
                tag.empty.eq(empty),
                tag.slot.eq(slot),
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

    def _pass_on(self, m: Module, word, tag, valid: Signal) -> None:
        """Hold the word until its last step, and count the place of each step in it."""
        out = self.o_words.payload
        place = Signal.like(tag.place, name="place")
        m.d.comb += place.eq(Mux(tag.opens, 0, out.tag.place + 1))
        m.d.sync += [self.o_words.valid.eq(valid), out.tag.eq(tag), out.tag.place.eq(place)]
        with m.If(tag.opens):
            m.d.sync += out.word.eq(Cat(word))
