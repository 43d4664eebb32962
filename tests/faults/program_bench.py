"""Runs programs on a co-processor, and compares faults and results with the golden model."""

from functools import cache
from typing import Any

import numpy as np
from thresher.golden.machine import Fault as GoldenFault
from thresher.sim.coprocessor import CoprocessorRun, CoprocessorSimulator
from thresher.spec import SpmmError
from thresher.spec.program import INSTRUCTION_BYTES, READ_ONLY, UNITS, FaultCode, Finish, Opcode

from .short_program import CONFIG, Work, check_regions, short_program

LIMIT = 400_000
SHORT, LONG = 2_000, 60_000
"""Watchdogs: for programs that stand still, and for those that have time."""
LATENCY = (1, 9)


@cache
def simulator() -> CoprocessorSimulator:
    return CoprocessorSimulator(CONFIG, latency=LATENCY, stall=0.1, seed=6)


def start(cycles: int, **settings: Any) -> None:
    """Run the program for some cycles. It always takes the same time."""
    work = short_program()
    simulator().reset()
    simulator()._simulator.set_stall(0.1, seed=6)
    simulator().start(work.regions, work.program, **settings)
    if cycles:
        simulator().advance(cycles)


@cache
def clean() -> CoprocessorRun:
    """The program without a fault, from :func:`start`."""
    start(0)
    return simulator().finish(max_cycles=LIMIT)


def run(work: Work, *, watchdog: int = LONG, **settings: Any) -> CoprocessorRun:
    return simulator().run(work.regions, work.program, max_cycles=LIMIT, watchdog=watchdog, **settings)


def check_next() -> None:
    """The short program is right."""
    work = short_program()
    found = run(work)
    assert found.finish.error is FaultCode.NONE, found.finish
    _, wanted = work.golden()
    check_regions(found.regions, wanted, "next program")


def check_unchanged(work: Work, found: CoprocessorRun, where: str) -> None:
    """Only the regions that a program may write have changed."""
    for region in READ_ONLY:
        assert np.array_equal(found.regions[region], work.regions[region]), f"{where}: {region.name}"


def unit_of(work: Work, number: int) -> Opcode | None:
    """Unit of an instruction of a program; None for END."""
    code = work.program[number * INSTRUCTION_BYTES]
    return Opcode(code) if code in UNITS else None


def check_fault(work: Work, fault: GoldenFault, finish: Finish, where: str) -> None:
    """The hardware reports what the golden model does."""
    where = f"{where}: {fault}, {finish}"
    assert (finish.instruction, finish.tag) == (fault.instruction, fault.tag), where
    of_program = fault.code in (FaultCode.OPCODE, FaultCode.LENGTH)
    assert finish.unit is (None if of_program else unit_of(work, fault.instruction)), where
    if fault.detail in (SpmmError.MISSING, SpmmError.SURPLUS) and finish.error is FaultCode.ADDRESS:
        return  # results outside the region come before the end of the product
    assert (finish.error, finish.detail) == (fault.code, fault.detail), where


def check_altered(work: Work, where: str) -> None:
    """An altered program ends as golden says. If it has no fault, and the results do not depend on time, they are
    golden's."""
    outcome, wanted = work.golden()
    fault = outcome.fault
    found = run(work, watchdog=SHORT if fault and fault.code is FaultCode.WATCHDOG else LONG)
    check_unchanged(work, found, where)
    malformed = fault and fault.code is FaultCode.COMMAND and unit_of(work, fault.instruction) is Opcode.PRODUCT
    if fault and malformed and not fault.detail:
        check_next()  # the hardware does not look at weight words
    elif fault:
        check_fault(work, fault, found.finish, where)
        check_next()
    else:
        assert found.finish.error is FaultCode.NONE, f"{where}: {found.finish}"
        if work.is_ordered():
            check_regions(found.regions, wanted, where)
