"""Block memories of Xilinx 7: the model of the tests and the emitted Verilog give the same words."""

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from thresher.hdl.emit import emit
from thresher.sim.verilator import VerilatorSimulator

from .gates import netlist

pytestmark = pytest.mark.slow


class Store(wiring.Component):
    """A memory of ``depth`` words of ``parts`` parts. Each beat writes some parts of a word and reads another word."""

    def __init__(self, depth: int, parts: int, bits: int):
        self._depth, self._parts, self._bits = depth, parts, bits
        index = (depth - 1).bit_length()
        beat = {"read": index, "write": index, "enable": parts, "data": parts * bits}
        super().__init__({"i": In(stream.Signature(data.StructLayout(beat))), "o": Out(stream.Signature(parts * bits))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=self._parts * self._bits, depth=self._depth, init=[])
        write, read = memory.write_port(granularity=self._bits), memory.read_port()
        full = Signal()
        taken = self.i.valid & self.i.ready
        m.d.comb += [
            self.i.ready.eq(~full | self.o.ready),
            self.o.valid.eq(full),
            self.o.payload.eq(read.data),
            read.en.eq(taken),
            read.addr.eq(self.i.payload.read),
            write.addr.eq(self.i.payload.write),
            write.data.eq(self.i.payload.data),
            write.en.eq(self.i.payload.enable & taken.replicate(self._parts)),
        ]
        with m.If(self.i.ready):
            m.d.sync += full.eq(self.i.valid)
        return m


@pytest.mark.parametrize(
    ("depth", "parts", "bits", "cell"),
    [(512, 8, 9, "RAMB36E1"), (1024, 4, 8, "RAMB36E1"), (2048, 1, 9, "RAMB18E1"), (4096, 1, 4, "RAMB18E1")],
)
def test_words_are_those_of_the_emitted_memory(depth, parts, bits, cell, tmp_path):
    rng, unit, count = np.random.default_rng(depth), Store(depth, parts, bits), 3 * depth
    write = np.concatenate([np.arange(depth), rng.integers(0, depth, count - depth)])
    read = np.where(rng.random(count) < 0.3, write, rng.integers(0, np.minimum(np.arange(count), depth - 1) + 1))
    read[: depth + 1] = 0  # words are undefined until they are written
    beats = [
        {
            "read": int(read[n]),
            "write": int(write[n]),
            "enable": (1 << parts) - 1 if n < depth else int(rng.integers(0, 1 << parts)),
            "data": int.from_bytes(rng.bytes(16)) & ((1 << parts * bits) - 1),
        }
        for n in range(count)
    ]
    text = netlist(emit(unit, name="store"), top="store", name="xc7a35t", folder=tmp_path)
    assert f"\n{cell} #(" in text
    found = []
    for verilog in (text, None):
        with VerilatorSimulator(unit, stall=0.2, seed=1, verilog=verilog) as simulator:
            found.append(list(simulator.run({"i": beats}, {"o": count}).values["o"]))
    assert found[0][1:] == found[1][1:]
