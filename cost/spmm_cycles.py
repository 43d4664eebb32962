"""How many cycles an SpMM engine takes for a product, without running it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from ..spec.formats import ceil_div
from ..spec.schedule import row_steps, schedule
from ..spec.spmm_config import SpmmConfig, WeightFormat

__all__ = ["HARDWARE", "ROWS_AHEAD", "Latencies", "cycles"]

ROWS_AHEAD = 16
"""Rows that a row engine has on hand, from their arrival to the drain."""

BESIDE_THE_LIST = 2
"""Rows that stand in the registers behind the dispatcher's list of rows under way."""


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Registers on the way, in cycles; found by running products.

    Attributes
    ----------
    total : int
        From a command to its first step, and from the last step to the last result. Spread lanes add the levels of
        their adder tree. Products of a few cycles of work may overlap some of it.
    next_pass : int
        Dispatcher: between the rows of two passes.
    to_row : int
        Engine: from a row's first step to the row that takes its place among :data:`ROWS_AHEAD`.
    to_order : int
        From a step to the result, and on to the dispatcher, whose list of rows under way has a place again.
    to_room : int
        Drain and collector: from a row that begins to be drained to the one that takes its place for results.
    to_release : int
        Drain and loader: from a pass's last results to the X that takes the place of its own.
    passed_by : int
        Registers that a step of spread lanes does not need, of those that the others count.
    """

    total: int
    next_pass: int
    to_row: int
    to_order: int
    to_room: int
    to_release: int
    passed_by: int = 0


HARDWARE = Latencies(total=47, next_pass=2, to_row=25, to_order=40, to_room=16, to_release=40, passed_by=3)


def cycles(
    config: SpmmConfig,
    weight_format: WeightFormat,
    *,
    columns: int,
    tokens: int,
    lengths: Sequence[int],
    spread: bool = False,
    latencies: Latencies = HARDWARE,
) -> int:
    """Cycles from a product's command to its last result, where no stream ever makes the engine wait.

    The tokens come in passes. X of a pass is loaded, one beat per cycle, into one of two buffers: the first before
    anything starts, the others while the engines work, as soon as all results of the pass before the last have left.
    In each pass every engine takes the steps of its rows (:mod:`~thresher.spec.schedule`), and goes on to the next pass
    without waiting for the others. Results leave in row order: a row as soon as it and those before it are ready, in
    as many beats as its tokens need; spread rows leave together, a beat per ``config.rows`` rows.

    Left out is in which order the drain takes rows that are ready at the same time: where rows of a few unlike steps
    keep it busy all the time, products of hundreds of cycles take up to 7 % longer, shorter ones 13 %.

    Parameters
    ----------
    columns, tokens : int
        K, N.
    lengths : sequence of int
        Weight words of each row, at least one row.
    spread : bool
        See :class:`~thresher.spec.spmm_command.SpmmCommand`.
    latencies : Latencies, optional
        The hardware's own unless given.
    """
    width = config.spread_tokens if spread else config.lanes
    passes = ceil_div(tokens, width)
    load = ceil_div(columns, config.banks) if spread else columns
    rows = _Rows(config, row_steps(config, weight_format, lengths, spread=spread), spread, latencies)
    full_beats = 1 if spread else config.beats_per_row
    last_beats = 1 if spread else ceil_div(tokens - (passes - 1) * width, config.drain_lanes)
    loaded, released = 0, _places(2)
    before, loaded_before, left_out = (), 0, 0
    done = 0
    while done < passes:
        last = done == passes - 1
        loaded = max(loaded, released[0]) + load
        released.append(rows.take(loaded, last_beats if last else full_beats) + latencies.to_release + rows.levels)
        state = tuple(time - loaded for time in (*rows.times(), *released))
        if state == before and not last:
            # Every further pass is like this one, only later: on to the last.
            left_out = (passes - 2 - done) * (loaded - loaded_before)
            done = passes - 2
        before, loaded_before = state, loaded
        done += 1
    return rows.left + left_out + latencies.total + rows.levels


def _places(count: int) -> deque[int]:
    """Times at which the latest things so many took their places; at first long ago."""
    return deque([-(1 << 40)] * count, maxlen=count)


class _Rows:
    """Rows on their way, from the dispatcher to their results. Times do not count the registers on the way, which the
    latencies add where something goes back.

    Attributes
    ----------
    levels : int
        Registers on the way of a step that only spread lanes have: their adder tree, less those they pass by.
    left : int
        When the last results left.
    """

    def __init__(self, config: SpmmConfig, steps: Sequence[int], spread: bool, latencies: Latencies):
        engines = schedule(config, steps, spread=spread)
        together = config.rows if spread else 1
        # Of each group the engine whose room for results it takes, spread the first's, its steps, and those of others.
        rows = list(zip(engines, steps, strict=True))
        self._groups = [(*rows[i], rows[i + 1 : i + together]) for i in range(0, len(rows), together)]
        self.levels = (config.banks - 1).bit_length() - latencies.passed_by if spread else 0
        self._latencies = latencies
        self.left, self._sent = 0, 0
        self._free = [0] * config.rows
        self._ahead = [_places(ROWS_AHEAD) for _ in range(config.rows)]
        self._stored = [_places(config.result_rows) for _ in range(config.rows)]
        self._listed = _places(config.rows * config.result_rows + BESIDE_THE_LIST)

    def take(self, loaded: int, beats: int) -> int:
        """All rows of a pass whose X is loaded; gives when their results have left."""
        free, listed, left = self._free, self._listed, self.left
        to_room = self._latencies.to_room
        to_order = self._latencies.to_order + self.levels - 1
        to_row = self._latencies.to_row + self.levels - 1
        sent = max(self._sent + self._latencies.next_pass, loaded)
        # A loop over all rows of all passes: comparisons are several times faster than max().
        for engine, steps, others in self._groups:
            ahead, stored = self._ahead[engine], self._stored[engine]
            # A place on the list, and one in the engine.
            if listed[0] + to_order > sent:
                sent = listed[0] + to_order
            if ahead[0] + to_row > sent:
                sent = ahead[0] + to_row
            done = free[engine] = (sent if sent > free[engine] else free[engine]) + steps
            for other, count in others:
                free[other] = max(free[other], sent) + count
                done = max(done, free[other])
            if stored[0] + to_room > done:
                done = stored[0] + to_room
            sent += 1
            left = (left if left > done else done) + beats
            ahead.append(left)
            stored.append(left)
            listed.append(left)
        self._sent, self.left = sent, left
        return left

    def times(self) -> list[int]:
        """What the next pass depends on."""
        queues = [time for queue in (*self._ahead, *self._stored, self._listed) for time in queue]
        return [self.left, self._sent, *self._free, *queues]
