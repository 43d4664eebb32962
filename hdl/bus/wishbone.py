"""Wishbone master for the memory port of a co-processor."""

from enum import IntEnum

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...spec.program import WORD_BYTES
from ..coprocessor.memory_streams import (
    ADDRESS_BITS,
    BURST_BITS,
    BURST_WORDS,
    WORD_BITS,
    WORD_SHIFT,
    MemoryPort,
    burst_layout,
    word_layout,
)
from ..lib.streams import StreamFIFO

__all__ = ["CycleType", "WishboneMaster", "WishboneSignature"]


class CycleType(IntEnum):
    """Values of ``cti`` that the master drives."""

    CLASSIC = 0b000
    INCREMENTING = 0b010
    END_OF_BURST = 0b111


class WishboneSignature(wiring.Signature):
    """Wishbone B4 with 64 bits of data, as the master sees it.

    Members
    -------
    adr : Out(29)
        Number of a word of 8 bytes, i.e. bits 31…3 of its address in bytes. So do LiteX and amaranth-soc. A bus with
        addresses in bytes takes ``{adr, 3'b000}``.
    dat_w : Out(64), dat_r : In(64)
        Byte k of a word is at bits 8k + 7…8k.
    sel : Out(8)
        One bit per byte. All are asserted.
    cyc, stb, we : Out(1)
    cti : Out(3), bte : Out(2)
        See :class:`CycleType`; bursts are linear.
    ack, err, rty : In(1)
        A slave without ``err`` or ``rty`` ties them to 0.
    """

    def __init__(self):
        super().__init__(
            {
                "adr": Out(ADDRESS_BITS - WORD_SHIFT),
                "dat_w": Out(WORD_BITS),
                "dat_r": In(WORD_BITS),
                "sel": Out(WORD_BYTES),
                "cyc": Out(1),
                "stb": Out(1),
                "we": Out(1),
                "cti": Out(3),
                "bte": Out(2),
                "ack": In(1),
                "err": In(1),
                "rty": In(1),
            }
        )


class WishboneMaster(wiring.Component):
    """Issues the bursts of a memory port on a Wishbone bus, reads and writes in turn.

    ``cyc`` and ``stb`` stay asserted for all words of a burst, and are low for one cycle after it. So other masters can
    get the bus, and a burst of n words takes n + 1 cycles if the slave accepts a word in every cycle. A write begins
    when all its words are there. So a burst never waits for the port.

    After ``err``, the word is an error, and the master goes on with the next one. After ``rty``, it repeats the word,
    as often as the slave demands. In both cases ``cyc`` and ``stb`` are low for one cycle, and the rest of the burst
    begins as a new one. No output of the bus depends on an input in the same cycle.

    Parameters
    ----------
    burst : bool
        Registered-feedback cycles (``cti``), which let a slave with a registered ``ack`` accept a word in every cycle.
        Otherwise cycles are classic.

    Members
    -------
    memory : In(MemoryPort)
        ``read_data`` and ``written`` must always be ready, as those of the arbiter are: a burst cannot wait for them.
        ``error`` of a word is asserted for ``err``. An acknowledgement is an error if one of its words was.
    bus : Out(WishboneSignature)
    """

    def __init__(self, *, burst: bool = True):
        self._burst = burst
        super().__init__({"memory": In(MemoryPort()), "bus": Out(WishboneSignature())})

    def elaborate(self, platform):
        m = Module()
        bus, memory = self.bus, self.memory
        m.submodules.words = words = StreamFIFO(word_layout(), depth=BURST_WORDS)
        wiring.connect(m, wiring.flipped(memory.write_data), words.i)
        held = Signal(range(BURST_WORDS + 1))
        m.d.sync += held.eq(held + (words.i.valid & words.i.ready) - words.o.ready)

        busy = Signal()  # a burst is not complete
        left = Signal(range(BURST_WORDS + 1))
        last = Signal()
        end_of_burst = Mux(last, CycleType.END_OF_BURST, CycleType.INCREMENTING)
        m.d.comb += [
            bus.stb.eq(bus.cyc),
            bus.sel.eq(~0),
            bus.dat_w.eq(Value.cast(words.o.payload)),
            bus.cti.eq(end_of_burst if self._burst else CycleType.CLASSIC),
        ]

        moved = Signal()  # a word
        failed = Signal()  # a word of this burst
        done = Signal()
        m.d.comb += [
            moved.eq(bus.cyc & (bus.ack | bus.err)),
            done.eq(moved & last),
            words.o.ready.eq(moved & bus.we),
            memory.read_data.valid.eq(moved & ~bus.we),
            Value.cast(memory.read_data.payload.data).eq(bus.dat_r),
            memory.read_data.payload.last.eq(last),
            memory.read_data.payload.error.eq(bus.err),
        ]
        m.d.sync += [memory.written.valid.eq(done & bus.we), memory.written.payload.eq(failed | bus.err)]

        with m.If(bus.cyc):
            with m.If(moved):
                m.d.sync += [
                    bus.adr[:BURST_BITS].eq(bus.adr[:BURST_BITS] + 1),
                    left.eq(left - 1),
                    last.eq(left == 2),
                    failed.eq(failed | bus.err),
                ]
            m.d.sync += [busy.eq(~done), bus.cyc.eq(~(done | bus.err | bus.rty))]
        with m.Elif(busy):
            m.d.sync += bus.cyc.eq(1)
        with m.Else():
            write = self._choose(m, held)
            fields = Mux(write, Value.cast(memory.write.payload), Value.cast(memory.read.payload))
            burst = burst_layout()(fields)
            m.d.sync += [
                busy.eq(memory.write.ready | memory.read.ready),
                bus.cyc.eq(memory.write.ready | memory.read.ready),
                bus.we.eq(write),
                bus.adr.eq(burst.address[WORD_SHIFT:]),
                left.eq(burst.words),
                last.eq(burst.words == 1),
                failed.eq(0),
            ]
        return m

    def _choose(self, m: Module, held: Signal) -> Signal:
        """Accept a burst. Returns whether it is a write."""
        read, write = self.memory.read, self.memory.write
        writes_next = Signal()
        possible = Signal()
        m.d.comb += [
            possible.eq(write.valid & (held >= write.payload.words)),
            write.ready.eq(possible & (writes_next | ~read.valid)),
            read.ready.eq(read.valid & ~write.ready),
        ]
        with m.If(write.ready | read.ready):
            m.d.sync += writes_next.eq(read.ready)
        return write.ready
