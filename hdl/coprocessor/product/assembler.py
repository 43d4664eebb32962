"""Assembles wide beats from words of the memory."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.formats import unsigned_bits
from ...lib.packets import framed_layout
from ..memory_streams import word_layout
from .tensor_tiles import SIZE_BITS

__all__ = ["Assembler", "beats_layout"]


def beats_layout(most: int) -> data.StructLayout:
    """``count`` beats of ``words`` words each, of which the last one has ``last_words``; all are at least 1.

    If ``last`` is set, they end a packet.
    """
    bits = unsigned_bits(most)
    return data.StructLayout({"count": SIZE_BITS, "words": bits, "last_words": bits, "last": 1})


class Assembler(wiring.Component):
    """Joins words to beats, the first word in the lowest bits. One word per cycle.

    Parameters
    ----------
    most : int
        Words of the largest beat. What a smaller beat lacks is undefined.

    Members
    -------
    i_beats : In(stream(beats_layout))
        Accepted with the last word of its last beat.
    i_words : In(stream(word_layout))
    o_beats : Out(stream(framed_layout of ``most`` words))
    """

    def __init__(self, *, most: int):
        self._most = most
        super().__init__(
            {
                "i_beats": In(stream.Signature(beats_layout(most))),
                "i_words": In(stream.Signature(word_layout())),
                "o_beats": Out(stream.Signature(framed_layout(data.ArrayLayout(word_layout(), most)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        most, beats = self._most, self.i_beats.payload
        place = Signal(range(most))
        done = Signal(SIZE_BITS)  # beats
        held = Signal(data.ArrayLayout(word_layout(), most))
        last_beat = Signal()
        completes = Signal()
        take = Signal()
        needed = Signal(beats.words.shape())
        free = ~self.o_beats.valid | self.o_beats.ready
        m.d.comb += [
            last_beat.eq(done == beats.count - 1),
            needed.eq(beats.words),
            completes.eq(place == needed - 1),
            self.i_words.ready.eq(self.i_beats.valid & (~completes | free)),
            take.eq(self.i_words.valid & self.i_words.ready),
            self.i_beats.ready.eq(take & completes & last_beat),
        ]
        with m.If(last_beat):
            m.d.comb += needed.eq(beats.last_words)
        with m.If(self.o_beats.ready):
            m.d.sync += self.o_beats.valid.eq(0)
        with m.If(take):
            m.d.sync += [held[place].eq(self.i_words.payload), place.eq(place + 1)]
        with m.If(take & completes):
            beat = self.o_beats.payload
            m.d.sync += [place.eq(0), done.eq(done + 1), self.o_beats.valid.eq(1), beat.data.eq(held)]
            m.d.sync += [beat.data[place].eq(self.i_words.payload), beat.last.eq(last_beat & beats.last)]
        with m.If(self.i_beats.ready):
            m.d.sync += done.eq(0)
        return m
