"""Faults of the buses of a co-processor: answers with an error to each access, and accesses that are refused."""

import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from thresher.hdl.bus.axi4 import Axi4Master, Response
from thresher.hdl.coprocessor.memory_streams import BURST_WORDS
from thresher.host.port import DeviceError
from thresher.spec.program import FaultCode, Finish, Opcode, Region, offset_of, region_of
from thresher.spec.registers import BY_NAME, REGISTERS, SPACE_BYTES

from ..hdl.bus.models import Axi4Memory
from ..hdl.bus.test_masters import as_bytes, random_words, run
from ..hdl.bus.traffic import BLOCK, WORD, Burst
from ..host.drivers import BASE, Failure
from ..host.systems import RegisterAccess, System
from .fault import Fault
from .program_memory import check_error, words_of
from .short_program import short_program
from .systems import begin_image, drivers, regions_at, run_image, short_image

FAILING = (Response.SLVERR, Response.DECERR)
REGISTER_BYTES = 4
SETTLE = 4
"""Cycles after which a started program is busy."""


# -- AXI4 --------------------------------------------------------------------------------------


def axi4() -> int:
    """Bursts of every length, with an error in each word. All other words and bursts are right."""
    cases = 0
    for response in FAILING:
        places = [(words, place) for words in range(1, BURST_WORDS + 1) for place in range(words)]
        reads = [Burst(address=BLOCK * index, words=words) for index, (words, _) in enumerate(places)]
        begin = BLOCK * len(reads)
        # A write has one answer. Every second one fails.
        writes = [Burst(address=begin + BLOCK * index, words=1 + index // 2) for index in range(2 * BURST_WORDS)]
        failing = {each.addresses[place] for each, (_, place) in zip(reads, places, strict=True)}
        failing |= {each.address for each in writes[::2]}
        data = bytearray(Random(10).randbytes(begin + BLOCK * len(writes)))
        wanted = bytes(data)
        dut = Axi4Master()
        memory = Axi4Memory(dut.axi, data, stall=0.2, seed=10, responses=dict.fromkeys(failing, response))
        found = run(dut, memory, reads=reads, writes=writes, seed=10)
        beats = iter(found.values["memory__read_data"])
        for burst in reads:
            for address in burst.addresses:
                beat = next(beats)
                where = f"{response.name}, {burst}, {address:#x}"
                assert (beat["last"], beat["error"]) == (address == burst.addresses[-1], address in failing), where
                assert address in failing or as_bytes([beat["data"]]) == wanted[address : address + WORD], where
        assert found.values["memory__written"] == [index % 2 == 0 for index in range(len(writes))]
        words = iter(random_words(writes, 10))
        for burst in writes:
            sent = as_bytes([next(words) for _ in burst.addresses])
            assert burst.address in failing or data[burst.bytes.start : burst.bytes.stop] == sent, f"{burst}"
        cases += len(reads) + BURST_WORDS
    return cases


# -- Wishbone ----------------------------------------------------------------------------------


def finish_of(driver: Any) -> Finish:
    """The fault that a driver reports."""
    found = driver.fault()
    unit = Opcode(found["unit"]) if found["unit"] else None
    return Finish(**{**found, "error": FaultCode(found["error"]), "unit": unit})


def wishbone() -> int:
    """Each word of the memory fails, whether the program uses it or not."""
    work, image, cases = short_program(), short_image(), 0
    places = image.places(BASE)
    for system, driver in drivers():
        for word in words_of(work):
            begin_image(system, driver, image)
            start = places[region_of(word)] + offset_of(word)
            system.fail(range(start, start + WORD))
            with contextlib.suppress(Failure):
                driver.run(image.input, len(image.after[Region.OUTPUT]))
            check_error(work, word, finish_of(driver))
            regions = regions_at(system, image)
            assert regions[Region.CONSTANTS].tobytes() == image.image.data
            assert np.array_equal(regions[Region.INPUT], work.regions[Region.INPUT])
            system.fail(range(0))
            run_image(system, driver)
            cases += 1
    return cases


def refused(access: Callable[..., object], *arguments: int) -> bool:
    """Whether the bus refuses an access."""
    try:
        access(*arguments)
    except DeviceError:
        return True
    return False


def registers() -> int:
    """Reads and writes of every offset. A refused access changes no register."""
    known = {each.offset: each for each in REGISTERS}
    cases = 0
    for system, driver in drivers():
        access = RegisterAccess(system)
        before = {offset: access.read(offset) for offset in known}
        for offset in range(0, SPACE_BYTES, REGISTER_BYTES):
            register = known.get(offset)
            assert refused(access.read, offset) is (register is None), f"{offset:#x}"
            if register is None or not register.writable:
                assert refused(access.write, offset, 0xFFFF_FFFF), f"{offset:#x}"
                cases += 1
            cases += register is None
        # There is no program to start.
        assert refused(access.write, BY_NAME["CONTROL"].offset, BY_NAME["CONTROL"].encode(start=1))
        assert {offset: access.read(offset) for offset in known} == before
        run_image(system, driver)
        cases += 1
    return cases


def busy_registers() -> int:
    """Writes of every register that a program uses, while it runs."""
    cases = 0
    for system, driver in drivers():
        for register in (each for each in REGISTERS if each.needs_idle):
            cases += _busy_register(system, driver, register.offset)
        run_image(system, driver)
    return cases


def _busy_register(system: System, driver: Any, offset: int) -> int:
    image = short_image()
    begin_image(system, driver, image)
    driver.write_input(image.input)
    driver.start()
    system.tick(SETTLE)
    assert refused(RegisterAccess(system).write, offset, 0xFFFF_FFFF), f"{offset:#x}"
    driver.wait()
    size = len(image.after[Region.OUTPUT])
    assert driver.read_output(size) == image.after[Region.OUTPUT], f"{offset:#x}"
    return 1


def _row(part: str, fault: str, answer: str, afterwards: str, inject: Callable[[], int], slow: bool = True) -> Fault:
    return Fault(part=part, fault=fault, answer=answer, afterwards=afterwards, inject=inject, slow=slow)


FAULTS = [
    _row(
        "AXI4",
        "SLVERR or DECERR in each word of reads of 1 to 16 words, and for writes",
        "an error for exactly this word, or for this write",
        "all other words and bursts are right",
        axi4,
        slow=False,
    ),
    _row(
        "Wishbone",
        "`err` for each word that a program may use, with both drivers",
        "`BUS`, with unit, instruction, tag and block; no fault if the word is not used",
        "the next program is right",
        wishbone,
    ),
    _row(
        "registers",
        "reads and writes of each offset without a register, writes of each register that cannot be written, a start"
        " without a program",
        "a bus error, and no effect",
        "the next program is right",
        registers,
    ),
    _row(
        "registers",
        "writes of each register that a program uses, while it runs",
        "a bus error, and no effect",
        "the program that runs is right, and the next one, too",
        busy_registers,
    ),
]
