"""The simulated memory answers as it says, and reports broken rules of the port."""

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from thresher.hdl.coprocessor.memory_streams import MemoryPort, burst_layout, read_beat_layout, word_layout
from thresher.sim.memory import Burst, SimulatedMemory
from thresher.sim.testbench import run_streams

BYTES = 0x400
WORD = list(range(8))


class Bare(wiring.Component):
    """The streams of a memory port, driven by the bench."""

    read: In(stream.Signature(burst_layout()))
    write: In(stream.Signature(burst_layout()))
    write_data: In(stream.Signature(word_layout()))
    read_data: Out(stream.Signature(read_beat_layout()))
    written: Out(stream.Signature(1))

    def __init__(self):
        self.port = MemoryPort().flip().create(path=("port",))
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        for name in ("read", "write", "write_data"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(self.port, name))
        for name in ("read_data", "written"):
            wiring.connect(m, getattr(self.port, name), wiring.flipped(getattr(self, name)))
        return m


class Restless(wiring.Component):
    """Reads whose payload, or whose valid, changes in every cycle."""

    def __init__(self, what: str):
        self.what = what
        self.port = MemoryPort().flip().create(path=("port",))
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        phase = Signal()
        m.d.sync += phase.eq(~phase)
        m.d.comb += [
            self.port.read.valid.eq(phase if self.what == "valid" else 1),
            self.port.read.payload.words.eq(1 if self.what == "valid" else 1 + phase),
        ]
        return m


def burst(address: int, words: int) -> dict[str, int]:
    return {"address": address, "words": words}


def run(inputs, counts, *, dut=None, stall=0.0, bench_stall=0.0, settle=16, **settings):
    dut = dut or Bare()
    data = np.arange(BYTES).astype(np.uint8)
    memory = SimulatedMemory(dut.port, data, stall=stall, seed=1, **settings)
    found = run_streams(dut, inputs, counts, seed=1, stall=bench_stall, settle=settle, processes=[memory.serve])
    return memory, data, found


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_reads(stall):
    memory, _, found = run(
        {"read": [burst(0x78, 1), burst(0x80, 16)]}, {"read_data": 17}, stall=stall, bench_stall=stall
    )
    beats = found.values["read_data"]
    assert [beat["data"] for beat in beats] == [[(0x78 + 8 * i + k) % 256 for k in range(8)] for i in range(17)]
    assert [beat["last"] for beat in beats] == [1, *[0] * 15, 1]
    assert not any(beat["error"] for beat in beats)
    assert [(each.address, each.words) for each in memory.reads] == [(0x78, 1), (0x80, 16)]
    assert memory.idle


def test_latency_and_throughput():
    cycles = run({"read": [burst(0, 16), burst(0x80, 16)]}, {"read_data": 32}, latency=9)[2].cycles
    assert np.diff(cycles["read_data"]).tolist() == [1] * 31
    assert cycles["read_data"][0] - cycles["read"][0] == 9


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_a_write_changes_the_memory_when_it_is_acknowledged(stall):
    inputs = {"write": [burst(0x10, 2), burst(0x200, 1)], "write_data": [WORD, [255] * 8, [9] * 8]}
    memory, data, found = run(inputs, {"written": 2}, stall=stall, latency=(1, 9))
    wanted = np.arange(BYTES).astype(np.uint8)
    wanted[0x10:0x20] = [*WORD, *[255] * 8]
    wanted[0x200:0x208] = 9
    assert np.array_equal(data, wanted)
    assert found.values["written"] == [0, 0]
    assert memory.idle
    inputs["write"] = inputs["write"][:1]
    _, data, _ = run(inputs, {}, latency=900)
    assert np.array_equal(data, np.arange(BYTES).astype(np.uint8))


def test_errors():
    inputs = {"read": [burst(0, 3)], "write": [burst(0, 2), burst(0x10, 2)], "write_data": [WORD] * 4}
    _, data, found = run(inputs, {"read_data": 3, "written": 2}, errors=[8])
    assert [beat["error"] for beat in found.values["read_data"]] == [0, 1, 0]
    assert found.values["written"] == [1, 0]
    assert data[8:16].tolist() == list(range(8, 16))


def test_words_without_a_burst_are_no_idle_memory():
    assert not run({"write_data": [WORD]}, {})[0].idle


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("read", burst(0x78, 2), "read of 2 words at 0x78, which crosses a block"),
        ("write", burst(0x08, 16), "write of 16 words at 0x8, which crosses a block"),
        ("read", burst(0x10, 0), "read of 0 words"),
        ("write", burst(0, 17), "write of 17 words"),
        ("read", burst(0x14, 1), "read of address 0x14, which is no multiple of 8"),
        ("write", burst(BYTES, 1), "write of 1 words at 0x400, outside the memory"),
    ],
)
def test_bursts_that_break_a_rule(name, bad, message):
    with pytest.raises(AssertionError, match=rf"memory, cycle \d+, seed 1: {message}"):
        run({name: [bad]}, {})


@pytest.mark.parametrize(
    ("what", "message"),
    [("payload", "payload of read changed before ready"), ("valid", "valid of read fell before ready")],
)
def test_streams_that_break_a_rule(what, message):
    with pytest.raises(AssertionError, match=message):
        run({}, {}, dut=Restless(what), stall=0.9)


def test_addresses_of_a_burst():
    assert list(Burst(address=16, words=2, cycle=0).addresses) == [16, 24]
