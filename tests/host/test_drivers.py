"""The drivers in C and Python do the same with a co-processor on Wishbone."""

import ctypes
from pathlib import Path

import pytest
from thresher.host.coprocessor import CoprocessorDriver, FaultError
from thresher.spec import InputError, coprocessor_preset
from thresher.spec.program import FaultCode, Opcode, Region

from ..images import IMPOSSIBLE, ImageRun, random_image, with_number
from .drivers import BASE, SIZE, C, Failure, Python
from .systems import MemoryAccess, RegisterAccess, System, build

pytestmark = pytest.mark.slow  # a co-processor is compiled

CONFIG = coprocessor_preset("tiny")
SEEDS = range(100, 106)
ERRORS = 13
"""Of ``enum thresher_error``."""


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    return build(CONFIG)


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
    "a byte too many": lambda content: content + b"\0",
}


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED)
def test_bad_images_are_refused_before_anything_is_sent(system, driver, alter):
    content = random_image(CONFIG, 100).image.encode()
    with pytest.raises(Failure, match="image"):
        driver.load(alter(content))
    assert not system.memory.any()
    with pytest.raises(Failure, match="loaded"):
        driver.run(bytes(8), 8)


@pytest.mark.parametrize(("offset", "value"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_headers_that_no_hardware_can_run_are_refused(system, driver, offset, value):
    with pytest.raises(Failure, match="image"):
        driver.load(with_number(random_image(CONFIG, 100).image.encode(), offset, value))
    assert not system.memory.any()


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
    actions = (
        driver.start,
        lambda: driver.load(program.image.encode()),
        lambda: driver.write_input(bytes(len(program.input))),
        lambda: driver.read_output(len(program.after[Region.OUTPUT])),
    )
    for action in actions:
        with pytest.raises(Failure, match="busy"):
            action()
    driver.wait()
    assert driver.pauses > 0
    assert driver.acknowledge() == 1
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
    with pytest.raises(Failure, match="busy"):
        driver.start()
    system.kill(dead=False)
    system.tick(1000)
    driver.set_watchdog(1 << 28)
    check(system, driver, 104)


def test_an_abort_ends_without_watchdog_and_memory(system, driver):
    program = random_image(CONFIG, 104)
    prepare(system, driver, program)
    driver.set_watchdog(0)
    system.kill(dead=True)
    with pytest.raises(Failure, match="aborted"):
        driver.run_impatiently(program.input)
    assert driver.fault()["error"] == FaultCode.ABORT
    with pytest.raises(Failure, match="busy"):
        driver.write_input(program.input)
    system.kill(dead=False)
    system.tick(1000)
    check(system, driver, 104)


def test_a_program_that_ends_before_the_abort_has_its_own_end(system, driver):
    """The first read of the status says that it runs; it has ended when the abort comes."""
    check(system, driver, 105)
    system.delay_abort(3 * driver.counters()["cycles"])
    program = random_image(CONFIG, 105)
    prepare(system, driver, program)
    driver.run_impatiently(program.input)
    size = len(program.after[Region.OUTPUT])
    assert driver.read_output(size) == program.after[Region.OUTPUT]


def test_without_a_run_there_is_no_output(system, driver):
    program = random_image(CONFIG, 105)
    size = len(program.after[Region.OUTPUT])
    prepare(system, driver, program)
    for action in (driver.wait, lambda: driver.read_output(size)):
        with pytest.raises(Failure, match="no program has ended"):
            action()
    driver.write_input(program.input)
    driver.start()
    system.reset()
    for action in (driver.wait, lambda: driver.read_output(size)):
        with pytest.raises(Failure, match="no program has ended"):
            action()
    check(system, driver, 105)


def test_after_a_fault_there_is_no_output(system, driver):
    program = random_image(CONFIG, 102)
    prepare(system, driver, program)
    system.fail(range(BASE, BASE + SIZE))
    driver.write_input(program.input)
    driver.start()
    for action in (driver.wait, lambda: driver.read_output(len(program.after[Region.OUTPUT]))):
        with pytest.raises(Failure, match="stopped"):
            action()
    system.fail(range(0))
    check(system, driver, 102)


def test_bytes_that_are_there_are_sent_again_only_on_request_or_after_an_error(system):
    program = random_image(CONFIG, 100)
    content, size = program.image.encode(), len(program.after[Region.OUTPUT])
    driver = CoprocessorDriver(RegisterAccess(system), MemoryAccess(system), base=BASE, size=SIZE)
    driver.load(content)
    place = program.places(BASE)[Region.CONSTANTS]

    def sent(**settings) -> bool:
        """Whether the first bytes are sent."""
        system.put(place, bytes(8 * [0x5A]))
        driver.load(content, **settings)
        return system.bytes_at(place, 8) == program.image.data[:8]

    assert program.image.data[:8] != bytes(8 * [0x5A])
    assert not sent()
    assert sent(whole=True)
    assert not sent()
    system.fail(range(BASE, BASE + SIZE))
    with pytest.raises(FaultError):
        driver.run(program.input)
    system.fail(range(0))
    assert sent()
    system.put(program.places(BASE)[Region.SCRATCH], program.scratch)
    assert driver.run(program.input) == program.after[Region.OUTPUT]
    assert len(driver.read_output()) == size


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
