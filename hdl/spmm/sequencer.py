"""Sequencer: joins rows and weight words, so that every word has its place in its row."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.spmm_config import SpmmConfig
from ..lib.packets import fault_layout, framed_layout
from .product_streams import row_layout, weights_layout
from .steps import tagged_word_layout

__all__ = ["Sequencer", "work_layout"]


def work_layout(config: SpmmConfig) -> data.StructLayout:
    """Data of a row that its engine's sequencer needs; or, with ``end``, the end of a product."""
    return data.StructLayout({"length": row_layout(config)["length"].shape, "slot": 1, "end": 1})


class Sequencer(wiring.Component):
    """Counts the words of each row and the steps of each word.

    The sequencer is told the steps per word, because the front end is too far away to request the next word in time.
    Rows follow each other without a pause. A row without words takes one cycle.

    The words of a product are a packet. Only its rows say how many words it needs, so the sequencer cannot know the
    last one in advance. If the packet ends too early, zero words follow it. At the end of a product, the sequencer
    drops what is left of the packet. A product without words has a packet of one beat, which counts as none.

    Members
    -------
    i_work : In(stream(work_layout))
    i_words : In(stream(framed_layout(weights_layout)))
    more_steps : In
        Steps of a word after its first.
    o_words : Out(stream(tagged_word_layout, always_ready))
        From registers. The word does not change until its last step; the tags of its steps follow each other.
    ended : Out(1)
        Asserted for one cycle when the packet of a product has ended, after all its rows.
    fault : Out(fault_layout)
        Of this packet.
    """

    def __init__(self, config: SpmmConfig):
        super().__init__(
            {
                "i_work": In(stream.Signature(work_layout(config))),
                "i_words": In(stream.Signature(framed_layout(weights_layout(config)))),
                "more_steps": In(range(max(config.banks, config.kept, 2))),
                "o_words": Out(stream.Signature(tagged_word_layout(config), always_ready=True)),
                "ended": Out(1),
                "fault": Out(fault_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        work = self.i_work.payload
        # A word is accepted in one cycle and passed on in the next, so that its registers may be far from the control.
        word = Signal.like(self.i_words.payload.data)
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
        over = Signal()  # the packet has no further beats
        closing = Signal()  # the product has no further rows
        m.d.comb += [
            there.eq(active & (empty | over | self.i_words.valid)),
            begin.eq(~(active | closing) | (there & free & last)),
            self.i_words.ready.eq(~over & (closing | (free & active & ~empty))),
            self.i_work.ready.eq(begin),
        ]
        m.d.sync += [
            steps_left.eq(steps_left - 1),
            free.eq(free | (steps_left == 1)),
            word.eq(Mux(over, 0, self.i_words.payload.data)),
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
                active.eq(self.i_work.valid & ~work.end),
                closing.eq(self.i_work.valid & work.end),
                empty.eq(work.length == 0),
                first.eq(1),
                last.eq(work.length <= 1),
                left.eq(work.length),
                slot.eq(work.slot),
            ]
        with m.Elif(there & free):
            m.d.sync += [first.eq(0), last.eq(left == 2), left.eq(left - 1)]
        self._end_packet(m, over, closing, made_up=there & free & ~empty & over)
        return m

    def _end_packet(self, m: Module, over: Signal, closing: Signal, *, made_up) -> None:
        """Follow the packet of a product to its end."""
        begun = Signal()  # the packet has given a beat
        fault = Signal(fault_layout(), name="packet_fault")
        m.d.sync += [self.ended.eq(closing & over), self.fault.eq(fault)]
        with m.If(self.i_words.valid & self.i_words.ready):
            m.d.sync += [begun.eq(1), over.eq(self.i_words.payload.last)]
            with m.If(closing & begun):
                m.d.sync += fault.surplus.eq(1)
        with m.If(made_up):
            m.d.sync += fault.missing.eq(1)
        with m.If(closing & over):
            m.d.sync += [closing.eq(0), over.eq(0), begun.eq(0), fault.eq(0)]

    def _pass_on(self, m: Module, word, tag, valid: Signal) -> None:
        """Hold the word until its last step, and count the place of each step in it."""
        out = self.o_words.payload
        place = Signal.like(tag.place, name="place")
        m.d.comb += place.eq(Mux(tag.opens, 0, out.tag.place + 1))
        m.d.sync += [self.o_words.valid.eq(valid), out.tag.eq(tag), out.tag.place.eq(place)]
        with m.If(tag.opens):
            m.d.sync += out.word.eq(Cat(word))
