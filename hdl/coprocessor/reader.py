"""Reads spans of the memory for a unit."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..lib.streams import BlockQueue
from .memory_streams import BURST_WORDS, ReaderPort, check_depth, span_layout, word_layout
from .splitter import BurstSplitter

__all__ = ["Reader"]


class Reader(wiring.Component):
    """Gives the words of each span, in order, one per cycle.

    It asks for a burst when its queue has room for ``BURST_WORDS`` words more than it has asked for. So several bursts
    are outstanding, and a memory whose latency is shorter than the queue is never idle. The next span is accepted
    while words of the earlier one are outstanding.

    Parameters
    ----------
    words : int
        Capacity of the queue in words: a power of two, at least two bursts.

    Members
    -------
    i_spans : In(stream(span_layout))
    o_words : Out(stream(word_layout))
    waits : Out(1)
        Words are asked for, and none has come.
    port : Out(ReaderPort)
        ``bursts.valid`` is a register.
    """

    def __init__(self, *, words: int = 64):
        self._words = check_depth(words)
        super().__init__(
            {
                "i_spans": In(stream.Signature(span_layout())),
                "o_words": Out(stream.Signature(word_layout())),
                "waits": Out(1),
                "port": Out(ReaderPort()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter()
        m.submodules.queue = queue = BlockQueue(word_layout(), depth=self._words)
        wiring.connect(m, wiring.flipped(self.i_spans), splitter.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o_words))
        part, bursts = splitter.o, self.port.bursts
        used = Signal(range(self._words + 1))  # words asked for that have not left the queue
        asked = Signal()
        taken = Signal()
        m.d.comb += [
            asked.eq(bursts.valid & bursts.ready),
            bursts.payload.eq(part.payload.burst),
            part.ready.eq(asked),
            self.waits.eq((used != 0) & ~queue.o.valid),
            queue.i.valid.eq(self.port.words.valid),
            queue.i.payload.eq(self.port.words.payload),
        ]
        m.d.sync += [
            # Words leave the queue while the burst waits. So its valid does not fall.
            bursts.valid.eq(part.valid & ~asked & (used <= self._words - BURST_WORDS)),
            taken.eq(queue.o.valid & queue.o.ready),
            used.eq(used + Mux(asked, part.payload.burst.words, 0) - taken),
        ]
        return m
