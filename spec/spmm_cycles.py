"""How many cycles an SpMM engine takes for a product, without running it."""

from collections.abc import Sequence

from .formats import ceil_div
from .schedule import row_steps, schedule
from .spmm_config import SpmmConfig, WeightFormat

__all__ = ["LATENCY", "cycles"]

LATENCY = 19
"""Cycles of a product beside work: the registers from command to first step, and from last step to last result. Spread
lanes add the levels of their adder tree. Products of little work may overlap some of it."""


def cycles(
    config: SpmmConfig,
    weight_format: WeightFormat,
    *,
    columns: int,
    tokens: int,
    lengths: Sequence[int],
    spread: bool = False,
    latency: int | None = None,
) -> int:
    """Cycles from a product's command to its last result, where no stream ever makes the engine wait.

    The tokens come in passes. X of a pass is loaded, one beat per cycle, into one of two buffers: the first before
    anything starts, the others while the engines work, as soon as all results of the pass before the last have left.
    In each pass every engine takes the steps of its rows (:mod:`~thresher.spec.schedule`), and goes on to the next pass
    without waiting for the others. Results leave in row order: a row as soon as it and those before it are ready, in
    as many beats as its tokens need; spread rows leave together, a beat per ``config.rows`` rows.

    Left out is that an engine waits when all its room for results (``result_rows``) is taken.

    Parameters
    ----------
    columns, tokens : int
        K, N.
    lengths : sequence of int
        Weight words of each row, at least one row.
    spread : bool
        See :class:`~thresher.spec.spmm_command.SpmmCommand`.
    latency : int, optional
        What is added to the work, if not the hardware's own.
    """
    if latency is None:
        latency = LATENCY + ((config.banks - 1).bit_length() if spread else 0)
    width = config.spread_tokens if spread else config.lanes
    passes = ceil_div(tokens, width)
    load = ceil_div(columns, config.banks) if spread else columns
    steps = row_steps(config, weight_format, lengths, spread=spread)
    engines = schedule(config, steps, spread=spread)
    work = [0] * config.rows
    for engine, count in zip(engines, steps, strict=True):
        work[engine] += count

    together = config.rows if spread else 1
    full_beats = 1 if spread else config.beats_per_row
    last_beats = 1 if spread else ceil_div(tokens - (passes - 1) * width, config.drain_lanes)

    def drained(starts: Sequence[int], beats: int) -> int:
        """When the last row of a pass has left that the engines started at these times."""
        left, times = 0, list(starts)
        for first in range(0, len(steps), together):
            for row in range(first, min(first + together, len(steps))):
                times[engines[row]] += steps[row]
            left = max(left, *(times[engine] for engine in engines[first : first + together])) + beats
        return left

    leaving = latency + drained([0] * config.rows, full_beats) - max(work)
    loaded, done, done_before = 0, -leaving, -leaving
    starts, free = [], [0] * config.rows
    for _ in range(passes):
        loaded = max(loaded, done_before + leaving) + load
        starts = [max(time, loaded) for time in free]
        free = [start + count for start, count in zip(starts, work, strict=True)]
        done, done_before = max(free), done
    # The drain may be what takes longest: had it never to wait after the first row.
    beats = ceil_div(len(steps), together) * ((passes - 1) * full_beats + last_beats)
    return latency + max(drained(starts, last_beats), load + max(steps[:together]) + beats)
