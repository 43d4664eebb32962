"""Server of the link: receives request frames, reads and writes ports, sends reply frames."""

from types import SimpleNamespace

from amaranth import C, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.crc import Algorithm
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...spec.link import (
    COUNT_BYTES,
    CRC_BYTES,
    CRC_INITIAL,
    CRC_POLYNOMIAL,
    HEADER_BYTES,
    OPERATION_BITS,
    PORT_BITS,
    SYNC_REPLY,
    SYNC_REQUEST,
    WRITES,
    LinkConfig,
    Operation,
)
from ..lib.scratchpad import NEVER_BOTH
from .uart import Receiver, Transmitter

__all__ = ["Server"]

REQUEST, REPLY = 0, 1
"""Halves of the memory."""
RESET_BITS = 4
"""A reset of the core lasts 2^RESET_BITS cycles."""


class LineCRC(wiring.Component):
    """CRC of the bits on the line, one bit at a time. This costs little more than the register.

    Members
    -------
    start : In(1)
        A new CRC begins with the next bit.
    bit, bit_valid : In(1)
    crc : Out(32)
        CRC of the bits so far.
    match : Out(1)
        Asserted while the last 32 bits are the CRC of all bits before them.
    """

    start: In(1)
    bit: In(1)
    bit_valid: In(1)
    crc: Out(8 * CRC_BYTES)
    match: Out(1)

    def elaborate(self, platform):
        m = Module()
        algorithm = Algorithm(
            crc_width=8 * CRC_BYTES,
            polynomial=CRC_POLYNOMIAL,
            initial_crc=CRC_INITIAL,
            reflect_input=True,
            reflect_output=True,
            xor_output=(1 << 8 * CRC_BYTES) - 1,
        )
        processor = algorithm(data_width=1).create()
        m.submodules.processor = processor
        m.d.comb += [
            processor.start.eq(self.start),
            processor.data.eq(self.bit),
            processor.valid.eq(self.bit_valid),
            self.crc.eq(processor.crc),
            self.match.eq(processor.match_detected),
        ]
        return m


class Server(wiring.Component):
    """The hardware side of :mod:`~thresher.spec.link`. Serves one request at a time.

    The server acts on a request only after its CRC was correct; payloads wait in a memory until then. The other half of
    the memory holds the bytes of the last read, which can be sent again. The server does not listen to the line while
    it carries out a request and replies.

    Parameters
    ----------
    link : LinkConfig

    Members
    -------
    rx : In(1)
    tx : Out(1)
    reset : Out(1)
        Resets the core.
    port : Out(PORT_BITS)
        Port of the request.
    start : Out(1)
        Strobe: a request begins; i.e. the ports start with the first byte of a beat.
    write_free, write_whole : In(1)
    write_byte, write_enable, write_last : Out(8), Out(1), Out(1)
        To :class:`~.ports.WritePorts`.
    read_valid, read_byte : In(1), In(8)
    read_ready : Out(1)
        To :class:`~.ports.ReadPorts`.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    reset: Out(1)
    port: Out(PORT_BITS)
    start: Out(1)
    write_free: In(1)
    write_whole: In(1)
    write_byte: Out(8)
    write_enable: Out(1)
    write_last: Out(1)
    read_valid: In(1)
    read_byte: In(8)
    read_ready: Out(1)

    def __init__(self, link: LinkConfig):
        self._link = link
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        link = self._link
        header = data.StructLayout(
            {"sequence": 8, "operation": OPERATION_BITS, "port": PORT_BITS, "count": 8 * COUNT_BYTES}
        )
        m.submodules.receiver = receiver = Receiver(link.clocks_per_bit)
        m.submodules.transmitter = transmitter = Transmitter(link.clocks_per_bit)
        memory = Memory(shape=unsigned(8), depth=2 * link.payload_bytes, init=[], attrs=NEVER_BOTH)
        m.submodules.memory = memory
        store = memory.write_port()
        fetch = memory.read_port(transparent_for=())
        m.submodules.crc = crc = LineCRC()
        s = SimpleNamespace(
            receiver=receiver,
            transmitter=transmitter,
            store=store,
            fetch=fetch,
            crc=crc,
            request=Signal(header, name="request"),  # header as received
            last=Signal(16, name="last"),  # sequence, operation and port of the last request that was carried out
            position=Signal(link.count_bits, name="position"),  # of a byte in a payload
            done=Signal(link.count_bits, name="done"),  # bytes written or read
            byte=Signal(8, name="byte"),  # read from a port
            index=Signal(range(8), name="index"),  # of a byte in a part of a frame
            timer=Signal(link.silence_bits + 1, name="timer"),  # cycles without progress
        )
        s.count = s.request.count[: link.count_bits]
        s.at_end = s.position == s.count
        s.last_byte = s.position + 1 == s.count
        s.writes = sum(s.request.operation == operation for operation in WRITES)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            self.port.eq(s.request.port),
            s.fetch.en.eq(1),
            self.write_byte.eq(s.fetch.data),
            self.write_last.eq((s.request.operation == Operation.WRITE_LAST) & s.last_byte),
            s.fetch.addr.eq(Cat(s.position, REQUEST)),
            crc.bit.eq(receiver.bit),
            crc.bit_valid.eq(receiver.bit_valid),
        ]
        m.d.sync += s.timer.eq(s.timer + 1)
        with m.FSM():
            self._receive(m, s)
            self._carry_out(m, s)
            self._answer(m, s)
        return m

    def _receive(self, m: Module, s: SimpleNamespace) -> None:
        """Receive a frame, from its synchronisation bytes to its CRC."""
        receiver, link = s.receiver, self._link
        byte, arrived = receiver.byte, receiver.byte_valid
        lost = receiver.broken | s.timer[link.silence_bits]

        def pauses_end() -> None:
            with m.If(arrived):
                m.d.sync += s.timer.eq(0)

        with m.State("HUNT"):
            m.d.sync += s.timer.eq(0)
            with m.If(arrived & (byte == SYNC_REQUEST[0])):
                m.next = "SYNC"
        with m.State("SYNC"):
            pauses_end()
            m.d.sync += [s.index.eq(0), s.position.eq(0)]
            with m.If(arrived & (byte == SYNC_REQUEST[1])):
                m.d.comb += s.crc.start.eq(1)
                m.next = "HEADER"
            with m.Elif(lost | (arrived & (byte != SYNC_REQUEST[0]))):
                m.next = "HUNT"
        with m.State("HEADER"):
            pauses_end()
            with m.If(arrived):
                m.d.sync += [s.index.eq(s.index + 1), s.request.eq(Cat(s.request.as_value()[8:], byte))]
                with m.If(s.index == HEADER_BYTES - 1):
                    m.d.sync += s.index.eq(0)
                    m.next = "LENGTH"
            with m.If(lost):
                m.next = "HUNT"
        with m.State("LENGTH"):
            with m.If(s.request.count[link.count_bits :].any()):
                m.next = "HUNT"  # the payload is too long
            with m.Elif(s.writes & ~s.at_end):
                m.next = "PAYLOAD"
            with m.Else():
                m.next = "CHECK"
        with m.State("PAYLOAD"):
            pauses_end()
            m.d.comb += [s.store.addr.eq(Cat(s.position, REQUEST)), s.store.data.eq(byte), s.store.en.eq(arrived)]
            with m.If(arrived):
                m.d.sync += s.position.eq(s.position + 1)
                with m.If(s.last_byte):
                    m.next = "CHECK"
            with m.If(lost):
                m.next = "HUNT"
        with m.State("CHECK"):
            pauses_end()
            with m.If(arrived):
                m.d.sync += s.index.eq(s.index + 1)
                with m.If(s.index == CRC_BYTES - 1):
                    m.next = "HUNT"
                    with m.If(s.crc.match):
                        m.next = "BEGIN"
            with m.If(lost):
                m.next = "HUNT"

    def _carry_out(self, m: Module, s: SimpleNamespace) -> None:
        """Carry out a request, unless it was carried out before."""
        repeated = s.request.as_value()[:16] == s.last
        impatient = s.timer[self._link.patience_bits]
        with m.State("BEGIN"):
            m.d.comb += self.start.eq(1)
            m.d.sync += [s.position.eq(0), s.index.eq(0), s.timer.eq(0)]
            with m.If(repeated & (s.request.operation != Operation.RESET)):
                m.next = "SYNC REPLY"
            with m.Else():
                m.d.sync += [s.last.eq(s.request.as_value()[:16]), s.done.eq(0)]
                with m.Switch(s.request.operation):
                    for operation in Operation:
                        with m.Case(operation):
                            m.next = "WRITE" if operation in WRITES else operation.name
        with m.State("RESET"):
            m.d.comb += self.reset.eq(1)
            with m.If(s.timer[RESET_BITS]):
                m.next = "SYNC REPLY"
        with m.State("WRITE"):  # fetches the byte
            with m.If(s.at_end | (~self.write_free & impatient)):
                m.next = "SYNC REPLY"
            with m.Elif(self.write_free):
                m.next = "WRITE BYTE"
        with m.State("WRITE BYTE"):
            m.d.comb += self.write_enable.eq(1)
            m.d.sync += [s.position.eq(s.position + 1), s.timer.eq(0)]
            with m.If(self.write_whole):
                m.d.sync += s.done.eq(s.position + 1)
            m.next = "WRITE"
        with m.State("READ"):  # selects the byte, which takes long in a wide core
            m.d.sync += s.byte.eq(self.read_byte)
            with m.If(s.at_end | (~self.read_valid & impatient)):
                m.d.sync += s.done.eq(s.position)
                m.next = "SYNC REPLY"
            with m.Elif(self.read_valid):
                m.next = "READ BYTE"
        with m.State("READ BYTE"):
            m.d.comb += [
                s.store.addr.eq(Cat(s.position, REPLY)),
                s.store.data.eq(s.byte),
                s.store.en.eq(1),
                self.read_ready.eq(1),
            ]
            m.d.sync += [s.position.eq(s.position + 1), s.timer.eq(0)]
            m.next = "READ"

    def _answer(self, m: Module, s: SimpleNamespace) -> None:
        """Send a reply frame, from its synchronisation bytes to its CRC."""
        line = s.transmitter.i

        def part(payload, length: int, *, following: str) -> None:
            """Send ``length`` bytes of ``payload``, then go to state ``following``."""
            m.d.comb += [line.valid.eq(1), line.payload.eq(payload)]
            with m.If(line.ready):
                m.d.sync += s.index.eq(s.index + 1)
                with m.If(s.index == length - 1):
                    m.d.sync += s.index.eq(0)
                    m.next = following

        def count_bits() -> None:
            m.d.comb += [s.crc.bit.eq(s.transmitter.bit), s.crc.bit_valid.eq(s.transmitter.bit_valid)]

        with m.State("SYNC REPLY"):
            m.d.sync += s.position.eq(0)
            part(Mux(s.index[0], SYNC_REPLY[1], SYNC_REPLY[0]), len(SYNC_REPLY), following="HEADER REPLY")
        with m.State("HEADER REPLY"):
            words = Cat(s.last, s.done, C(0, 8 * HEADER_BYTES))
            part(words.word_select(s.index[:2], 8), HEADER_BYTES, following="PAYLOAD REPLY")
            # When a byte is accepted, all bits of the byte before have left.
            m.d.comb += s.crc.start.eq(line.ready & (s.index == 0))
            count_bits()
        with m.State("PAYLOAD REPLY"):
            m.d.comb += s.fetch.addr.eq(Cat(s.position, REPLY))
            count_bits()
            with m.If((s.request.operation != Operation.READ) | (s.position == s.done)):
                m.next = "CRC REPLY"
            with m.Else():
                # A byte takes many cycles on the line, so the next byte is fetched long before it is sent.
                m.d.comb += [line.valid.eq(1), line.payload.eq(s.fetch.data)]
                with m.If(line.ready):
                    m.d.sync += s.position.eq(s.position + 1)
        with m.State("CRC REPLY"):
            part(s.crc.crc.word_select(s.index[:2], 8), CRC_BYTES, following="HUNT")
            with m.If(s.index == 0):  # until the first CRC byte is accepted, the bits belong to the byte before it
                count_bits()
            with m.Else():
                m.d.comb += s.crc.bit_valid.eq(0)
