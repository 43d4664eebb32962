"""The memory on the chip, and the accesses of a host."""

from random import Random

import pytest
from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from thresher.hdl.bus.registers import RegisterFile
from thresher.hdl.coprocessor.block_memory import BlockMemory
from thresher.hdl.coprocessor.memory_streams import burst_layout, join, read_beat_layout, word_layout
from thresher.hdl.link.host_access import HostAccess, access_members
from thresher.sim.testbench import run_streams
from thresher.spec import ConfigError, coprocessor_preset
from thresher.spec.on_chip_config import BANK_WORDS, Access, OnChipConfig
from thresher.spec.registers import BY_NAME, IDENTITY

MASTERS = 3
BLOCK = 16


class Phases(wiring.Component):
    """A memory. Reads begin when all writes are complete."""

    def __init__(self, banks: int, *, writes: int):
        self._banks, self._writes = banks, writes
        members = {}
        for i in range(MASTERS):
            members |= {f"{name}_{i}": In(stream.Signature(burst_layout())) for name in ("read", "write")}
            members[f"words_{i}"] = In(stream.Signature(word_layout()))
            members[f"data_{i}"] = Out(stream.Signature(read_beat_layout()))
            members[f"written_{i}"] = Out(stream.Signature(1))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = BlockMemory(self._banks, masters=MASTERS)
        count = Signal(range(self._writes + 1))
        m.d.sync += count.eq(count + sum(port.written.valid for port in memory.ports))
        done = count == self._writes
        for i, port in enumerate(memory.ports):
            read = getattr(self, f"read_{i}")
            m.d.comb += [port.read.payload.eq(read.payload), port.read.valid.eq(read.valid & done)]
            m.d.comb += read.ready.eq(port.read.ready & done)
            join(m, getattr(self, f"write_{i}"), port.write)
            join(m, getattr(self, f"words_{i}"), port.write_data)
            join(m, port.read_data, getattr(self, f"data_{i}"))
            join(m, port.written, getattr(self, f"written_{i}"))
        return m


def some_bursts(random: Random, banks: int, count: int, *, master: int) -> list[dict[str, int]]:
    """Bursts in the blocks of a master, so that the order of masters does not matter. Some blocks are outside, and some
    are on both sides of a border between banks, which may be one between sections."""
    found = []
    for _ in range(count):
        blocks = banks * BANK_WORDS // BLOCK
        border = random.randrange(banks) * BANK_WORDS // BLOCK
        places = [0, blocks - MASTERS, blocks, border, border - 1, random.randrange(blocks), random.randrange(1 << 25)]
        block = max(0, random.choice(places))
        block = block // MASTERS * MASTERS + master
        first = random.randrange(BLOCK)
        found.append({"address": 8 * (BLOCK * block + first), "words": random.randint(1, BLOCK - first)})
    return found


@pytest.mark.parametrize(("banks", "seed"), [(1, 1), (3, 2), (6, 3), (8, 4), (21, 5), (43, 6)])
def test_bursts_of_several_masters(banks, seed):
    random = Random(seed)
    limit = 8 * banks * BANK_WORDS
    inputs, expected, memory = {}, {}, {}
    for i in range(MASTERS):
        inputs[f"write_{i}"] = writes = some_bursts(random, banks, 12, master=i)
        inputs[f"words_{i}"] = words = [random.randbytes(8) for burst in writes for _ in range(burst["words"])]
        left = iter(words)
        for burst in writes:
            for place in range(burst["address"], burst["address"] + 8 * burst["words"], 8):
                memory[place] = next(left)
        expected[f"written_{i}"] = [int(burst["address"] >= limit) for burst in writes]
        inputs[f"words_{i}"] = [list(word) for word in words]
        inputs[f"read_{i}"] = reads = random.sample(writes, 12) + some_bursts(random, banks, 5, master=i)
        expected[f"data_{i}"] = [
            (place >= limit, place + 8 == end, None if place >= limit else list(memory.get(place, bytes(8))))
            for burst in reads
            for end in [burst["address"] + 8 * burst["words"]]
            for place in range(burst["address"], end, 8)
        ]
    counts = {name: len(values) for name, values in expected.items()}
    stall = dict.fromkeys(inputs, 0.3)
    found = run_streams(Phases(banks, writes=12 * MASTERS), inputs, counts, seed=seed, stall=stall).values
    for i in range(MASTERS):
        assert found[f"written_{i}"] == expected[f"written_{i}"], f"seed {seed}"
        beats = [
            (bool(beat["error"]), bool(beat["last"]), None if beat["error"] else beat["data"])
            for beat in found[f"data_{i}"]
        ]
        assert beats == expected[f"data_{i}"], f"seed {seed}"


def test_a_word_per_cycle():
    """Bursts of one master follow each other without a pause."""
    reads = [{"address": 128 * block, "words": words} for block in range(5) for words in (16, 1, 2)]
    total = sum(burst["words"] for burst in reads)
    found = run_streams(Phases(2, writes=0), {"read_0": reads}, {"data_0": total}, seed=1, stall=0)
    cycles = found.cycles["data_0"]
    assert cycles[-1] - cycles[0] == total - 1


class Host(wiring.Component):
    """Registers and a memory with a host."""

    def __init__(self, banks: int):
        self._banks = banks
        super().__init__(access_members())

    def elaborate(self, platform):
        m = Module()
        m.submodules.access = access = HostAccess(8 * self._banks * BANK_WORDS)
        m.submodules.registers = registers = RegisterFile(coprocessor_preset("tiny").hash())
        m.submodules.memory = memory = BlockMemory(self._banks, masters=1)
        for name in access_members():
            own, inner = getattr(self, name), getattr(access, name)
            connect(m, flipped(own), inner) if name.startswith("i_") else connect(m, inner, flipped(own))
        connect(m, access.registers, registers.port)
        m.d.comb += registers.control.ready.eq(1)
        connect(m, access.memory, memory.ports[0])
        return m


def test_accesses_of_a_host():
    """Every access has one result, also a wrong one."""
    random, banks = Random(4), 2
    size = 8 * banks * BANK_WORDS
    accesses, written, read, results = [], [], [], []

    def access(kind: Access, address: int, value: int, *, result: int, error: bool = False) -> None:
        accesses.append({"access": int(kind), "address": address, "value": value})
        results.append({"value": result, "error": int(error)})

    for start, count in ((8, 5), (size - 16, 2), (8 * BANK_WORDS - 8, 3), (0, 0)):
        words = [random.getrandbits(64) for _ in range(count)]
        access(Access.WRITE_MEMORY, start, count, result=size)
        access(Access.READ_MEMORY, start, count, result=size)
        written += words
        read += words
    for kind in (Access.WRITE_MEMORY, Access.READ_MEMORY):
        access(kind, size, 1, result=size, error=True)
    written.append(0)
    watchdog = BY_NAME["WATCHDOG"].offset
    access(Access.READ_REGISTER, BY_NAME["IDENTITY"].offset, 0, result=IDENTITY)
    access(Access.WRITE_REGISTER, watchdog, 1234, result=size)
    access(Access.READ_REGISTER, watchdog, 0, result=1234)
    access(Access.WRITE_REGISTER, BY_NAME["IDENTITY"].offset, 0, result=size, error=True)
    access(Access.READ_REGISTER, 0xFFC, 0, result=0, error=True)
    access(Access.WRITE_REGISTER, watchdog + 0x1000, 1, result=size, error=True)
    access(Access.READ_REGISTER, watchdog, 0, result=1234)
    counts = {"o_words": len(read) + 1, "o_result": len(results)}
    found = run_streams(Host(banks), {"i_access": accesses, "i_words": written}, counts, seed=4).values
    assert found["o_result"] == results
    assert found["o_words"][:-1] == read


@pytest.mark.parametrize("size", [0, 8, 24, 1 << 20, "16"])
def test_impossible_sizes_are_rejected(size):
    with pytest.raises(ConfigError, match="memory"):
        OnChipConfig(coprocessor=coprocessor_preset("tiny"), memory_kib=size)
