"""The bus masters in Amaranth's simulator: throughput, answers, and what happens when words or bursts are missing."""

from random import Random

import numpy as np
import pytest
from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from thresher.hdl.bus.axi4 import Axi4Master, Axi4Signature, Response
from thresher.hdl.bus.wishbone import WishboneMaster
from thresher.hdl.coprocessor.memory_streams import MemoryPort
from thresher.sim.testbench import run_streams

from .models import Axi4Memory, WishboneMemory
from .traffic import MEMORY_BYTES, WORD, Burst, random_burst

HALF = MEMORY_BYTES // 2
BLOCKS = [Burst(address=address, words=16) for address in range(0, 1024, 128)]
SINGLE = [Burst(address=address, words=1) for address in range(0, 400, WORD)]
PORTS = ("read", "write", "write_data", "read_data", "written")


def content(seed: int) -> bytearray:
    return bytearray(Random(f"{seed}/content").randbytes(MEMORY_BYTES))


def as_bytes(words: list[list[int]]) -> bytes:
    return bytes(byte for word in words for byte in word)


def random_words(bursts: list[Burst], seed: int) -> list[list[int]]:
    random = Random(f"{seed}/words")
    return [list(random.randbytes(WORD)) for burst in bursts for _ in range(burst.words)]


def run(dut, memory, *, reads=(), writes=(), words=None, counts=None, seed=0, stalls=None, settle=8):
    """Send bursts, and wait for all answers."""
    inputs = {
        "memory__read": [{"address": each.address, "words": each.words} for each in reads],
        "memory__write": [{"address": each.address, "words": each.words} for each in writes],
        "memory__write_data": random_words(list(writes), seed) if words is None else words,
    }
    if counts is None:
        counts = {"read_data": sum(each.words for each in reads), "written": len(writes)}
    return run_streams(
        dut,
        inputs,
        {f"memory__{name}": count for name, count in counts.items()},
        seed=seed,
        stall={f"memory__{name}": stall for name, stall in (stalls or {}).items()},
        settle=settle,
        processes=[memory.serve] if memory is not None else [],
    )


def check_mix(dut, memory, *, seed, count, stalls, errors=frozenset()):
    """Random reads of the lower half and writes of the upper half."""
    random = Random(f"{seed}/mix")
    reads, writes = ([random_burst(random) for _ in range(count)] for _ in range(2))
    reads = [Burst(address=each.address % HALF, words=each.words) for each in reads]
    writes = [Burst(address=each.address % HALF + HALF, words=each.words) for each in writes]
    wanted = bytearray(memory.data)
    found = run(dut, memory, reads=reads, writes=writes, seed=seed, stalls=stalls)
    beats = iter(found.values["memory__read_data"])
    for burst in reads:
        for address in burst.addresses:
            beat = next(beats)
            assert (beat["last"], beat["error"]) == (address == burst.addresses[-1], address in errors), f"seed {seed}"
            if not beat["error"]:
                assert bytes(beat["data"]) == wanted[address : address + WORD], f"seed {seed}, {burst}"
    words = iter(random_words(writes, seed))
    for burst in writes:
        for address in burst.addresses:
            word = bytes(next(words))
            if address not in errors:
                wanted[address : address + WORD] = word
    assert found.values["memory__written"] == [not errors.isdisjoint(each.addresses) for each in writes]
    assert memory.data == wanted, f"seed {seed}"


# -- AXI4 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "port", "stall"), [(1, 0.0, 0.0), (2, 0.6, 0.2), (3, 0.1, 0.7)])
def test_axi4_moves_the_right_words(seed, port, stall):
    dut = Axi4Master()
    memory = Axi4Memory(dut.axi, content(seed), stall=stall, seed=seed)
    check_mix(dut, memory, seed=seed, count=30, stalls=dict.fromkeys(PORTS, port))


def test_axi4_moves_one_word_per_cycle_of_each_kind():
    dut = Axi4Master()
    memory = Axi4Memory(dut.axi, content(0))
    upper = [Burst(address=each.address + HALF, words=16) for each in BLOCKS]
    found = run(dut, memory, reads=BLOCKS, writes=upper)
    for cycles in (found.cycles["memory__read_data"], memory.rules.moved["w"]):
        assert np.diff(cycles).tolist() == [1] * 127
    assert found.cycles["memory__read_data"][0] < 8
    assert found.cycles["memory__written"][0] < 24


def test_axi4_begins_a_burst_of_each_kind_every_two_cycles():
    dut = Axi4Master()
    memory = Axi4Memory(dut.axi, content(0))
    run(dut, memory, reads=SINGLE, writes=[Burst(address=each.address + HALF, words=1) for each in SINGLE])
    for channel in ("ar", "aw"):
        assert np.diff(memory.rules.moved[channel]).tolist() == [2] * (len(SINGLE) - 1)


@pytest.mark.parametrize("response", Response)
def test_axi4_responses(response):
    dut = Axi4Master()
    memory = Axi4Memory(dut.axi, content(0), responses={WORD: response, HALF: response})
    writes = [Burst(address=HALF, words=2), Burst(address=HALF + 128, words=2)]
    found = run(dut, memory, reads=[Burst(address=0, words=3)], writes=writes)
    error = int(response in (Response.SLVERR, Response.DECERR))
    assert [beat["error"] for beat in found.values["memory__read_data"]] == [0, error, 0]
    assert found.values["memory__written"] == [error, 0]


def test_axi4_waits_for_the_burst_of_a_word_and_for_the_words_of_a_burst():
    """The address of a write goes on without its words. Reads go on, too."""
    dut = Axi4Master()
    memory = Axi4Memory(dut.axi, content(0))
    run(dut, memory, reads=BLOCKS, words=[[1] * WORD] * 3, counts={"read_data": 128})
    assert memory.rules.moved["w"] == []
    dut = Axi4Master()
    memory = Axi4Memory(dut.axi, content(0))
    run(dut, memory, reads=BLOCKS, writes=BLOCKS, words=[[1] * WORD] * 3, counts={"read_data": 128})
    assert len(memory.rules.moved["aw"]) == len(BLOCKS)
    assert len(memory.rules.moved["w"]) == 3


def test_axi4_numbers():
    assert Axi4Signature(id_bits=6).members["awid"].shape == 6
    with pytest.raises(ValueError, match="id_bits must be at least 1, not 0"):
        Axi4Signature(id_bits=0)


# -- Wishbone ----------------------------------------------------------------------------------


@pytest.mark.parametrize("burst", [False, True])
@pytest.mark.parametrize(
    ("seed", "port", "stall", "retry"), [(1, 0.0, 0.0, 0.0), (2, 0.6, 0.2, 0.1), (3, 0.1, 0.6, 0.3)]
)
def test_wishbone_moves_the_right_words(burst, seed, port, stall, retry):
    dut = WishboneMaster(burst=burst)
    random = Random(f"{seed}/errors")
    errors = {WORD * random.randrange(MEMORY_BYTES // WORD) for _ in range(200)} if seed > 1 else set()
    memory = WishboneMemory(dut.bus, content(seed), burst=burst, errors=errors, retry=retry, stall=stall, seed=seed)
    stalls = dict.fromkeys(("read", "write", "write_data"), port)
    check_mix(dut, memory, seed=seed, count=30, stalls=stalls, errors=frozenset(errors))


class WithAsynchronousSlave(wiring.Component):
    """A master, and a slave that answers in the same cycle. Every byte of a word is the lowest one of its number."""

    memory: In(MemoryPort())

    def elaborate(self, platform):
        m = Module()
        m.submodules.master = master = WishboneMaster(burst=False)
        wiring.connect(m, wiring.flipped(self.memory), master.memory)
        m.d.comb += [master.bus.ack.eq(master.bus.stb), master.bus.dat_r.eq(Cat(master.bus.adr[:8] for _ in range(8)))]
        return m


def test_wishbone_takes_one_cycle_per_word_and_one_per_burst():
    found = run(WithAsynchronousSlave(), None, reads=BLOCKS)
    assert [beat["data"] for beat in found.values["memory__read_data"]] == [[i] * 8 for i in range(128)]
    assert np.diff(found.cycles["memory__read_data"]).tolist() == ([*[1] * 15, 2] * 8)[:-1]


@pytest.mark.parametrize(("burst", "per_word"), [(False, 2), (True, 1)])
def test_wishbone_with_a_registered_acknowledgement(burst, per_word):
    """A word takes two classic cycles, or one cycle of a burst. Reads and writes take turns."""
    dut = WishboneMaster(burst=burst)
    memory = WishboneMemory(dut.bus, content(0), burst=burst)
    upper = [Burst(address=each.address + HALF, words=16) for each in BLOCKS]
    run(dut, memory, reads=BLOCKS, writes=upper)
    assert set(np.diff(memory.rules.moved[:16])) == {per_word}
    cycles = memory.rules.moved[-1] - memory.rules.moved[0] + 1
    assert cycles == 16 * 15 * per_word + 15 * 3 + 1
    # The words of the first write arrive during the first read.
    assert memory.writes == [False, True] * 8


def test_wishbone_reads_while_words_of_a_write_are_missing():
    dut = WishboneMaster()
    memory = WishboneMemory(dut.bus, content(0), burst=True)
    run(dut, memory, reads=BLOCKS, writes=BLOCKS[:1], words=[[1] * WORD] * 15, counts={"read_data": 128})
    assert not any(memory.writes)
