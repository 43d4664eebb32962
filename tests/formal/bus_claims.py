"""Rules of the buses."""

from collections.abc import Callable
from typing import Any

from amaranth import Cat, Value
from thresher.hdl.bus.axi4 import Axi4Master
from thresher.hdl.bus.axi4_lite import Axi4LiteSlave
from thresher.hdl.bus.wishbone import CycleType, WishboneMaster

from .claims import Claim, channel, smaller, stable_inputs
from .properties import After, Always, Answered, Fifo, Held, Level, Property, Stable, WordsOfBursts

__all__ = ["CLAIMS"]

PENDING_WRITES = 2
BURST_WORDS = 2
BLOCK = 16
"""Words of an aligned block, in which a burst lies."""


def _memory_bursts(block: Any) -> list[Property]:
    """The bursts of a memory port lie in aligned blocks."""
    return [
        *stable_inputs(block),
        *(
            Always(
                f"{name} lies in a block",
                (burst.payload.words != 0)
                & (burst.payload.address[:3] == 0)
                & (burst.payload.address[3:7] + burst.payload.words <= BLOCK),
                burst.valid,
            )
            for name, burst in (("read", block.memory.read), ("write", block.memory.write))
        ),
    ]


def _axi_channel(axi: Any, name: str, *fields: str) -> Any:
    payload = Cat(*(getattr(axi, f"{name}{field}") for field in fields))
    return channel(getattr(axi, f"{name}valid"), getattr(axi, f"{name}ready"), payload)


ADDRESS = ("addr", "len", "size", "burst", "id", "lock", "cache", "prot", "qos")


def _axi_stable(block: Axi4Master) -> list[Property]:
    return [
        *(Stable(name, _axi_channel(block.axi, name, *ADDRESS)) for name in ("aw", "ar")),
        Stable("w", _axi_channel(block.axi, "w", "data", "strb", "last")),
    ]


def _axi_bursts(block: Axi4Master) -> list[Property]:
    """Legal bursts: whole words, one aligned block, so none crosses 4 KB."""
    axi = block.axi
    rules = []
    for name in ("aw", "ar"):
        address, length, size, burst = (getattr(axi, f"{name}{field}") for field in ("addr", "len", "size", "burst"))
        inside = address[3:12] + length < 1 << 9
        legal = (address[:3] == 0) & (length < BLOCK) & inside & (size == 3) & (burst == 1)
        rules.append(Always(f"{name} is a legal burst", legal, getattr(axi, f"{name}valid")))
    return [*rules, Always("all bytes are written", axi.wstrb.all(), axi.wvalid)]


def _axi_addresses(block: Axi4Master) -> list[Property]:
    """Every burst is issued once, in order."""
    return [
        Fifo(name, channel(burst.valid, burst.ready, Value.cast(burst.payload)), _as_burst(block.axi, axi), room=1)
        for name, axi, burst in (("reads", "ar", block.memory.read), ("writes", "aw", block.memory.write))
    ]


def _as_burst(axi: Any, name: str) -> Any:
    words = (getattr(axi, f"{name}len") + 1)[:5]
    payload = Cat(getattr(axi, f"{name}addr"), words)
    return channel(getattr(axi, f"{name}valid"), getattr(axi, f"{name}ready"), payload)


def _axi_words(block: Axi4Master) -> list[Property]:
    axi, write = block.axi, block.memory.write
    return [
        WordsOfBursts(
            "the last word of a burst is marked",
            write.valid & write.ready,
            write.payload.words,
            channel(axi.wvalid, axi.wready, axi.wlast),
            most=PENDING_WRITES,
        )
    ]


def _lite_answers(block: Axi4LiteSlave) -> list[Property]:
    """Each access is answered once, and the answer waits for the host."""
    bus = block.bus
    return [
        Stable("b", channel(bus.bvalid, bus.bready, bus.bresp)),
        Stable("r", channel(bus.rvalid, bus.rready, Cat(bus.rdata, bus.rresp))),
        Level("writes", bus.awvalid & bus.awready, bus.bvalid & bus.bready, most=2),
        Level("words", bus.wvalid & bus.wready, bus.bvalid & bus.bready, most=2),
        Level("reads", bus.arvalid & bus.arready, bus.rvalid & bus.rready, most=2),
        Answered("ar is accepted in time", bus.arvalid, bus.arready, within=8),
    ]


def _lite_host(block: Axi4LiteSlave) -> list[Property]:
    bus, port = block.bus, block.port
    return [
        Stable("aw", channel(bus.awvalid, bus.awready, bus.awaddr)),
        Stable("w", channel(bus.wvalid, bus.wready, Cat(bus.wdata, bus.wstrb))),
        Stable("ar", channel(bus.arvalid, bus.arready, bus.araddr)),
        Answered("r is accepted in time", bus.rvalid, bus.rready, within=3),
        Held("read data stays", ~port.read, Cat(port.read_data, port.read_error)),
        Held("the write's answer stays", ~port.write, port.write_error),
    ]


def _wishbone(block: WishboneMaster) -> list[Property]:
    """Signals wait for the answer; ``cyc`` falls after the last word, ``err`` and ``rty``."""
    bus = block.bus
    answered = bus.ack | bus.err | bus.rty
    asks = Cat(bus.cyc, bus.stb, bus.we, bus.adr, bus.cti, bus.bte, bus.sel, bus.dat_w)
    ends = bus.cyc & (bus.err | bus.rty | (bus.ack & (bus.cti == CycleType.END_OF_BURST)))
    return [
        Held("a word waits for its answer", bus.cyc & ~answered & bus.we, asks),
        Held("an address waits for its answer", bus.cyc & ~answered, asks[: -len(bus.dat_w)]),
        Always("stb and cyc are one", bus.stb == bus.cyc),
        After("cyc falls at the end of a burst", ends, ~bus.cyc),
        After("a burst goes on", bus.cyc & bus.ack & ~ends, bus.cyc),
    ]


def _claim(component: Any, rule: str, asserted: Callable, assumed: Callable = _memory_bursts, **options: Any) -> Claim:
    options = {"configuration": "", "make": lambda c: c(), "short": True} | options
    return Claim(rule=rule, component=component, asserted=asserted, assumed=assumed, **options)


def _slave(block: WishboneMaster) -> list[Property]:
    """A slave gives one answer at a time, and only to a word; the memory port's answers are accepted at once."""
    bus, memory = block.bus, block.memory
    return [
        *_memory_bursts(block),
        Always("one answer", Cat(bus.ack & bus.err, bus.ack & bus.rty, bus.err & bus.rty) == 0),
        Always("an answer needs a word", bus.stb, bus.ack | bus.err | bus.rty),
        Always("writes are short", memory.write.payload.words <= BURST_WORDS, memory.write.valid),
        Always("read_data is ready", memory.read_data.ready),
        Always("written is ready", memory.written.ready),
    ]


CLAIMS = [
    _claim(Axi4Master, "address and write channels are stable", _axi_stable, short=False),
    _claim(Axi4Master, "bursts are legal and do not cross 4 KB", _axi_bursts),
    _claim(Axi4Master, "each burst is issued once, in order", _axi_addresses),
    _claim(
        Axi4Master,
        "each burst has its words, and the last one is marked",
        _axi_words,
        configuration=f"{PENDING_WRITES} pending writes",
        make=lambda c: smaller(c, PENDING_WRITES=PENDING_WRITES)(),
        short=False,
    ),
    _claim(Axi4LiteSlave, "each access is answered once, and answers are stable", _lite_answers, _lite_host),
    _claim(
        WishboneMaster,
        "words wait for their answer, and bursts end as B4 says",
        _wishbone,
        _slave,
        configuration=f"writes of {BURST_WORDS} words",
        make=lambda c: smaller(c, BURST_WORDS=BURST_WORDS)(),
        short=False,
    ),
]
