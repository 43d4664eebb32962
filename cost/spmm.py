"""Cycles of an SpMM engine for a product, computed from its schedule."""

from collections import deque
from collections.abc import Sequence

from ..spec.formats import ceil_div
from ..spec.schedule import row_steps, schedule
from ..spec.spmm_config import SpmmConfig, WeightFormat

__all__ = ["BAND", "cycles"]

BAND = 0.01
"""Stated bound of the relative error of :func:`cycles` on the products of ``bench/spmm.py``."""

ROWS_AHEAD = 16  # rows inside a row engine, from their arrival to the drain
LISTED_AHEAD = 2  # rows in the registers behind the dispatcher's list of rows in flight

# Latencies in cycles. Each comment names the two ends.
TOTAL = 47  # from a command to its first step, and from the last step to the last result
NEXT_PASS = 2  # dispatcher: between the rows of two passes
TO_ROW = 25  # engine: from the first step of a row to the next row in its place
TO_ORDER = 40  # from a step to its result, and to a free place on the dispatcher's list
TO_ROOM = 16  # drain and collector: from the start of a row's drain to room for new results
TO_RELEASE = 40  # drain and loader: from the last results of a pass to new X in its buffer
PASSED_BY = 3  # registers among those above that a step of spread lanes skips


def cycles(
    config: SpmmConfig,
    weight_format: WeightFormat,
    *,
    columns: int,
    tokens: int,
    lengths: Sequence[int],
    spread: bool = False,
) -> int:
    """Cycles from a product's command to its last result, without stalls at the streams.

    The tokens come in passes. X of a pass is loaded, one beat per cycle, into one of two buffers. The first is loaded
    before the first step. X of a later pass is loaded during the work, when all results of the pass two before it have
    left.
    In each pass, every engine takes the steps of its rows (:mod:`~thresher.spec.schedule`), and goes on to the next
    pass without waiting for the others. Results leave in row order, each row in as many beats as its tokens need.
    Spread rows leave together, a beat per ``config.rows`` rows.

    The result is within 1 % of RTL on the products of ``bench/spmm.py``. It ignores the order in which the drain takes
    rows that are ready at the same time. If rows with different numbers of steps keep the drain busy all the time,
    products of some hundred cycles take up to 7 % longer than the result, and shorter products up to 13 %.

    Parameters
    ----------
    columns, tokens : int
        K, N.
    lengths : sequence of int
        Weight words of each row, at least one row.
    spread : bool
        See :class:`~thresher.spec.spmm_command.SpmmCommand`.
    """
    width = config.spread_tokens if spread else config.lanes
    passes = ceil_div(tokens, width)
    load = ceil_div(columns, config.banks) if spread else columns
    rows = _Rows(config, row_steps(config, weight_format, lengths, spread=spread), spread)
    full_beats = 1 if spread else config.beats_per_row
    last_beats = 1 if spread else ceil_div(tokens - (passes - 1) * width, config.drain_lanes)
    loaded, released = 0, _places(2)
    before, loaded_before, left_out = (), 0, 0
    done = 0
    while done < passes:
        last = done == passes - 1
        loaded = max(loaded, released[0]) + load
        released.append(rows.take(loaded, last_beats if last else full_beats) + TO_RELEASE + rows.levels)
        state = tuple(time - loaded for time in (*rows.times(), *released))
        if state == before and not last:
            # All further passes repeat this one at a constant distance.
            left_out = (passes - 2 - done) * (loaded - loaded_before)
            done = passes - 2
        before, loaded_before = state, loaded
        done += 1
    return rows.left + left_out + TOTAL + rows.levels


def _places(count: int) -> deque[int]:
    """Times at which the latest ``count`` places were taken; initially long ago."""
    return deque([-(1 << 40)] * count, maxlen=count)


class _Rows:
    """Rows from the dispatcher to their results.

    Times do not include latencies of registers. These are added where a result frees a place.

    Attributes
    ----------
    levels : int
        Registers that only a step of spread lanes passes: the adder tree, minus the registers that it skips.
    left : int
        Time at which the last results left.
    """

    def __init__(self, config: SpmmConfig, steps: Sequence[int], spread: bool):
        engines = schedule(config, steps, spread=spread)
        together = config.rows if spread else 1
        # Rows that leave together: engine and steps of the first row, which provides the room, and of the others.
        rows = list(zip(engines, steps, strict=True))
        self._groups = [(*rows[i], rows[i + 1 : i + together]) for i in range(0, len(rows), together)]
        self.levels = (config.banks - 1).bit_length() - PASSED_BY if spread else 0
        self.left, self._sent = 0, 0
        self._free = [0] * config.rows
        self._ahead = [_places(ROWS_AHEAD) for _ in range(config.rows)]
        self._stored = [_places(config.result_rows) for _ in range(config.rows)]
        self._listed = _places(config.rows * config.result_rows + LISTED_AHEAD)

    def take(self, loaded: int, beats: int) -> int:
        """Process all rows of a pass whose X is loaded. Return the time at which their results have left."""
        free, listed, left = self._free, self._listed, self.left
        to_order = TO_ORDER + self.levels - 1
        to_row = TO_ROW + self.levels - 1
        sent = max(self._sent + NEXT_PASS, loaded)
        # This loop is hot. Comparisons are several times faster than max().
        for engine, steps, others in self._groups:
            ahead, stored = self._ahead[engine], self._stored[engine]
            # A row needs a place on the list, and one in the engine.
            if listed[0] + to_order > sent:
                sent = listed[0] + to_order
            if ahead[0] + to_row > sent:
                sent = ahead[0] + to_row
            done = free[engine] = (sent if sent > free[engine] else free[engine]) + steps
            for other, count in others:
                free[other] = max(free[other], sent) + count
                done = max(done, free[other])
            if stored[0] + TO_ROOM > done:
                done = stored[0] + TO_ROOM
            sent += 1
            left = (left if left > done else done) + beats
            ahead.append(left)
            stored.append(left)
            listed.append(left)
        self._sent, self.left = sent, left
        return left

    def times(self) -> list[int]:
        """All times that influence the next pass."""
        queues = [time for queue in (*self._ahead, *self._stored, self._listed) for time in queue]
        return [self.left, self._sent, *self._free, *queues]
