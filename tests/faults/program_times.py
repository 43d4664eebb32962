"""Faults of a program in time: resets, aborts, and a memory that stops to answer."""

import numpy as np
from thresher.spec.program import FaultCode, Opcode

from .program_bench import LIMIT, SHORT, check_next, clean, simulator, start, unit_of
from .short_program import short_program
from .streams import filled

PLACES = 64
"""Cycles in which something happens: begin and end of each instruction, the cycles around these, and random ones."""
LATE = 8_000
"""Latency of a memory that answers long after the watchdog."""
UNTAKEN = 3
"""Cycles from the abort to the cycle that takes note of it, at most."""


def places() -> list[int]:
    """Cycles of the program: begin and end of each instruction, the cycles around these, and random ones."""
    found = clean()
    edges = {0, found.cycles - 1}
    for times in found.units.values():
        edges |= {int(cycle) + step for cycle in (*times.begins, *times.ends) for step in (-1, 0, 1)}
    return filled(edges, found.cycles - 1, PLACES, np.random.default_rng(7))


def possible(cycle: int) -> set[tuple[Opcode | None, int, int]]:
    """Unit, instruction and tag of a fault that is not of one unit, in or shortly after a cycle."""
    work, found = short_program(), clean()
    answers: set[tuple[Opcode | None, int, int]] = set()
    for now in range(cycle, cycle + UNTAKEN + 1):
        flight = []
        waiting = []
        for unit, times in found.units.items():
            own = [number for number in range(work.instructions) if unit_of(work, number) is unit]
            flight += [
                (unit, number, number)
                for number, begin, end in zip(own, times.begins, times.ends, strict=True)
                if begin < now <= end
            ][:1]
            waiting += [(unit, number, number) for number, begin in zip(own, times.begins, strict=True) if now <= begin]
        end = work.instructions - 1
        first = min(waiting, key=lambda each: each[1], default=(None, end, end))
        # An instruction that has not been read has neither unit nor tag.
        answers |= {flight[0]} if flight else {first, (None, first[1], 0)}
    return answers


def resets() -> int:
    for cycle in (found := places()):
        start(cycle)
        simulator().reset()
        check_next()
    return len(found)


def aborts() -> int:
    for cycle in (found := places()):
        start(cycle)
        simulator().abort()
        finish = simulator().finish(max_cycles=LIMIT).finish
        assert finish.error is FaultCode.ABORT, f"cycle {cycle}: {finish}"
        assert (finish.unit, finish.instruction, finish.tag) in possible(cycle), f"cycle {cycle}: {finish}"
        check_next()
    return len(found)


def silence(*, answers: bool) -> int:
    """From a cycle on, the memory does not answer: for ever, or until long after the watchdog."""
    work = short_program()
    late = LATE if answers else 1 << 40
    for cycle in (found := places()):
        start(cycle, watchdog=SHORT)
        inner = simulator()._simulator
        assert inner._memory is not None
        inner.set_memory(inner._memory, latency=(late, late), seed=6)
        finish = simulator().finish(max_cycles=LIMIT).finish
        where = f"cycle {cycle}: {finish}"
        if finish.error is not FaultCode.NONE:  # all bursts were accepted before
            assert finish.error is FaultCode.WATCHDOG, where
            named = finish.unit is None or finish.unit is unit_of(work, finish.instruction)
            assert named, where
            assert finish.tag == (0 if finish.unit is None else finish.instruction), where
        if not answers:
            simulator().reset()
        while not inner.memory_state[2]:
            inner.run({}, {}, max_cycles=1000)
        check_next()
    return len(found)
