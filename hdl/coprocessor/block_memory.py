"""The memory of a co-processor, on the chip."""

from amaranth import Array, Cat, Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from ...spec.on_chip_config import BANK_WORDS
from ..lib.pipeline import index_bits
from ..lib.scratchpad import NEVER_BOTH
from .memory_streams import ADDRESS_BITS, BURST_WORDS, WORD_BITS, WORD_SHIFT, MemoryPort, burst_layout

__all__ = ["BlockMemory"]

WORD_INDEX_BITS = ADDRESS_BITS - WORD_SHIFT
SECTION_BANKS = 8
"""Banks of the largest section: 16,384 words. A block memory of an ECP5 then holds one bit of each word, so only one
wire leaves it, and few sections are left to select from."""
GROUP = 4
"""Sections whose words are selected in one cycle."""
READ_LATENCY = 4
"""Cycles from the address of a word to the word."""


class BlockMemory(wiring.Component):
    """Block memories that several masters share. It reads one word per cycle, and writes one.

        bursts ── cursor ── addresses ── sections ── 4:1 ── 1 of the groups ── words
                    1           2            3        4

    Sections have a power of two of words each, and the largest are first. They lie all over the chip, so each has its
    own register for its address.

    Masters are served in turn, one burst each. A burst that does not lie in the memory is answered with an error for
    each word, and changes nothing. Reads and writes are not ordered among each other.

    Parameters
    ----------
    banks : int
        The memory has ``banks`` times :data:`~thresher.spec.on_chip_config.BANK_WORDS` words of 8 bytes.
    masters : int

    Members
    -------
    ports : In(MemoryPort).array(masters)
        ``read_data`` and ``written`` must always be ready, as those of the arbiter are. A burst must lie in an aligned
        block of 16 words.
    """

    def __init__(self, banks: int, *, masters: int):
        self._banks, self._masters = banks, masters
        super().__init__({"ports": In(MemoryPort()).array(masters)})

    def elaborate(self, platform):
        m = Module()
        reads, writes = [], []
        for number, section in enumerate(self._sections):
            memory = Memory(shape=unsigned(WORD_BITS), depth=len(section), init=[], attrs=NEVER_BOTH)
            m.submodules[f"section{number}"] = memory
            read = memory.read_port(transparent_for=())
            write = memory.write_port()
            reads.append(read)
            writes.append(write)
        self._read(m, reads)
        self._write(m, writes)
        return m

    @property
    def _sections(self) -> list[range]:
        """Words of each section. The first of them is a multiple of their number."""
        found, start = [], 0
        while start < self._banks * BANK_WORDS:
            banks_left = self._banks - start // BANK_WORDS
            size = min(SECTION_BANKS, 1 << (banks_left.bit_length() - 1)) * BANK_WORDS
            found.append(range(start, start + size))
            start += size
        return found

    def _hits(self, index: Value) -> list[Value]:
        """Whether each section has the word."""
        bits = [index_bits(len(section)) for section in self._sections]
        return [index[low:] == section.start >> low for low, section in zip(bits, self._sections, strict=True)]

    def _address(self, m: Module, index: Value, ports: list, *, name: str) -> None:
        """Give each section a register for its address. It changes only if the section has the word; otherwise
        synthesis would merge the registers of all sections into one."""
        for number, (port, hit) in enumerate(zip(ports, self._hits(index), strict=True)):
            address = Signal(len(port.addr), name=f"{name}_address{number}")
            m.d.comb += port.addr.eq(address)
            with m.If(hit):
                m.d.sync += address.eq(index)

    def _cursor(self, m: Module, bursts: list, advance: Value, *, name: str):
        """Serve bursts in turn. Returns the next word of the current burst, and whether there is one."""
        word = Signal(
            data.StructLayout(
                {"index": WORD_INDEX_BITS, "last": 1, "beyond": 1, "master": max(1, index_bits(self._masters))}
            ),
            name=f"{name}_word",
        )
        active = Signal(name=f"{name}_active")
        left = Signal(range(BURST_WORDS + 1), name=f"{name}_left")
        with m.If(advance):
            m.d.sync += [word.index.eq(word.index + 1), left.eq(left - 1), word.last.eq(left == 2)]
        free = ~active | advance & word.last
        chosen = Signal(range(self._masters), name=f"{name}_chosen")
        # The first one that has a burst, from the master after the one that was served last. Later statements win.
        for before in range(self._masters):
            with m.If(word.master == before):
                for step in reversed(range(1, self._masters + 1)):
                    master = (before + step) % self._masters
                    with m.If(bursts[master].valid):
                        m.d.comb += chosen.eq(master)
        burst = burst_layout()(Array([Value.cast(each.payload) for each in bursts])[chosen])
        valid = Cat(each.valid for each in bursts).any()
        with m.If(free):
            index = burst.address[WORD_SHIFT:]
            m.d.sync += [
                active.eq(valid),
                left.eq(burst.words),
                word.index.eq(index),
                word.last.eq(burst.words == 1),
                word.beyond.eq(index >= self._banks * BANK_WORDS),
            ]
            with m.If(valid):
                m.d.sync += word.master.eq(chosen)
        m.d.comb += [each.ready.eq(free & (chosen == master)) for master, each in enumerate(bursts)]
        return word, active

    def _read(self, m: Module, reads: list) -> None:
        active = Signal()
        word, busy = self._cursor(m, [port.read for port in self.ports], active, name="read")
        m.d.comb += active.eq(busy)
        m.d.comb += [each.en.eq(1) for each in reads]
        self._address(m, word.index, reads, name="read")
        section = Signal(range(len(reads)))
        shown = Signal.like(section)
        for number, hit in enumerate(self._hits(word.index)):
            with m.If(hit):
                m.d.sync += section.eq(number)
        m.d.sync += shown.eq(section)
        stages = [(word, active)]
        for number in range(READ_LATENCY):
            delayed, there = Signal.like(word, name=f"read_word{number + 1}"), Signal(name=f"read_there{number + 1}")
            m.d.sync += [delayed.eq(stages[-1][0]), there.eq(stages[-1][1])]
            stages.append((delayed, there))
        groups = [Signal(WORD_BITS, name=f"group{start}") for start in range(0, len(reads), GROUP)]
        low = index_bits(GROUP)
        for number, group in enumerate(groups):
            members = [each.data for each in reads[number * GROUP : (number + 1) * GROUP]]
            m.d.sync += group.eq(Array(members)[shown[:low]])
        chosen = Signal(range(len(groups)))
        found = Signal(WORD_BITS)
        m.d.sync += [chosen.eq(shown[low:]), found.eq(Array(groups)[chosen])]
        last, there = stages[READ_LATENCY]
        for master, port in enumerate(self.ports):
            m.d.comb += [
                port.read_data.valid.eq(there & (last.master == master)),
                Value.cast(port.read_data.payload.data).eq(found),
                port.read_data.payload.last.eq(last.last),
                port.read_data.payload.error.eq(last.beyond),
            ]

    def _write(self, m: Module, writes: list) -> None:
        moved = Signal()
        word, busy = self._cursor(m, [port.write for port in self.ports], moved, name="write")
        words = [port.write_data for port in self.ports]
        m.d.comb += moved.eq(busy & Array([each.valid for each in words])[word.master])
        m.d.comb += [each.ready.eq(busy & (word.master == master)) for master, each in enumerate(words)]
        self._address(m, word.index, writes, name="write")
        value = Signal(WORD_BITS)
        enables = Signal(len(writes))
        m.d.sync += [
            value.eq(Array([Value.cast(each.payload) for each in words])[word.master]),
            enables.eq(Cat(hit & moved & ~word.beyond for hit in self._hits(word.index))),
        ]
        for number, each in enumerate(writes):
            m.d.comb += [each.data.eq(value), each.en.eq(enables[number])]
        for master, port in enumerate(self.ports):
            m.d.sync += [
                port.written.valid.eq(moved & word.last & (word.master == master)),
                port.written.payload.eq(word.beyond),
            ]
