"""Whole programs on the hardware, compared with the golden model byte for byte."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.machine import Machine
from thresher.sim.coprocessor import CoprocessorRun, CoprocessorSimulator
from thresher.spec import coprocessor_preset
from thresher.spec.program import FaultCode, Instruction, Opcode, Region, address

from ...programs import RandomProgram

TINY = coprocessor_preset("tiny")
LENGTH = 8
END = Instruction(opcode=Opcode.END).encode()
LIMIT = 2_000_000
RATE = 8
"""Bytes that the memory moves per cycle."""
NEVER = (1 << 40, 1 << 40)
"""Latency of a memory that does not answer."""


CORES = [pytest.param(1, id="one core"), pytest.param(2, id="two cores", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=CORES)
def simulator(request):
    with CoprocessorSimulator(dataclasses.replace(TINY, cores=request.param), stall=0.2, seed=request.param) as found:
        yield found


@pytest.fixture
def fresh(simulator):
    """The simulator after a reset."""
    simulator.reset()
    return simulator


def check(simulator: CoprocessorSimulator, seed: int, **settings) -> CoprocessorRun:
    """Run a random program. Every byte of the memory is compared, so no result depends on the hardware."""
    config = simulator.config
    program = RandomProgram(config, np.random.default_rng(seed), length=LENGTH)
    expected = program.memory()
    assert Machine(config, expected).run(program.data).fault is None
    run = simulator.run(program.memory().regions, program.data, max_cycles=LIMIT, **settings)
    assert run.finish.error is FaultCode.NONE, f"seed {seed}: {run.finish}"
    for region in Region:
        assert np.array_equal(run.regions[region], expected.regions[region]), f"seed {seed}, {region.name}"
    assert (run.bytes_read + run.bytes_written) <= RATE * run.cycles
    return run


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_random_programs_match_golden(simulator, part):
    """With stalls, and a latency of its own for each burst."""
    for seed in range(10 * part, 10 * part + 10):
        check(simulator, seed, latency=(1, 1 + seed))


def test_few_programs_match_golden(fresh):
    for seed in range(3):
        check(fresh, 1000 + seed, latency=(1, 40))


def some_regions() -> dict[Region, np.ndarray]:
    return {region: np.arange(256).astype(np.uint8) for region in Region}


def copy(**changes: int) -> bytes:
    """A legal copy of 8 channels of 8 tokens from INPUT to OUTPUT, or with other fields."""
    body = {"channels": 8, "tokens": 8, "x": address(Region.INPUT, 0), "z": address(Region.OUTPUT, 0)}
    return Instruction(opcode=Opcode.VECTOR, tag=9, body=body | changes).encode()


NEVER_BEGINS = Instruction(opcode=Opcode.VECTOR, tag=9, waits={Opcode.PRODUCT: 1}).encode()
WAITING = Instruction(opcode=Opcode.END, waits={Opcode.VECTOR: 1}).encode()


@pytest.mark.parametrize(
    ("program", "settings", "code", "unit"),
    [
        (bytes(64) + END, {}, FaultCode.OPCODE, None),
        (copy(channels=0) + WAITING, {}, FaultCode.COMMAND, Opcode.VECTOR),
        (copy(), {}, FaultCode.LENGTH, None),
        (copy(x=address(Region.INPUT, 256)) + WAITING, {}, FaultCode.ADDRESS, Opcode.VECTOR),
        (copy(z=address(Region.OUTPUT, 200)) + WAITING, {}, FaultCode.ADDRESS, Opcode.VECTOR),
        (copy(z=address(Region.INPUT, 0)) + WAITING, {}, FaultCode.ADDRESS, Opcode.VECTOR),
        (copy() + WAITING, {"errors": address(Region.INPUT, 16)}, FaultCode.BUS, Opcode.VECTOR),
        (copy() + WAITING, {"errors": address(Region.OUTPUT, 16)}, FaultCode.BUS, Opcode.VECTOR),
        (copy() + WAITING, {"latency": NEVER, "watchdog": 500}, FaultCode.WATCHDOG, None),
        (copy() + WAITING, {"latency": (300, 300), "watchdog": 500}, FaultCode.WATCHDOG, Opcode.VECTOR),
        (NEVER_BEGINS + WAITING, {"watchdog": 500}, FaultCode.WATCHDOG, Opcode.VECTOR),
    ],
    ids=[
        "opcode",
        "command",
        "length",
        "read outside",
        "write outside",
        "read-only",
        "read error",
        "write error",
        "program never comes",
        "operands come late",
        "never begins",
    ],
)
def test_faults(fresh, program, settings, code, unit):
    """The fault is reported, no read-only region changes, and the next program gives the right result."""
    before = some_regions()
    run = fresh.run(before, program, max_cycles=LIMIT, **settings)
    finish = run.finish
    assert (finish.error, finish.unit) == (code, unit)
    assert (finish.instruction, finish.tag) == ((0, 9) if unit else (int(code is FaultCode.LENGTH), 0))
    for region in (Region.CONSTANTS, Region.INPUT):
        assert np.array_equal(run.regions[region], before[region])
    if settings.get("latency") != NEVER:
        check(fresh, 7)


def test_fault_of_the_memory_names_its_block(fresh):
    run = fresh.run(some_regions(), copy() + WAITING, errors=address(Region.OUTPUT, 16), max_cycles=LIMIT)
    assert run.finish.address == address(Region.OUTPUT, 0)
    run = fresh.run(some_regions(), copy(x=address(Region.INPUT, 1024)) + WAITING, max_cycles=LIMIT)
    assert run.finish.address == address(Region.INPUT, 1024)


SHARES = [0.0, 0.01, 0.1, 0.3, 0.6, 0.95]
"""Parts of a program's cycles after which something happens to it."""


def start_some(simulator: CoprocessorSimulator, share: float) -> None:
    """Run a program for a share of its cycles."""
    cycles = check(simulator, 3).cycles
    program = RandomProgram(simulator.config, np.random.default_rng(3), length=LENGTH)
    simulator.start(program.memory().regions, program.data)
    simulator.advance(int(share * cycles))


@pytest.mark.parametrize("share", SHARES)
def test_abort_in_the_middle(fresh, share):
    start_some(fresh, share)
    fresh.abort()
    assert fresh.finish(max_cycles=LIMIT).finish.error is FaultCode.ABORT
    check(fresh, 3)


@pytest.mark.parametrize("share", SHARES)
def test_reset_in_the_middle(fresh, share):
    start_some(fresh, share)
    fresh.reset()
    check(fresh, 3)


def test_what_follows_the_end_is_dropped(fresh):
    before = some_regions()
    run = fresh.run(before, END + bytes(64), max_cycles=LIMIT)
    assert run.finish.error is FaultCode.NONE
    for region in Region:
        assert np.array_equal(run.regions[region], before[region])


def test_times_of_units(fresh):
    """Units begin and end each of their instructions once, in order, and are busy as long as these run."""
    program = RandomProgram(fresh.config, np.random.default_rng(5), length=LENGTH)
    run = fresh.run(program.memory().regions, program.data, max_cycles=LIMIT)
    for unit, times in run.units.items():
        own = [item for item in program.builder.program if item.opcode is unit]
        assert len(times.begins) == len(times.ends) == len(own)
        assert (times.begins < times.ends).all()
        assert (np.diff(times.ends) > 0).all()
        covered = set()
        for begin, end in zip(times.begins.tolist(), times.ends.tolist(), strict=True):
            covered.update(range(begin, end))
        assert times.busy == len(covered)
        assert times.starved <= times.busy <= run.cycles
        assert times.waiting <= run.cycles - times.busy
    assert run.bytes_read > len(program.data)


def test_a_slow_memory_takes_longer_and_gives_the_same(fresh):
    program = RandomProgram(fresh.config, np.random.default_rng(11), length=LENGTH)
    fast, slow = (
        fresh.run(program.memory().regions, program.data, max_cycles=LIMIT, latency=(each, each)) for each in (1, 200)
    )
    assert slow.cycles > fast.cycles
    for region in Region:
        assert np.array_equal(slow.regions[region], fast.regions[region])
