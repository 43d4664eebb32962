"""Splits spans of words into bursts."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .memory_streams import ADDRESS_BITS, BLOCK_SHIFT, BURST_BITS, BURST_WORDS, WORD_SHIFT, burst_layout, span_layout

__all__ = ["BurstSplitter", "part_layout"]


def part_layout() -> data.StructLayout:
    """A burst of a span. ``last`` marks the last one."""
    return data.StructLayout({"burst": burst_layout(), "last": 1})


class BurstSplitter(wiring.Component):
    """Gives the bursts of each span, in order. Each lies in one aligned block of words.

    Throughput is one burst per cycle, and one more cycle per span.

    Members
    -------
    i : In(stream(span_layout))
    o : Out(stream(part_layout))
        ``valid`` and ``payload`` are registers.
    """

    i: In(stream.Signature(span_layout()))
    o: Out(stream.Signature(part_layout()))

    def elaborate(self, platform):
        m = Module()
        span, part = self.i.payload, self.o.payload
        active = Signal()
        block = Signal(ADDRESS_BITS - BLOCK_SHIFT)
        low = Signal(BURST_BITS)  # first word of the burst in its block
        tail = Signal(BURST_BITS)  # last word of the span in its block
        # Bursts that are left are blocks + more. Their sum takes an adder, so they are counted one after the other.
        blocks = Signal(len(span.words) - BURST_BITS)
        more = Signal(2)
        last = Signal()
        first = span.address[WORD_SHIFT:BLOCK_SHIFT]
        end = span.words[:BURST_BITS] + first + (BURST_WORDS - 1)
        m.d.comb += [
            self.i.ready.eq(~active),
            last.eq(~blocks[1:].any() & (more == ~blocks[0])),
        ]
        free = Signal()
        m.d.comb += free.eq(~self.o.valid | self.o.ready)
        with m.If(free):
            m.d.sync += [
                self.o.valid.eq(active),
                part.burst.address.eq(Cat(Const(0, WORD_SHIFT), low, block)),
                part.burst.words.eq(Mux(last, tail, BURST_WORDS - 1) - low + 1),
                part.last.eq(last),
            ]
        with m.If(~active):
            m.d.sync += tail.eq(end[:BURST_BITS])
        with m.If(~active | free):
            # After the last burst of a span, the other registers take no part until the next span.
            m.d.sync += [
                active.eq(Mux(active, ~last, self.i.valid)),
                block.eq(Mux(active, block + 1, span.address[BLOCK_SHIFT:])),
                low.eq(Mux(active, 0, first)),
                more.eq(Mux(active, more - more[1], end[BURST_BITS:])),
                blocks.eq(Mux(active, blocks - ~more[1], span.words[BURST_BITS:])),
            ]
        return m
