"""How many cycles an SpMM engine takes for a product, without running it."""

from collections.abc import Sequence

from .formats import ceil_div
from .schedule import row_steps, schedule
from .spmm_config import SpmmConfig, WeightFormat

__all__ = ["LATENCY", "cycles"]

LATENCY = 25
"""Cycles of a product beside work: the registers from command to first step, and from last step to last result."""


def cycles(
    config: SpmmConfig,
    weight_format: WeightFormat,
    *,
    columns: int,
    tokens: int,
    lengths: Sequence[int],
    spread: bool = False,
    latency: int = LATENCY,
) -> int:
    """Cycles from a product's command to its last result, where no stream ever makes the engine wait.

    The tokens come in passes. X of a pass is loaded, one beat per cycle, into one of two buffers: the first before
    anything starts, the others while the engines work, as soon as all of them are done with the pass before the last.
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
    latency : int
        What is added to the work.
    """
    width = config.spread_tokens if spread else config.lanes
    passes = ceil_div(tokens, width)
    load = ceil_div(columns, config.banks) if spread else columns
    steps = row_steps(config, weight_format, lengths, spread=spread)
    engines = schedule(config, steps, spread=spread)
    work = [0] * config.rows
    for engine, count in zip(engines, steps, strict=True):
        work[engine] += count

    loaded, free, done, done_before = 0, [0] * config.rows, 0, 0
    starts = free
    for _ in range(passes):
        loaded = max(loaded, done_before) + load
        starts = [max(time, loaded) for time in free]
        free = [start + count for start, count in zip(starts, work, strict=True)]
        done, done_before = max(free), done

    together = config.rows if spread else 1
    last_beats, full_beats = (1, 1) if spread else (_beats(config, tokens - (passes - 1) * width), config.beats_per_row)
    # Of the last pass, when its last row has left.
    drained, times = 0, list(starts)
    for first in range(0, len(steps), together):
        for row in range(first, min(first + together, len(steps))):
            times[engines[row]] += steps[row]
        ready = max(times[engine] for engine in engines[first : first + together])
        drained = max(drained, ready) + last_beats
    # Had the drain never had to wait after the first row.
    beats = ceil_div(len(steps), together) * ((passes - 1) * full_beats + last_beats)
    return latency + max(drained, load + max(steps[:together]) + beats)


def _beats(config: SpmmConfig, tokens: int) -> int:
    """Result beats of a row over so many tokens of a pass."""
    return ceil_div(tokens, config.drain_lanes)
