"""Writes words of a unit to spans of the memory."""

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..lib.streams import BlockQueue, StreamFIFO, StreamRegister, nonzero
from .memory_streams import WriterPort, check_depth, span_layout, word_layout
from .splitter import BurstSplitter

__all__ = ["Writer"]


class Writer(wiring.Component):
    """Writes the words of each span, in order, one per cycle.

    It asks for a burst when its queue holds all words of the burst. So the memory never waits for a unit.

    Parameters
    ----------
    words : int
        Capacity of the queue in words: a power of two, at least two bursts.
    bursts : int
        Bursts that may be outstanding.

    Members
    -------
    i_spans : In(stream(span_layout))
    i_words : In(stream(word_layout))
        They may come before their span.
    o_done : Out(stream(unsigned(1)))
        One per span, when the memory holds all its words. The payload is always 0.
    port : Out(WriterPort)
        ``bursts.valid`` is a register, and so are ``words.valid`` and ``words.payload``.
    """

    def __init__(self, *, words: int = 64, bursts: int = 8):
        self._words = check_depth(words)
        self._bursts = bursts
        super().__init__(
            {
                "i_spans": In(stream.Signature(span_layout())),
                "i_words": In(stream.Signature(word_layout())),
                "o_done": Out(stream.Signature(unsigned(1))),
                "port": Out(WriterPort()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter()
        m.submodules.queue = queue = BlockQueue(word_layout(), depth=self._words)
        m.submodules.out = out = StreamRegister(word_layout())
        m.submodules.ends = ends = StreamFIFO(unsigned(1), depth=self._bursts, counted=True)
        wiring.connect(m, wiring.flipped(self.i_spans), splitter.i)
        wiring.connect(m, queue.o, out.i)
        wiring.connect(m, out.o, wiring.flipped(self.port.words))
        part, bursts = splitter.o, self.port.bursts
        held = Signal(range(self._words + 1))  # words in the queue that no burst was asked for
        asked = Signal()
        entered = Signal()
        left = Signal()
        ended = Signal()
        room = nonzero(m, init=self._words, limit=self._words, up=left, down=entered, name="room")
        m.d.comb += [
            entered.eq(self.i_words.valid & room),
            left.eq(queue.o.valid & queue.o.ready),
            self.i_words.ready.eq(room),
            queue.i.valid.eq(entered),
            queue.i.payload.eq(self.i_words.payload),
            asked.eq(bursts.valid & bursts.ready),
            bursts.payload.eq(part.payload.burst),
            part.ready.eq(asked),
        ]
        free = nonzero(m, init=self._bursts, limit=self._bursts, up=ended, down=asked, name="free")
        m.d.sync += [
            # Words enter the queue while the burst waits. So its valid does not fall.
            bursts.valid.eq(part.valid & ~asked & free & (held >= part.payload.burst.words)),
            held.eq(held + entered - Mux(asked, part.payload.burst.words, 0)),
        ]
        # Bursts that the memory has acknowledged. The last one of a span waits until o_done is accepted.
        answered = nonzero(m, init=0, limit=self._bursts, up=self.port.written, down=ended, name="answered")
        m.d.comb += [
            ends.i.valid.eq(asked),
            ends.i.payload.eq(part.payload.last),
            self.o_done.valid.eq(answered & ends.o.payload),
            ended.eq(answered & (~ends.o.payload | self.o_done.ready)),
            ends.o.ready.eq(ended),
        ]
        return m
