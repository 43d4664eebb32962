"""A unit with streams, and everything that its faults need."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from thresher.sim.batch import Batch, Run, UnitSimulator
from thresher.spec.base import check_encodable
from thresher.spec.errors import CommandValueError

__all__ = ["LONGEST", "Stand", "fits"]

LONGEST = 50_000_000
"""Cycles. No command takes longer, even with undefined operands."""


def fits(command: Any, widths: Mapping[str, tuple[int, bool]]) -> bool:
    """Whether the fields of a command fit their bits."""
    try:
        check_encodable(command, widths)
    except CommandValueError:
        return False
    return True


@dataclass(frozen=True)
class Stand:
    """A unit with everything that a fault needs.

    Attributes
    ----------
    codes : enumeration
        Values of ``error`` in its statistics.
    widths : dict
        Bits and signedness of each field of its command.
    limits : dict of int
        Largest legal value of the fields that have one beside their bits.
    make : function without parameters
        Its simulator.
    batch : function of jobs
    job : function of a command and a generator
        A job with random operands, or what stands for one if the command is rejected.
    rejection : function of a command
    expected : function of a command and a job
        Beats that the command needs of each stream, if the operands are those of the job.
    with_operands : function of a job and a command
        The job with another command; None if its operands do not have the sizes of this command.
    check : function of jobs, runs and a seed
        Compares with the golden model.
    bases : commands
        Legal ones.
    """

    codes: Any
    widths: Mapping[str, tuple[int, bool]]
    limits: Mapping[str, int]
    make: Callable[[], UnitSimulator]
    batch: Callable[[Sequence[Any]], Batch]
    job: Callable[[Any, np.random.Generator], Any]
    rejection: Callable[[Any], int]
    expected: Callable[[Any, Any], Mapping[str, int]]
    with_operands: Callable[[Any, Any], Any]
    check: Callable[[Sequence[Any], Sequence[Any], int], None]
    bases: Sequence[Any]

    @cached_property
    def simulator(self) -> UnitSimulator:
        return self.make()

    def good(self, seed: int) -> Any:
        """A legal job."""
        return self.job(self.bases[0], np.random.default_rng(seed))

    def run(self, jobs: Sequence[Any], batch: Batch | None = None) -> list[Run[Any]]:
        """Run jobs after a reset."""
        self.simulator.abort()
        batch = batch or self.batch(jobs)
        batch.cycle_limit = lambda stall: LONGEST
        return self.simulator._run(batch)

    def check_next(self, seed: int) -> None:
        """A further job is right."""
        job = self.good(seed + 1000)
        self.check([job], self.simulator._run(self.batch([job])), seed)

    @cached_property
    def duration(self) -> int:
        """Cycles of a job."""
        (run,) = self.run([self.good(0)])
        return run.finished - run.accepted + 100
