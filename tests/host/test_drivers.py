"""The drivers in C and Python do the same with a co-processor on Wishbone."""

import ctypes
from ctypes import byref, c_uint8, c_uint32
from pathlib import Path

import pytest
from thresher.host.coprocessor import CoprocessorDriver, FaultError
from thresher.host.port import DeviceError
from thresher.spec import InputError, coprocessor_preset
from thresher.spec.program import FaultCode, Opcode, Region

from ..images import ImageRun, random_image
from .systems import FAULT, CFault, Counters, Device, MemoryAccess, Platform, RegisterAccess, System, build

pytestmark = pytest.mark.slow  # a co-processor is compiled

CONFIG = coprocessor_preset("tiny")
BASE, SIZE = 0x1000_0080, 1 << 22
SEEDS = range(100, 106)
POLLS = 200_000

ERRORS = 11
"""Of ``enum thresher_error``."""


class Failure(Exception):
    """A driver has refused something, or a program has stopped."""


class Python:
    """The driver in Python, with the functions that both have."""

    def __init__(self, system: System, size: int = SIZE):
        self._driver = CoprocessorDriver(RegisterAccess(system), MemoryAccess(system), base=BASE, size=size)

    def call(self, function, *arguments, **settings):
        try:
            return function(*arguments, **settings)
        except (DeviceError, InputError) as error:
            raise Failure(str(error)) from error

    def load(self, content: bytes) -> None:
        self.call(self._driver.load, content)

    def run(self, data: bytes, output_bytes: int) -> bytes:
        return self.call(self._driver.run, data)

    def run_impatiently(self, data: bytes) -> None:
        self.call(self._driver.run, data, seconds=0)

    def start(self) -> None:
        self.call(self._driver.start)

    def wait(self) -> None:
        self.call(self._driver.wait)

    def abort(self) -> None:
        self.call(self._driver.abort)

    def set_watchdog(self, cycles: int) -> None:
        self.call(self._driver.registers.write, "WATCHDOG", cycles)

    def enable_interrupts(self) -> None:
        self._driver.registers.write_fields("INTERRUPT_ENABLE", finished=1, fault=1)

    def acknowledge(self) -> int:
        events = self._driver.registers.read("INTERRUPT_PENDING")
        self._driver.registers.write("INTERRUPT_PENDING", events)
        return events

    def fault(self) -> dict[str, int]:
        found = self._driver.fault()
        return {name: int(getattr(found, name) or 0) for name in FAULT}

    def counters(self) -> dict[str, int]:
        return {name.lower(): value for name, value in self._driver.counters().items()}


class C:
    """The driver in C."""

    def __init__(self, system: System, size: int = SIZE):
        self._library, self._device, self._platform = system.library, Device(), Platform()
        self._library.system_platform(system.handle, byref(self._platform), size)
        self._call("open", byref(self._platform))

    def _call(self, name: str, *arguments) -> None:
        error = getattr(self._library, f"thresher_{name}")(byref(self._device), *arguments)
        if error:
            raise Failure(self._library.thresher_text(error).decode())

    def load(self, content: bytes) -> None:
        self._call("load", content, len(content))

    def _run(self, data: bytes, output_bytes: int, polls: int) -> bytes:
        output = (c_uint8 * output_bytes)()
        self._call("run", data, len(data), output, output_bytes, polls)
        return bytes(output)

    def run(self, data: bytes, output_bytes: int) -> bytes:
        return self._run(data, output_bytes, POLLS)

    def run_impatiently(self, data: bytes) -> None:
        self._run(data, self._device.sizes[Region.OUTPUT], 1)

    def start(self) -> None:
        self._call("start")

    def wait(self) -> None:
        self._call("wait", POLLS)

    def abort(self) -> None:
        self._call("abort")

    def set_watchdog(self, cycles: int) -> None:
        self._call("set_watchdog", cycles)

    def enable_interrupts(self) -> None:
        self._call("enable_interrupts", 3)

    def acknowledge(self) -> int:
        events = c_uint32()
        self._call("acknowledge_interrupts", byref(events))
        return events.value

    def fault(self) -> dict[str, int]:
        found = CFault()
        self._call("get_fault", byref(found))
        return found.values()

    def counters(self) -> dict[str, int]:
        found = Counters()
        self._call("get_counters", byref(found))
        return found.values()


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> ctypes.CDLL:
    return build(CONFIG, tmp_path_factory.mktemp("system"))


@pytest.fixture
def system(library):
    made = System(library, base=BASE, size=SIZE, seed=7)
    yield made
    assert library.system_outside(made.handle) == 0
    made.close()


@pytest.fixture(params=[Python, C])
def driver(request, system):
    return request.param(system)


def prepare(system: System, driver, program: ImageRun) -> None:
    driver.load(program.image.encode())
    system.put(program.places(BASE)[Region.SCRATCH], program.scratch)


def check(system: System, driver, seed: int) -> None:
    """Run a random program. Every byte that it may write is compared."""
    program = random_image(CONFIG, seed)
    prepare(system, driver, program)
    output = driver.run(program.input, len(program.after[Region.OUTPUT]))
    assert output == program.after[Region.OUTPUT], f"seed {seed}"
    assert any(output), f"seed {seed}"
    for region, wanted in program.after.items():
        assert system.bytes_at(program.places(BASE)[region], len(wanted)) == wanted, f"seed {seed}, {region.name}"


def test_random_programs(system, driver):
    for seed in SEEDS:
        check(system, driver, seed)


def test_both_drivers_count_the_same(library):
    found = []
    for kind in (Python, C):
        system = System(library, base=BASE, size=SIZE, seed=3)
        driver = kind(system)
        check(system, driver, 100)
        found.append(driver.counters())
        system.close()
    # The polls of the drivers take different times, but the memory's delays do not depend on them.
    assert found[0] == found[1]
    assert found[0]["words_read"] > 0


def test_an_image_runs_again_with_another_input(system, driver):
    program = random_image(CONFIG, 100)
    prepare(system, driver, program)
    size = len(program.after[Region.OUTPUT])
    first = driver.run(program.input, size)
    system.put(program.places(BASE)[Region.SCRATCH], program.scratch)
    assert driver.run(program.input, size) == first


def test_interrupts(system, driver):
    program = random_image(CONFIG, 100)
    prepare(system, driver, program)
    driver.enable_interrupts()
    driver.start()
    for _ in range(1_000_000):
        system.tick(1)
        if system.interrupt:
            break
    assert driver.acknowledge() == 1
    system.tick(2)
    assert not system.interrupt
    driver.wait()


ALTERED = {
    "no image": lambda content: b"THRX" + content[4:],
    "empty": lambda _: b"",
    "half a header": lambda content: content[:100],
    "no data": lambda content: content[:128],
    "a byte is missing": lambda content: content[:-1],
    "a byte too many": lambda content: content + b"\0",
    "a bit of a constant": lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
    "a bit of a size": lambda content: content[:21] + bytes([content[21] ^ 1]) + content[22:],
    "the last bit": lambda content: content[:-1] + bytes([content[-1] ^ 128]),
}


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED)
def test_bad_images_are_refused_before_anything_is_sent(system, driver, alter):
    content = random_image(CONFIG, 100).image.encode()
    with pytest.raises(Failure, match="image"):
        driver.load(alter(content))
    assert not system.memory.any()
    with pytest.raises(Failure, match="loaded"):
        driver.run(bytes(8), 8)


def test_an_image_for_another_configuration_is_refused(system, driver):
    other = coprocessor_preset("edge")
    with pytest.raises(Failure, match="configuration"):
        driver.load(random_image(other, 1).image.encode())
    assert not system.memory.any()


@pytest.mark.parametrize("kind", [Python, C])
def test_a_small_memory_is_refused(system, kind):
    with pytest.raises(Failure, match="memory"):
        kind(system, 4096).load(random_image(CONFIG, 100).image.encode())
    assert not system.memory.any()


def test_an_input_of_another_size_is_refused(system, driver):
    program = random_image(CONFIG, 100)
    prepare(system, driver, program)
    with pytest.raises(Failure, match="input"):
        driver.run(program.input + b"\0", len(program.after[Region.OUTPUT]))


def test_a_busy_coprocessor_is_not_disturbed(system, driver):
    program = random_image(CONFIG, 101)
    prepare(system, driver, program)
    driver.start()
    for action in (driver.start, lambda: driver.load(program.image.encode())):
        with pytest.raises(Failure, match=r"busy|refuses"):
            action()
    driver.wait()
    start = program.places(BASE)[Region.OUTPUT]
    wanted = program.after[Region.OUTPUT]
    assert system.bytes_at(start, len(wanted)) == wanted


def test_errors_of_the_memory(system, driver):
    """The fault says where, and the next program is right."""
    program = random_image(CONFIG, 102)
    prepare(system, driver, program)
    place = program.places(BASE)[Region.OUTPUT]
    system.fail(range(place, place + 8))
    with pytest.raises(Failure, match=r"stopped"):
        driver.run(program.input, len(program.after[Region.OUTPUT]))
    fault = driver.fault()
    assert (fault["error"], fault["unit"]) == (FaultCode.BUS, Opcode.VECTOR)
    assert fault["address"] == Region.OUTPUT << 30
    assert fault["instruction"] == program.image.instructions - 2
    system.fail(range(0))
    check(system, driver, 102)


def test_a_program_that_takes_too_long_is_aborted(system, driver):
    program = random_image(CONFIG, 103)
    prepare(system, driver, program)
    with pytest.raises(Failure, match="aborted"):
        driver.run_impatiently(program.input)
    system.tick(1000)
    assert driver.fault()["error"] == FaultCode.ABORT
    check(system, driver, 103)


def test_a_dead_memory_ends_with_the_watchdog(system, driver):
    """The host does not wait for ever. When the memory answers again, the next program is right."""
    program = random_image(CONFIG, 104)
    prepare(system, driver, program)
    driver.set_watchdog(2000)
    system.kill(dead=True)
    with pytest.raises(Failure, match="stopped"):
        driver.run(program.input, len(program.after[Region.OUTPUT]))
    assert driver.fault()["error"] == FaultCode.WATCHDOG
    with pytest.raises(Failure, match=r"busy|refuses"):
        driver.start()
    system.kill(dead=False)
    system.tick(1000)
    driver.set_watchdog(1 << 28)
    check(system, driver, 104)


def test_abort_before_and_after_a_program_does_nothing(system, driver):
    driver.abort()
    check(system, driver, 105)
    driver.abort()
    check(system, driver, 105)


def test_every_error_has_a_text(library):
    texts = [library.thresher_text(error) for error in range(ERRORS)]
    assert len(set(texts)) == len(texts)
    assert library.thresher_text(ERRORS) == library.thresher_text(-1) == b"unknown error"


def test_the_error_of_a_fault_has_the_fault(system):
    program = random_image(CONFIG, 102)
    driver = CoprocessorDriver(RegisterAccess(system), MemoryAccess(system), base=BASE, size=SIZE)
    driver.load(program.image.encode())
    system.fail(range(BASE, BASE + SIZE))
    with pytest.raises(FaultError, match="BUS of the program at instruction 0") as caught:
        driver.run(program.input)
    assert caught.value.fault.unit is None


def test_memory_must_be_aligned_and_below_4_gib(system):
    for base, size, message in ((BASE + 8, 4096, "multiple of 128"), (0xFFFF_FF80, 4096, "below")):
        with pytest.raises(InputError, match=message):
            CoprocessorDriver(RegisterAccess(system), MemoryAccess(system), base=base, size=size)


def test_the_driver_in_c_is_small_and_needs_no_library():
    folder = Path(__file__).parents[2] / "host" / "c"
    text = "".join(path.read_text("utf-8") for path in folder.glob("thresher.*"))
    includes = {line.split()[1] for line in text.splitlines() if line.startswith("#include")}
    assert includes <= {'"thresher.h"', '"thresher_registers.h"', "<stddef.h>", "<stdint.h>"}
    assert len(text.splitlines()) < 500
