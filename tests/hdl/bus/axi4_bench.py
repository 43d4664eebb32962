"""cocotb tests of the AXI4 master at the models of cocotbext-axi. They run inside the simulator's process."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge
from cocotbext.axi import AxiBus, AxiRam, AxiSlave
from thresher.hdl.bus.axi4 import Axi4Signature

from .cocotb_traffic import SINKS, SOURCES, Port, pauses, reset, watch
from .rules import Axi4Rules
from .tops import AXI
from .traffic import MEMORY_BYTES, WORD, Burst, Traffic


class Target:
    """Memory behind the model. It cannot access some words."""

    def __init__(self, traffic: Traffic):
        self.memory, self.errors = bytearray(traffic.before), traffic.errors

    def check(self, address: int) -> None:
        if address in self.errors:
            raise ValueError(f"no word at {address:#x}")

    async def read(self, address: int, length: int) -> bytes:
        self.check(address)
        return bytes(self.memory[address : address + length])

    async def write(self, address: int, data: bytes) -> None:
        self.check(address)
        self.memory[address : address + len(data)] = data


def channels(model: Any) -> list[Any]:
    write, read = model.write_if, model.read_if
    return [write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel]


async def run(dut: Any, traffic: Traffic, model: Any, *, seed: int, stalls: dict[str, float], pause=0.0) -> Axi4Rules:
    """Send traffic through the master."""
    rules = Axi4Rules(f"seed {seed}")
    cocotb.start_soon(watch(dut, AXI, Axi4Signature().members, rules))
    if pause:
        for i, channel in enumerate(channels(model)):
            channel.set_pause_generator(pauses(Random(f"{seed}/{i}"), pause))
    await reset(dut, AXI)
    await Port(dut, AXI, traffic, seed=seed, stalls=stalls).run(60_000)
    await FallingEdge(dut.clk)
    assert len(rules.moved["aw"]) == len(rules.moved["b"]) == len(traffic.writes), f"seed {seed}"
    return rules


@cocotb.test()
@cocotb.parametrize((("seed", "port", "pause"), [(1, 0.0, 0.5), (2, 0.5, 0.5), (3, 0.6, 0.1), (4, 0.1, 0.9)]))
async def random_traffic(dut: Any, seed: int, port: float, pause: float) -> None:
    """Every stream of the port and every channel of the bus stalls at random. Some words are errors."""
    traffic = Traffic.random(seed=seed, count=120, errors=True)
    target = Target(traffic)
    stalls = {name: port for name in (*SOURCES, *SINKS)}
    model = AxiSlave(AxiBus.from_prefix(dut, AXI), dut.clk, dut.rst, target=target)
    await run(dut, traffic, model, seed=seed, stalls=stalls, pause=pause)
    assert target.memory == traffic.memory, f"seed {seed}"


@cocotb.test()
@cocotb.parametrize(slow=range(5))
async def one_channel_stalls(dut: Any, slow: int) -> None:
    """Words may come long after the address, and the address may be accepted long after the words."""
    traffic = Traffic.random(seed=slow, count=25)
    target = Target(traffic)
    model = AxiSlave(AxiBus.from_prefix(dut, AXI), dut.clk, dut.rst, target=target)
    channels(model)[slow].set_pause_generator(pauses(Random(slow), 0.9))
    await run(dut, traffic, model, seed=slow, stalls={})
    assert target.memory == traffic.memory, f"seed {slow}"


@cocotb.test()
async def one_word_per_cycle(dut: Any) -> None:
    """Reads and writes at the same time, at a memory without pauses."""
    half = MEMORY_BYTES // 2
    blocks = [Burst(address=address, words=16) for address in range(0, half, 16 * WORD)]
    random = Random(5)
    traffic = Traffic(
        reads=blocks,
        writes=[Burst(address=half + each.address, words=16) for each in blocks],
        words=[random.getrandbits(64) for _ in range(half // WORD)],
        before=random.randbytes(MEMORY_BYTES),
    )
    memory = AxiRam(AxiBus.from_prefix(dut, AXI), dut.clk, dut.rst, size=MEMORY_BYTES)
    memory.write(0, traffic.before)
    rules = await run(dut, traffic, memory, seed=5, stalls={})
    assert memory.read(0, MEMORY_BYTES) == traffic.memory
    for channel in ("r", "w"):
        cycles = rules.moved[channel]
        assert len(cycles) >= 0.97 * (cycles[-1] - cycles[0] + 1), channel
