"""Which row engine gets which row of W."""

import heapq
from collections.abc import Sequence

from .spmm_config import SpmmConfig, WeightFormat

__all__ = ["row_steps", "schedule"]


def row_steps(config: SpmmConfig, weight_format: WeightFormat, lengths: Sequence[int], *, spread: bool) -> list[int]:
    """Cycles that a row engine spends on each row of so many words; an empty row takes one."""
    per_word = 1
    if weight_format is WeightFormat.NM:
        per_word = config.kept
    elif weight_format is WeightFormat.BBS and not spread:
        per_word = config.banks
    return [max(1, length * per_word) for length in lengths]


def schedule(config: SpmmConfig, steps: Sequence[int], *, spread: bool) -> list[int]:
    """The engine of each row: the one that is free first, the lowest on a tie. Spread rows go round.

    Parameters
    ----------
    steps : sequence of int
        See :func:`row_steps`.
    """
    if spread:
        return [row % config.rows for row in range(len(steps))]
    free = [(0, engine) for engine in range(config.rows)]
    engines = []
    for count in steps:
        time, engine = free[0]
        heapq.heapreplace(free, (time + count, engine))
        engines.append(engine)
    return engines
