"""Faults of the streams of all units: what stops, what nobody takes, and resets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from thresher.sim.batch import UnitSimulator
from thresher.spec.errors import SimulationError

from .stands import Stand

__all__ = ["FOREVER", "Transfers", "filled", "never_taken", "resets", "stopped"]

FOREVER = 20
"""Times the duration of a job that stands for ever."""
MANY = 24
"""Commands of which nobody takes the results."""
RESETS = 120
"""Cycles in which a unit is reset: the first and last transfers of its streams, and random ones."""


class Transfers:
    """What has passed through the streams of a unit in several parts of a simulation."""

    def __init__(self, simulator: UnitSimulator):
        self._simulator = simulator._simulator
        self.values: dict[str, list[Any]] = {}
        self.cycles: dict[str, list[int]] = {}

    def run(self, inputs: Mapping[str, Any], cycles: int, *, take: bool = True) -> None:
        """Offer payloads, and run for some cycles. Take results, or nothing."""
        simulator = self._simulator
        found = simulator.advance(inputs, cycles=cycles) if take else simulator.run(inputs, {}, max_cycles=cycles)
        for name, values in found.values.items():
            self.values.setdefault(name, []).extend(values)
        for name, stamps in found.cycles.items():
            self.cycles.setdefault(name, []).extend(stamps.tolist())

    def count(self, name: str) -> int:
        """Transfers of a stream."""
        return len(self.cycles.get(name, []))


def filled(cycles: set[int], end: int, count: int, rng: np.random.Generator) -> list[int]:
    """So many cycles below an end: those that are given, and random ones."""
    found = {cycle for cycle in cycles if 0 <= cycle < end}
    assert len(found) <= count < end
    while len(found) < count:
        found.add(int(rng.integers(end)))
    return sorted(found)


def stopped(stand: Stand) -> int:
    """Every stream stops before its first beat, in the middle, and before its last beat."""
    cases = 0
    job = stand.good(3)
    inputs = stand.batch([job]).inputs()
    for name, beats in inputs.items():
        for kept in sorted({0, len(beats) // 2, len(beats) - 1}):
            for resumes in (True, False):
                where = f"{name} after {kept} of {len(beats)} beats"
                stand.simulator.abort()
                found = Transfers(stand.simulator)
                found.run({**inputs, name: beats[:kept]}, FOREVER * stand.duration)
                assert found.count("o_statistics") == 0, where
                if resumes:
                    found.run({name: beats[kept:]}, 2 * stand.duration)
                    stand.check([job], stand.batch([job]).runs(found.values, found.cycles), 3)
                else:
                    stand.simulator.abort()
                stand.check_next(cases)
                cases += 1
    return cases


def never_taken(stand: Stand, stream: str) -> int:
    """Nobody takes the beats of an output, for ever; then all are taken."""
    rng = np.random.default_rng(4)
    jobs = [stand.job(stand.bases[index % len(stand.bases)], rng) for index in range(MANY)]
    batch = stand.batch(jobs)
    inputs, taken = batch.inputs(), {name: count for name, count in batch.counts().items() if name != stream}
    stand.simulator.abort()
    with pytest.raises(SimulationError, match="too few payloads"):
        stand.simulator._simulator.run(inputs, taken, max_cycles=FOREVER * MANY * stand.duration)
    found = Transfers(stand.simulator)
    found.run({}, 1, take=False)
    assert found.count("i_command") < MANY, "the unit does not wait"
    assert found.count(stream) == 0
    found.run({}, 2 * MANY * stand.duration)
    stand.check(jobs, batch.runs(found.values, found.cycles), 4)
    stand.check_next(4)
    return MANY


def resets(stand: Stand) -> int:
    """A reset of one cycle, with results taken or not: in the first and last transfer of every stream, in the cycles
    before and after these, after each command's statistics, and in random cycles."""
    rng = np.random.default_rng(5)
    lost = [stand.job(base, rng) for base in (*stand.bases, *stand.bases)]
    inputs = stand.batch(lost).inputs()
    stand.simulator.abort()
    begun = stand.simulator.cycle
    found = Transfers(stand.simulator)
    found.run(inputs, 2 * len(lost) * stand.duration)
    assert found.count("o_statistics") == len(lost)
    stamps = [np.array(cycles) - begun for cycles in found.cycles.values() if cycles]
    edges = {int(cycle) + step for each in stamps for cycle in (each[0], each[-1]) for step in (-1, 0, 1)}
    edges |= {cycle - begun + 1 for cycle in found.cycles["o_statistics"]}
    places = filled(edges, max(int(each[-1]) for each in stamps), RESETS, rng)
    (alone,) = stand.run([stand.good(0)])
    for cycles in places:
        for take in (True, False):
            stand.simulator.abort()
            Transfers(stand.simulator).run(inputs, cycles, take=take)
            stand.simulator.abort()
            job = stand.good(0)
            (after,) = stand.simulator._run(stand.batch([job]))
            stand.check([job], [after], 5)
            assert after.statistics.cycles == alone.statistics.cycles, f"after {cycles} cycles"
    return 2 * len(places)
