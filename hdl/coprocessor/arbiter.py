"""Joins readers and writers to one port of the memory."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...spec.program import FaultCode
from ..lib.streams import StreamFIFO, StreamRegister
from .gate import BurstGate, pick, requester_bits
from .memory_streams import (
    BLOCK_SHIFT,
    MemoryPort,
    ReaderPort,
    WriterPort,
    fault_layout,
    regions_layout,
    word_layout,
)

__all__ = ["Arbiter"]


class Arbiter(wiring.Component):
    """Serves readers in turn, and writers in turn, one burst each. Reads do not wait for writes.

    Reads and writes are not ordered among each other. A requester that needs an order waits for the acknowledgement.

    After a fault, or while ``stop`` is asserted, the arbiter accepts no burst. The bursts that it issued before still
    end: readers have room for their words, and writers hold their words. When ``idle`` is asserted then, the memory
    expects nothing, and readers, writers and arbiter may be reset together.

    Parameters
    ----------
    readers, writers : int
        At least 1 of each.
    outstanding : int
        Reads that may be outstanding, and writes as well.

    Members
    -------
    readers : In(ReaderPort).array(readers)
    writers : In(WriterPort).array(writers)
    port : Out(MemoryPort)
        ``read_data`` and ``written`` are always ready.
    regions : In(regions_layout)
        May change only while ``idle`` is asserted and no requester asks.
    stop : In(1)
    fault : Out(fault_layout)
        The first fault since reset: ``ADDRESS`` for a burst outside its region or a write to a read-only region, which
        is not issued; ``BUS`` for an error of the memory.
    idle : Out(1)
        No burst is outstanding.
    """

    def __init__(self, *, readers: int, writers: int, outstanding: int = 8):
        self._readers = readers
        self._writers = writers
        self._outstanding = outstanding
        super().__init__(
            {
                "readers": In(ReaderPort()).array(readers),
                "writers": In(WriterPort()).array(writers),
                "port": Out(MemoryPort()),
                "regions": In(regions_layout()),
                "stop": In(1),
                "fault": Out(fault_layout(readers=readers, writers=writers)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = self._outstanding
        m.submodules.reads = reads = BurstGate(requesters=self._readers, write=False, outstanding=depth)
        m.submodules.writes = writes = BurstGate(requesters=self._writers, write=True, outstanding=depth)
        wiring.connect(m, reads.o, wiring.flipped(self.port.read))
        wiring.connect(m, writes.o, wiring.flipped(self.port.write))
        for gate, clients in ((reads, self.readers), (writes, self.writers)):
            for client, bursts in zip(clients, gate.bursts, strict=True):
                wiring.connect(m, wiring.flipped(client.bursts), bursts)
            m.d.comb += [
                gate.regions.eq(self.regions),
                gate.stop.eq(self.stop | self.fault.valid),
                gate.drop.eq(self.fault.valid),
            ]
        self._send_words(m, writes.issued)
        failed_read = self._return_words(m, reads)
        failed_write = self._return_acknowledgements(m, writes)
        m.d.comb += self.idle.eq(reads.idle & writes.idle)
        with m.If(~self.fault.valid):
            for event, write, code in (
                (reads.outside, 0, FaultCode.ADDRESS),
                (writes.outside, 1, FaultCode.ADDRESS),
                (failed_read, 0, FaultCode.BUS),
                (failed_write, 1, FaultCode.BUS),
            ):
                with m.If(event.valid):
                    m.d.sync += [
                        self.fault.valid.eq(1),
                        self.fault.write.eq(write),
                        self.fault.requester.eq(event.requester),
                        self.fault.address.eq(event.block << BLOCK_SHIFT),
                        self.fault.code.eq(code),
                    ]
        return m

    def _order(self, m: Module, issued, *, ended, name: str):
        """Requester and block of the oldest burst. ``ended`` is asserted when the burst ends."""
        layout = data.StructLayout({"requester": issued.requester.shape(), "block": issued.block.shape()})
        m.submodules[name] = order = StreamFIFO(layout, depth=self._outstanding, counted=True)
        m.d.comb += [
            order.i.valid.eq(issued.valid),
            order.i.payload.requester.eq(issued.requester),
            order.i.payload.block.eq(issued.block),
            order.o.ready.eq(ended),
        ]
        return order.o.payload

    def _return_words(self, m: Module, gate: BurstGate):
        """Give each word to its reader, through a register. Returns errors."""
        beat = self.port.read_data
        burst = self._order(m, gate.issued, ended=gate.done, name="read_order")
        held = Signal(word_layout())
        error = Signal.like(gate.outside, name="read_error")
        m.d.comb += [beat.ready.eq(1), gate.done.eq(beat.valid & beat.payload.last)]
        m.d.sync += [
            held.eq(beat.payload.data),
            error.valid.eq(beat.valid & beat.payload.error),
            error.requester.eq(burst.requester),
            error.block.eq(burst.block),
        ]
        for i, each in enumerate(self.readers):
            m.d.sync += each.words.valid.eq(beat.valid & (burst.requester == i))
            m.d.comb += each.words.payload.eq(held)
        return error

    def _return_acknowledgements(self, m: Module, gate: BurstGate):
        """Tell each writer when its bursts are written. Returns errors."""
        written = self.port.written
        burst = self._order(m, gate.issued, ended=gate.done, name="written_order")
        error = Signal.like(gate.outside, name="write_error")
        m.d.comb += [written.ready.eq(1), gate.done.eq(written.valid)]
        m.d.sync += [
            error.valid.eq(written.valid & written.payload),
            error.requester.eq(burst.requester),
            error.block.eq(burst.block),
        ]
        for i, each in enumerate(self.writers):
            m.d.sync += each.written.eq(written.valid & (burst.requester == i))
        return error

    def _send_words(self, m: Module, issued):
        """Send the words of the bursts that were issued, in their order."""
        count = issued.words.shape()
        layout = data.StructLayout({"requester": requester_bits(self._writers), "words": count})
        m.submodules.send_order = order = StreamFIFO(layout, depth=self._outstanding, counted=True)
        m.submodules.send = send = StreamRegister(word_layout())
        wiring.connect(m, send.o, wiring.flipped(self.port.write_data))
        active = Signal(self._writers)  # the writer that sends
        writer = Signal(requester_bits(self._writers))
        left = Signal(count)
        last = Signal()
        offered = Signal()
        free = Signal()
        m.d.comb += [
            order.i.valid.eq(issued.valid),
            order.i.payload.requester.eq(issued.requester),
            order.i.payload.words.eq(issued.words),
            offered.eq(send.i.valid & send.i.ready),
            free.eq(~active.any() | (offered & last)),
            order.o.ready.eq(free),
            send.i.valid.eq(Cat(active[i] & each.words.valid for i, each in enumerate(self.writers)).any()),
            send.i.payload.eq(pick(writer, [each.words.payload.as_value() for each in self.writers])),
            *(each.words.ready.eq(active[i] & send.i.ready) for i, each in enumerate(self.writers)),
        ]
        with m.If(offered):
            m.d.sync += [left.eq(left - 1), last.eq(left == 2)]
        with m.If(free):
            m.d.sync += [
                *(active[i].eq(order.o.valid & (order.o.payload.requester == i)) for i in range(self._writers)),
                writer.eq(order.o.payload.requester),
                left.eq(order.o.payload.words),
                last.eq(order.o.payload.words == 1),
            ]
