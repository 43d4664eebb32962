"""AXI4 master for the memory port of a co-processor."""

from enum import IntEnum

from amaranth import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.program import WORD_BYTES
from ..coprocessor.memory_streams import ADDRESS_BITS, BURST_BITS, WORD_BITS, WORD_SHIFT, MemoryPort
from ..lib.streams import HalfBuffer, StreamFIFO

__all__ = ["Axi4Master", "Axi4Signature", "Response"]

INCREMENTING = 0b01
CACHE = 0b0010
"""Normal memory, not cacheable, not bufferable: interconnects may resize bursts, and the memory itself acknowledges
writes. So a processor that learns that a program has ended reads its results."""
PROTECTION = 0b000
"""Unprivileged, secure, data."""
PENDING_WRITES = 8
"""Writes whose words may be missing. The arbiter has no more outstanding."""


class Response(IntEnum):
    """Values of ``rresp`` and ``bresp``. The higher bit marks an error."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class Axi4Signature(wiring.Signature):
    """AXI4 with 64 bits of data and 32 bits of address, as the master sees it.

    The members have the names of the standard, in small letters: ``awaddr``, ``awvalid`` and so on. ``region`` and
    ``user`` signals are missing; a subordinate takes 0 for them.

    Parameters
    ----------
    id_bits : int
        Width of ``awid``, ``bid``, ``arid`` and ``rid``, at least 1.

    Raises
    ------
    ValueError
        ``id_bits`` is less than 1.
    """

    def __init__(self, *, id_bits: int = 1):
        if id_bits < 1:
            raise ValueError(f"id_bits must be at least 1, not {id_bits!r}")
        address = {
            "id": id_bits,
            "addr": ADDRESS_BITS,
            "len": 8,
            "size": 3,
            "burst": 2,
            "lock": 1,
            "cache": 4,
            "prot": 3,
            "qos": 4,
            "valid": 1,
        }
        super().__init__(
            {
                **{f"aw{name}": Out(width) for name, width in address.items()},
                "awready": In(1),
                "wdata": Out(WORD_BITS),
                "wstrb": Out(WORD_BYTES),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bid": In(id_bits),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                **{f"ar{name}": Out(width) for name, width in address.items()},
                "arready": In(1),
                "rid": In(id_bits),
                "rdata": In(WORD_BITS),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class Axi4Master(wiring.Component):
    """Issues the bursts of a memory port as AXI4 bursts.

    Each burst of the port is one INCR burst of whole words with id 0, so answers come in order. It lies in an aligned
    block of 128 bytes, so it never crosses 4 KB. Reads do not wait for writes, nor writes for reads. Each side takes
    one burst per two cycles, and moves one word per cycle.

    ``valid`` of a channel depends on no ``ready``. The words of a burst are offered when its address is; they do not
    wait until the address is accepted. At the arbiter, no output of the bus depends on an input in the same cycle.

    Parameters
    ----------
    id_bits : int
        At least 1.

    Members
    -------
    memory : In(MemoryPort)
        ``error`` of a word, or of an acknowledgement, is asserted for the responses SLVERR and DECERR.
    axi : Out(Axi4Signature)
        ``rready`` and ``bready`` are ``read_data.ready`` and ``written.ready``.

    Raises
    ------
    ValueError
        ``id_bits`` is less than 1.
    """

    def __init__(self, *, id_bits: int = 1):
        super().__init__({"memory": In(MemoryPort()), "axi": Out(Axi4Signature(id_bits=id_bits))})

    def elaborate(self, platform):
        m = Module()
        axi, memory = self.axi, self.memory
        read = self._offer_addresses(m, "ar")
        wiring.connect(m, wiring.flipped(memory.read), read)
        m.d.comb += [
            memory.read_data.valid.eq(axi.rvalid),
            Value.cast(memory.read_data.payload.data).eq(axi.rdata),
            memory.read_data.payload.last.eq(axi.rlast),
            memory.read_data.payload.error.eq(axi.rresp[1]),
            axi.rready.eq(memory.read_data.ready),
        ]
        write = self._offer_addresses(m, "aw")
        m.submodules.lengths = lengths = StreamFIFO(BURST_BITS, depth=PENDING_WRITES)
        m.d.comb += [
            memory.write.ready.eq(write.ready & lengths.i.ready),
            write.valid.eq(memory.write.valid & lengths.i.ready),
            write.payload.eq(memory.write.payload),
            lengths.i.valid.eq(memory.write.valid & write.ready),
            lengths.i.payload.eq(memory.write.payload.words - 1),
        ]
        self._send_words(m, lengths.o)
        m.d.comb += [
            memory.written.valid.eq(axi.bvalid),
            memory.written.payload.eq(axi.bresp[1]),
            axi.bready.eq(memory.written.ready),
        ]
        return m

    def _offer_addresses(self, m: Module, channel: str):
        """Drive an address channel. Returns the stream of its bursts."""
        axi = {name: getattr(self.axi, f"{channel}{name}") for name in ("addr", "len", "valid", "ready")}
        m.submodules[channel] = register = HalfBuffer(self.memory.read.payload.shape())
        burst = register.o.payload
        m.d.comb += [
            axi["valid"].eq(register.o.valid),
            register.o.ready.eq(axi["ready"]),
            axi["addr"].eq(burst.address),
            axi["len"].eq(burst.words - 1),
            getattr(self.axi, f"{channel}size").eq(WORD_SHIFT),
            getattr(self.axi, f"{channel}burst").eq(INCREMENTING),
            getattr(self.axi, f"{channel}cache").eq(CACHE),
            getattr(self.axi, f"{channel}prot").eq(PROTECTION),
        ]
        return register.i

    def _send_words(self, m: Module, lengths: stream.Interface) -> None:
        """Send the words of each burst. A payload of ``lengths`` is a burst's number of words, less one."""
        axi, words = self.axi, self.memory.write_data
        sent = Signal(BURST_BITS)
        m.d.comb += [
            axi.wvalid.eq(words.valid & lengths.valid),
            axi.wdata.eq(Value.cast(words.payload)),
            axi.wstrb.eq(~0),
            axi.wlast.eq(sent == lengths.payload),
            words.ready.eq(axi.wready & lengths.valid),
            lengths.ready.eq(axi.wready & words.valid & axi.wlast),
        ]
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += sent.eq(sent + 1)
            with m.If(axi.wlast):
                m.d.sync += sent.eq(0)
