"""cocotb tests of a whole co-processor on AXI4, with the models of cocotbext-axi and the driver in Python.

They run inside the simulator's process.
"""

import contextlib
import os
from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import FallingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiResp, AxiSlave
from thresher.hdl.bus.axi4 import Axi4Signature
from thresher.host.coprocessor import CoprocessorDriver, FaultError
from thresher.host.port import DeviceError
from thresher.spec import CoprocessorConfig
from thresher.spec.program import WORD_BYTES, FaultCode, Region, offset_of, region_of

from ...faults.program_memory import check_error, words_of
from ...faults.short_program import short_program
from ...faults.systems import short_image
from ...images import ImageRun, random_image
from .cocotb_traffic import pauses, watch
from .rules import Axi4Rules

CONFIG = CoprocessorConfig.from_json(Path(os.environ["THRESHER_CONFIG"]).read_text("utf-8"))
PERIOD_NS = 10
WORDS_APART = 12
"""From one word that fails to the next."""
BASE, SIZE = 0x4000_0F80, 1 << 22
"""The memory of the co-processor. It begins shortly before a boundary of 4 KB."""


class Target:
    """Memory behind the model. It cannot access some addresses."""

    def __init__(self):
        self.data = bytearray(SIZE)
        self.errors = range(0)

    def check(self, address: int, length: int) -> int:
        offset = address - BASE
        assert 0 <= offset <= SIZE - length, hex(address)
        if address in self.errors or address + length - 1 in self.errors:
            raise ValueError("no such word")
        return offset

    async def read(self, address: int, length: int) -> bytes:
        offset = self.check(address, length)
        return bytes(self.data[offset : offset + length])

    async def write(self, address: int, data: bytes) -> None:
        offset = self.check(address, len(data))
        self.data[offset : offset + len(data)] = data


class Host:
    """The transports of the driver: the master of the model, and the memory itself."""

    def __init__(self, dut: Any, master: Any, target: Target):
        self.dut, self.master, self.target = dut, master, target

        @resume
        async def read(offset: int) -> int:
            answer = await master.read(offset, 4)
            if answer.resp != AxiResp.OKAY:
                raise DeviceError(f"the bus refuses to read {offset:#x}")
            return int.from_bytes(answer.data, "little")

        @resume
        async def write(offset: int, value: int) -> None:
            if (await master.write(offset, value.to_bytes(4, "little"))).resp != AxiResp.OKAY:
                raise DeviceError(f"the bus refuses to write {offset:#x}")

        self.read, self.write = read, write
        self.driver = CoprocessorDriver(self, HostMemory(target), base=BASE, size=SIZE)


class HostMemory:
    """The memory as the host sees it."""

    def __init__(self, target: Target):
        self.data = target.data

    def read(self, address: int, count: int) -> bytes:
        return bytes(self.data[address - BASE :][:count])

    def write(self, address: int, data: bytes) -> None:
        self.data[address - BASE : address - BASE + len(data)] = data


async def begin(dut: Any, *, seed: int, pause: float) -> Host:
    """Reset, and connect the models."""
    Clock(dut.aclk, PERIOD_NS, "ns").start()
    dut.aresetn.value = 0
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, dut.aresetn, reset_active_level=False)
    target = Target()
    model: Any = AxiSlave(
        AxiBus.from_prefix(dut, "m_axi"), dut.aclk, dut.aresetn, target=target, reset_active_level=False
    )
    write, read = model.write_if, model.read_if
    channels = (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel)
    for number, channel in enumerate(channels):
        channel.set_pause_generator(pauses(Random(f"{seed}/{number}"), pause))
    for _ in range(3):
        await FallingEdge(dut.aclk)
    dut.aresetn.value = 1
    return Host(dut, master, target)


def run(host: Host, program: ImageRun, what: str) -> None:
    """Run a program by the driver. Every byte that it may write is compared."""
    driver, target = host.driver, host.target
    driver.load(program.image.encode())
    places = program.places(BASE)
    start = places[Region.SCRATCH] - BASE
    target.data[start : start + len(program.scratch)] = program.scratch
    output = driver.run(program.input, seconds=600)
    assert output == program.after[Region.OUTPUT], what
    for region, wanted in program.after.items():
        start = places[region] - BASE
        assert target.data[start : start + len(wanted)] == wanted, f"{what}, {region.name}"


@cocotb.test()
@cocotb.parametrize((("seed", "pause"), [(1, 0.0), (2, 0.3), (3, 0.7)]))
async def random_programs(dut: Any, seed: int, pause: float) -> None:
    """Every channel of the memory's bus stalls at random."""
    host = await begin(dut, seed=seed, pause=pause)
    rules = Axi4Rules(f"seed {seed}")
    cocotb.start_soon(watch(dut, "m_axi", Axi4Signature().members, rules, clock=dut.aclk))
    await bridge(run)(host, random_image(CONFIG, seed), f"seed {seed}")
    assert all(rules.moved.values())


@cocotb.test()
async def interrupt_and_counters(dut: Any) -> None:
    """The interrupt is asserted from the end of a program until the host clears it; counters tell what happened."""
    host = await begin(dut, seed=4, pause=0.2)
    program = random_image(CONFIG, 4)
    driver = host.driver
    await bridge(driver.registers.write_fields)("INTERRUPT_ENABLE", finished=1, fault=1)
    assert dut.irq.value == 0
    await bridge(run)(host, program, "seed 4")
    assert dut.irq.value == 1
    counters = await bridge(driver.counters)()
    completed = sum(counters[f"{unit}_COMPLETED"] for unit in ("PRODUCT", "ATTENTION", "VECTOR"))
    assert completed == program.image.instructions - 1  # END is of no unit
    assert counters["CYCLES"] > counters["WORDS_READ"] >= 8 * program.image.instructions
    await bridge(driver.registers.write_fields)("INTERRUPT_PENDING", finished=1)
    await FallingEdge(dut.aclk)
    assert dut.irq.value == 0


@cocotb.test()
async def errors_of_the_bus(dut: Any) -> None:
    """An error response ends the program with a fault; the next one is right. Words of all regions fail in turn."""
    host = await begin(dut, seed=5, pause=0.1)
    work, program = short_program(), short_image()

    def faulty(word: int) -> None:
        place = program.places(BASE)[region_of(word)] + offset_of(word)
        host.target.errors = range(place, place + WORD_BYTES)
        with contextlib.suppress(FaultError):
            run(host, program, f"address {word:#010x}")
        check_error(work, word, host.driver.fault())
        host.target.errors = range(0)
        run(host, program, f"address {word:#010x}, after the fault")

    for word in words_of(work)[::WORDS_APART]:
        await bridge(faulty)(word)


@cocotb.test()
async def a_program_that_takes_too_long_is_aborted(dut: Any) -> None:
    """The host does not wait for ever, and the next program is right."""
    host = await begin(dut, seed=6, pause=0.0)
    program = random_image(CONFIG, 6)

    def impatient() -> None:
        host.driver.load(program.image.encode())
        with pytest.raises(DeviceError, match="was aborted"):
            host.driver.run(program.input, seconds=0)
        while not host.driver.registers.fields("STATUS")["idle"]:
            pass
        assert host.driver.fault().error is FaultCode.ABORT
        run(host, program, "seed 6, after the abort")

    await bridge(impatient)()
