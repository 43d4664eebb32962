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

BANK_BITS = index_bits(BANK_WORDS)
WORD_INDEX_BITS = ADDRESS_BITS - WORD_SHIFT
GROUP = 4
"""Banks whose words are selected in one cycle."""
READ_LATENCY = 3
"""Cycles from the address of a word to the word."""


class BlockMemory(wiring.Component):
    """Block memories that several masters share. It reads one word per cycle, and writes one.

        bursts ── cursor ── banks ── 4:1 ── 1 of the groups ── words
                    1         2       3

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
        for number in range(self._banks):
            memory = Memory(shape=unsigned(WORD_BITS), depth=BANK_WORDS, init=[], attrs=NEVER_BOTH)
            m.submodules[f"bank{number}"] = memory
            read = memory.read_port(transparent_for=())
            write = memory.write_port()
            reads.append(read)
            writes.append(write)
        self._read(m, reads)
        self._write(m, writes)
        return m

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
        m.d.comb += [each.addr.eq(word.index[:BANK_BITS]) for each in reads]
        m.d.comb += [each.en.eq(1) for each in reads]
        stages = [(word, active)]
        for number in range(READ_LATENCY):
            delayed, there = Signal.like(word, name=f"read_word{number + 1}"), Signal(name=f"read_there{number + 1}")
            m.d.sync += [delayed.eq(stages[-1][0]), there.eq(stages[-1][1])]
            stages.append((delayed, there))
        groups = [Signal(WORD_BITS, name=f"group{start}") for start in range(0, self._banks, GROUP)]
        low = index_bits(GROUP)
        for number, group in enumerate(groups):
            members = [each.data for each in reads[number * GROUP : (number + 1) * GROUP]]
            m.d.sync += group.eq(Array(members)[stages[1][0].index[BANK_BITS : BANK_BITS + low]])
        found = Signal(WORD_BITS)
        m.d.sync += found.eq(Array(groups)[stages[2][0].index[BANK_BITS + low :]])
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
        address = Signal(BANK_BITS)
        value = Signal(WORD_BITS)
        enables = Signal(self._banks)
        m.d.sync += [
            address.eq(word.index[:BANK_BITS]),
            value.eq(Array([Value.cast(each.payload) for each in words])[word.master]),
            enables.eq(Cat(moved & ~word.beyond & (word.index[BANK_BITS:] == bank) for bank in range(self._banks))),
        ]
        for bank, each in enumerate(writes):
            m.d.comb += [each.addr.eq(address), each.data.eq(value), each.en.eq(enables[bank])]
        for master, port in enumerate(self.ports):
            m.d.sync += [
                port.written.valid.eq(moved & word.last & (word.master == master)),
                port.written.payload.eq(word.beyond),
            ]
