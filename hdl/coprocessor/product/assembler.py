"""Assembles wide beats from words of the memory."""

from amaranth import Module, Mux, Signal
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
    """Joins words to beats, the first word in the lowest bits. One word per cycle, and a cycle before the first.

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
        held = Signal(data.ArrayLayout(word_layout(), most))
        # The beats are counted in a register, which takes one cycle to load. So no comparison of sizes stands between
        # the two sides.
        counted = Signal()
        left = Signal(SIZE_BITS)
        last_beat = Signal()
        completes = Signal()
        take = Signal()
        needed = Signal(beats.words.shape())
        free = ~self.o_beats.valid | self.o_beats.ready
        m.d.comb += [
            needed.eq(Mux(last_beat, beats.last_words, beats.words)),
            completes.eq(place == needed - 1),
            self.i_words.ready.eq(counted & (~completes | free)),
            take.eq(self.i_words.valid & self.i_words.ready),
            self.i_beats.ready.eq(take & completes & last_beat),
        ]
        with m.If(self.o_beats.ready):
            m.d.sync += self.o_beats.valid.eq(0)
        with m.If(take):
            m.d.sync += [held[place].eq(self.i_words.payload), place.eq(place + 1)]
        with m.If(take & completes):
            beat = self.o_beats.payload
            m.d.sync += [place.eq(0), left.eq(left - 1), last_beat.eq(left == 2)]
            m.d.sync += [self.o_beats.valid.eq(1), beat.data.eq(held), beat.last.eq(last_beat & beats.last)]
            m.d.sync += beat.data[place].eq(self.i_words.payload)
            with m.If(last_beat):
                m.d.sync += counted.eq(0)
        with m.If(~counted):
            m.d.sync += [counted.eq(self.i_beats.valid), left.eq(beats.count), last_beat.eq(beats.count == 1)]
        return m
