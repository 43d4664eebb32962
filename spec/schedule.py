"""Assignment of the rows of W to row engines."""

import heapq
from collections.abc import Sequence

from .spmm_config import SpmmConfig, WeightFormat

__all__ = ["row_steps", "schedule"]


def row_steps(config: SpmmConfig, weight_format: WeightFormat, lengths: Sequence[int], *, spread: bool) -> list[int]:
    """Cycles that a row engine spends on each row. An empty row takes one cycle.

    Parameters
    ----------
    config : SpmmConfig
    weight_format : WeightFormat
    lengths : sequence of int
        Weight words of each row.
    spread : bool
        Whether lanes are spread over banks (bank-balanced format only).
    """
    per_word = 1
    if weight_format is WeightFormat.NM:
        per_word = config.kept
    elif weight_format is WeightFormat.BBS and not spread:
        per_word = config.banks
    return [max(1, length * per_word) for length in lengths]


def schedule(config: SpmmConfig, steps: Sequence[int], *, spread: bool) -> list[int]:
    """Row engine of each row.

    A row goes to the engine that is free first, on a tie to the one with the lowest number. With spread lanes rows
    go to the engines in turn.

    Parameters
    ----------
    config : SpmmConfig
    steps : sequence of int
        Cycles of each row, see :func:`row_steps`.
    spread : bool
        Whether lanes are spread over banks.

    Returns
    -------
    list of int
        Numbers of row engines, from 0.
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
