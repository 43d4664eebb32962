"""How many cycles a plain attention core takes for equal heads: its stages, followed from block row to block row."""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache

from ..spec.attention_config import AttentionConfig, Fill, Score
from ..spec.formats import RHO_FRACTION, ceil_div, unsigned_bits
from .stream_cycles import KEPT_RUNS, SLOTS, TO_RELEASE, HeadStream, Shared, divider_cycles, levels

__all__ = ["PlainStream"]

# Sizes of the hardware's stages that no configuration changes.
TABLE_CYCLES = 8
"""Predictor: cycles per chunk to write the sums of a block row of queries."""
TABLE_COLUMNS = 3
"""Predictor: columns that share a table; what the tables give is summed by a tree."""
HALVES = 2
"""Predictor: block rows whose sums are in the tables."""
BANKS = 4
"""Sparsity engine: block rows between their first prediction and the end of their selection."""
THRESHOLD_BITS = 2
"""Sparsity engine: quotient bits per cycle of a threshold's division."""
THRESHOLD_PRODUCTS = 9
"""Sparsity engine: cycles of the products for a threshold, one row after another."""
ROWS_UNDER_WAY = 2
"""Sparsity engine: block rows between the start of their selection and their background."""
BLOCKS_AHEAD = 8
"""Kept blocks: those that are listed before the array takes them."""
WEIGHTS_AHEAD = 16
"""Softmax: blocks of weights that wait for the array."""
ROWS_TOLD = 18
"""Softmax: block rows that it knows of, that which it walks over included."""
ROWS_AHEAD = 16
"""Softmax, ``early``: block rows whose sums are complete while the first of them has weights to come."""
MASK_BITS = 16
"""Kept blocks: blocks per word of the mask; a word without any takes a cycle."""
RECIPROCAL_STEPS = 2
"""Softmax: steps of the reciprocal's normalising shift per cycle."""
WORDS_AHEAD = 18
"""Normaliser: words between its shift registers and the output."""
OUTPUT_BANKS = 2
"""Output: block rows in its buffer."""
FACTOR_BITS = 18
"""Normaliser: operands that are wider take a cycle more."""

# Registers between the stages: all of them in cycles, as runs of RTL of a few configurations show them.
TO_TABLE = 2
"""Predictor: from the last lookup of a row until its half of the tables may be written again."""
TO_THRESHOLD = 30
"""Loader, predictor and sparsity engine: from K's last beat to a threshold, beside tables, trees and division."""
BANK_TO_THRESHOLD = 10
"""Sparsity engine: from the end of a row's selection to the threshold of the row that takes its bank, beside what is
read, and trees and division."""
TAKEN_TO_THRESHOLD = 2
"""Sparsity engine: from the start of a row's selection to the next threshold."""
TO_BACKGROUND = 7
"""Sparsity engine: from the last key group of a row's selection until its background is divided for."""
TO_LIST = 3
"""Sparsity engine and head table: from the last row's background until kept blocks can be listed."""
LOADED_TO_LIST = 8
"""Loader and head table: from the last beat of V until kept blocks can be listed, or zeros written."""
TO_BLOCK = 3
"""Kept blocks: from a head or the last block of a row to the next row's first block."""
TO_WEIGHTS = 29
"""Main array and softmax: from a row's last scores to its first weights, beside trees."""
TO_RECIPROCAL = 9
"""Softmax: from the last weights of a row's first pass to the reciprocal, beside its query rows and its shift."""
TO_PROBABILITY = 3
"""Softmax, ``early``: what probabilities take longer than weights."""
TO_PROBABILITIES = 31
"""Softmax, ``early``: from the last of a row's sums to the first of its probabilities, beside its query rows."""
WALK = 17
"""Softmax: steps between a walk over a row's scores and the queue of its weights, all of which stand still while that
is full; cycles otherwise."""
TO_TELL = 3
"""Softmax: from the last step of a row until one more is told of."""
TO_ACCUMULATORS = 8
"""Main array: from the last weights of a pass until its accumulators are offered."""
TO_WORD = 8
"""Normaliser: from a step to its word at the output, beside what requantises it."""
TO_ROOM = 2
"""Normaliser: from a word that is taken to the step that has its room."""
TO_EXPECT = 3
"""Output: from a head's last output until words of the next are taken."""

NEVER = -(1 << 40)
"""Long ago; and with its sign changed, a long way off."""


class _Steps:
    """Steps that a unit has done, in runs without a gap, and when; of the past no more than is asked for.

    Parameters
    ----------
    back : int
        How many steps before the last are asked for.
    """

    def __init__(self, back: int):
        self.count = 0
        self._back = back
        self._firsts: list[int] = []
        self._starts: list[int] = []

    def add(self, start: int, steps: int) -> None:
        """A run."""
        self._firsts.append(self.count)
        self._starts.append(start)
        self.count += steps
        if len(self._firsts) > 2 * self._back + KEPT_RUNS:
            del self._firsts[: -self._back - 1], self._starts[: -self._back - 1]

    def at(self, step: int) -> int:
        """Cycle of a step, counted from the first of all: long ago before that, a long way off if it is not known."""
        if not 0 <= step < self.count:
            return NEVER if step < 0 else -NEVER
        run = bisect_right(self._firsts, step) - 1
        return self._starts[run] + step - self._firsts[run]


@lru_cache(1 << 12)
def _empty_words(blocks: int, kept: int) -> int:
    """Words of a row's mask without a kept block before its last one, as many as there are on average if any is as
    likely to be kept."""
    ways, found = math.comb(blocks, kept), 0
    for first in range(0, blocks, MASK_BITS):
        others = blocks - min(MASK_BITS, blocks - first)
        found += math.comb(others, kept) - math.comb(first, kept)
    return round(found / ways)


class _Decisions:
    """Predictor and sparsity engine, row by row: from Q and K until kept blocks can be listed."""

    def __init__(self, config: AttentionConfig, key_length: int, chunks: int):
        self._table = TABLE_CYCLES * chunks
        self._groups = ceil_div(key_length, config.predictor_keys)
        self._lookups = self._groups * chunks
        quotient = unsigned_bits(config.importance_peak << RHO_FRACTION) + 1
        division = ceil_div(quotient, THRESHOLD_BITS) + 1
        self._pitch = max(division, THRESHOLD_PRODUCTS)
        measure = levels(config.predictor_blocks * config.block**2) + division
        self._from_lookups = measure + levels(ceil_div(config.predictor_lanes, TABLE_COLUMNS)) + TO_THRESHOLD
        self._from_bank = measure + self._groups + BANK_TO_THRESHOLD
        self._background = divider_cycles(config) * (config.fill is Fill.BACKGROUND)
        # When rows, the last ones, are through each step.
        self._tabulated, self._measured, self._threshold = NEVER, NEVER, NEVER
        self._looked_up = deque([NEVER] * HALVES, maxlen=HALVES)
        self._selected = deque([NEVER] * BANKS, maxlen=BANKS)
        self._decided = deque([NEVER] * ROWS_UNDER_WAY, maxlen=ROWS_UNDER_WAY)

    def head(self, operands: int, pruned: Iterable[bool]) -> int:
        """When a head's kept blocks can be listed, of whose rows some have pruned blocks; ``operands``: when its Q and
        K have come."""
        for row, divides in enumerate(pruned):
            self._tabulated = max(self._tabulated, self._looked_up[0] + TO_TABLE, operands) + self._table
            self._looked_up.append(max(self._looked_up[-1], self._tabulated) + self._lookups)
            # Between two heads a cycle passes.
            self._measured = max(self._looked_up[-1], self._measured + self._groups + (not row))
            self._threshold = max(
                self._measured + self._from_lookups,
                self._selected[0] + self._from_bank,
                self._threshold + self._pitch,
                self._selected[-1] - self._groups + TAKEN_TO_THRESHOLD,
            )
            # A row's last group is read as the next row is taken.
            self._selected.append(max(self._threshold, self._selected[-1], self._decided[0] + 1) + self._groups)
            known = max(self._selected[-1] + TO_BACKGROUND, self._decided[-1] + 1)
            self._decided.append(known + self._background * divides)
        return self._decided[-1] + TO_LIST


class _Normaliser:
    """Accumulators to words at the output, which leave when there is room for them.

    Attributes
    ----------
    written : int
        When the last word is in the output's buffer.
    """

    def __init__(self, config: AttentionConfig):
        self._words = config.block * config.lanes // config.output_lanes
        self._latency = TO_WORD + (5 if config.output_operand_bits > FACTOR_BITS else 4)
        self._held, self._drained, self.written = 0, 0, NEVER
        self._left = _Steps(WORDS_AHEAD)

    def take(self, offered: int, reciprocal: int, room: int) -> int:
        """When accumulators are taken that are ``offered``, whose reciprocals are known and whose words may be written
        from some cycle on."""
        words = self._words
        taken = max(offered, self._held)
        # The next block is taken while the last word of the one before leaves.
        moved = max(taken + 1, self._drained)
        self._held = moved + 1
        start = max(moved + 1, reciprocal)
        first = max(start + self._latency, room, self.written + 1)
        other = self._left.count + words - 1 - WORDS_AHEAD
        # Of a long block it is one of its own.
        gone = self._left.at(other) if other < self._left.count else first + other - self._left.count
        self._drained = max(start + words - 1, gone + TO_ROOM)
        self.written = max(self._drained + self._latency, first + words - 1)
        self._left.add(self.written - words + 1, words)
        return taken


class PlainStream(HeadStream):
    """Equal heads streaming through a plain core.

    Each stage takes a block row when it is free and the stage before has done its part. Weights go before scores in
    the main array, and sums before weights in an ``early`` softmax. Registers and queues are those of the hardware:
    where the kept blocks of each row are known, so are the cycles, but for these. Words of the mask that are empty
    before a row's last kept block take a cycle each, and are taken as many as there are by chance. Where rows of very
    unlike lengths fill the softmax's queues, it stands still a little longer. While its queue of weights is full, an
    ``early`` softmax does not sum either. Which rows of a removed head are divided for is not known. Parameters as of
    :class:`~thresher.cost.stream_cycles.HeadStream`.
    """

    def __init__(self, config: AttentionConfig, query_length: int, key_length: int, head_dim: int, kept: Sequence[int]):
        super().__init__(config, query_length, key_length, head_dim, kept)
        self._weigh_latency = TO_WEIGHTS + levels(config.lanes) + levels(config.block) + (config.score is Score.APPROX)
        shift = ceil_div(levels(config.denominator_bits), RECIPROCAL_STEPS)
        self._reciprocal = TO_RECIPROCAL + config.block + shift + self._early * TO_PROBABILITY
        self._ring = 1 << levels(2 * config.blocks)
        self._decisions, self._normaliser = _Decisions(config, key_length, self._predictor_chunks), _Normaliser(config)
        # What the main array and the softmax have done, and when each stage was last busy or is free.
        self._passes, self._sums = Shared(), Shared()
        walk = WALK + self._early * TO_PROBABILITY
        self._weights, self._queued = _Steps(WEIGHTS_AHEAD + walk), _Steps(walk)
        self._out_of_ring = _Steps(self._ring)
        self._scores, self._listed, self._scored = 0, NEVER, -1
        self._summed, self._walked, self._queued_last, self._array_free, self._sent = NEVER, NEVER, NEVER, 0, -1
        self._emptied = deque([NEVER] * OUTPUT_BANKS, maxlen=OUTPUT_BANKS)
        # Rows: how many of the head are scored, when weights of those that wait may come, when all have been walked
        # over, and before when the next one is not scored.
        self._row, self._waiting, self._row_ends = self._rows, deque[int](), list[int]()
        self._rows_scored, self._not_before = 0, NEVER

    def stages(self) -> dict[str, int]:
        """Cycles per head of stages by themselves."""
        other = PlainStream(*self._shape)
        decided, free = [], []
        for _ in range(3):
            decided.append(other._decide(0))
            for kept in self._kept:
                for _ in range(self._chunks):
                    other._pass(other._array_free + kept - 1, NEVER, NEVER)
            free.append(other._array_free)
        found = {"predictor": decided[-1] - decided[-2]}
        if self._kept:
            found["passes"] = free[-1] - free[-2]
            if self._early:
                found["softmax"] = sum(self._kept) * (1 + self._chunks) + sum(map(self._filled, range(self._rows)))
        return found

    # -- heads -----------------------------------------------------------------------------------

    def _head(self) -> None:
        before = self.finished[-1] if self.finished else NEVER
        if not self._kept:
            self.finished.append(max(self._known(), before + TO_RELEASE) + self._lengths[0] * self._chunks)
            return
        for row in range(self._rows):
            if not self._waiting:
                self._score()
            room = max(self._emptied[0] + 1, NEVER if row else before + TO_EXPECT)
            self._weigh(row, self._waiting.popleft(), room)
            self._sent = max(self._normaliser.written, self._sent) + self._queries(row) * self._chunks
            self._emptied.append(self._sent)
        self.finished.append(self._sent)

    def _known(self) -> int:
        """When the next head is loaded and decided."""
        queries, keys = self._lengths
        loading = self._load()
        decided = self._decide(loading - 1 + (queries + keys) * self._chunks)
        return max(decided, self._loaded + LOADED_TO_LIST)

    def _decide(self, operands: int) -> int:
        return self._decisions.head(operands, map(self._pruned, range(self._rows)))

    # -- scores ----------------------------------------------------------------------------------

    def _score(self, limit: int = -NEVER) -> bool:
        """The next row's scores, unless they are not done by the limit, or wait for what is not known yet."""
        # Rows before the first that this one waits for.
        before = self._rows_scored - (ROWS_AHEAD if self._early else ROWS_TOLD)
        if limit < self._not_before or before >= len(self._row_ends):
            return False
        if self._row == self._rows:
            if self._heads == min(self._most, SLOTS + len(self.finished)):
                return False
            self._listed = max(self._known() + TO_BLOCK, self._listed + 1)
            self._row = 0
        kept, resume = self._kept[self._row], self._passes.first
        end = self._row_ends[before] if before >= 0 else NEVER
        scored, listed = self._take(kept, NEVER if self._early else end + TO_TELL)
        if scored > limit:
            self._passes.first = resume
            # Further passes can only delay it; a place in the ring that is not known yet is of a row before.
            if scored < -NEVER // 2:
                self._not_before = scored
            return False
        self._waiting.append(self._sum(scored, end))
        self._scored, self._listed, self._not_before = scored, listed + TO_BLOCK, NEVER
        self._scores += kept
        self._rows_scored += 1
        self._row += 1
        return True

    def _take(self, kept: int, told: int) -> tuple[int, int]:
        """When a row is scored that is ``told`` of, and when its last block was listed."""
        chunks, first = self._chunks, max(self._listed, told)
        start = max(self._scored, first) + 1
        # Each word of the mask is read, until the last kept block.
        listed = first + kept - 1 + _empty_words(self._blocks, kept)
        # Places in the ring: where the last score waits for its own, each does.
        places = range(self._scores - self._ring, self._scores + kept - self._ring)
        if self._out_of_ring.at(places[-1]) >= start:
            for place in places:
                start = self._passes.done(max(start, self._out_of_ring.at(place) + 1), chunks) + 1
            return start - 1, max(listed, start - BLOCKS_AHEAD * chunks)
        # The list goes on as the array takes blocks.
        ahead = min(kept, BLOCKS_AHEAD)
        taken = self._scored - (BLOCKS_AHEAD - kept) * chunks
        if kept > ahead:
            taken = self._passes.done(start, (kept - ahead) * chunks)
            start = taken + 1
        listed = max(listed, taken + 1)
        return max(self._passes.done(start, ahead * chunks), listed + chunks), listed

    def _sum(self, scored: int, end: int) -> int:
        """When a scored row's weights may come; ``early``: when it is summed, after a row has been walked over."""
        weighed, filled = scored + self._weigh_latency, self._filled(self._row)
        if not self._early:
            return weighed + filled
        start, steps = max(weighed, self._summed + 1), self._kept[self._row] + filled - 1
        self._sums.add(start, steps, max(steps, 1))
        self._summed = max(start + steps, end + WALK + 1)
        self._sums.add(self._summed, 1, 1)
        return self._summed

    # -- weights ---------------------------------------------------------------------------------

    def _weigh(self, row: int, weighed: int, room: int) -> None:
        """A row's passes of weights, which come once the row is ``weighed`` (``early``: summed); its words may be
        written when there is ``room``."""
        kept, latency, reciprocal = self._kept[row], 0, NEVER
        if self._early:
            reciprocal = weighed + self._reciprocal
            weighed += TO_PROBABILITIES + self._config.block
            latency = TO_PROBABILITY
        for chunk in range(self._chunks):
            taken, left = self._array_free, kept
            while left:
                # The walk, as it would be if nothing stood still.
                first, steps = max(weighed, self._walked + 1), left
                if self._early:
                    first, steps = self._between_sums(first, min(left, WEIGHTS_AHEAD))
                queued = max(first + latency, self._queued_last + 1)
                taken = max(queued, taken)
                self._passes.add(taken, steps, steps)
                self._weights.add(taken, steps)
                taken += steps
                self._stand_still(first, queued, steps, latency)
                left -= steps
            if not chunk and not self._early:
                reciprocal = self._queued_last + self._reciprocal
            self._pass(taken - 1, reciprocal, NEVER if chunk else room)
        self._out_of_ring.add(self._walked - WALK - kept + 1, kept)
        self._row_ends.append(self._walked - WALK)

    def _stand_still(self, walked: int, queued: int, steps: int, latency: int) -> None:
        """The last of some steps of a walk and their weights, of which the first are walked over and queued: as the
        queue has room."""
        before, last = self._queued.count, self._weights.count - 1
        other = last - WALK - latency
        entered = self._queued.at(other)
        if other >= before:
            entered = max(queued + other - before, self._weights.at(other - WEIGHTS_AHEAD))
        self._walked = max(walked + steps - 1, entered + WALK)
        full = self._weights.at(last - WEIGHTS_AHEAD)
        self._queued_last = max(self._walked + latency, queued + steps - 1, full)
        self._queued.add(self._queued_last - steps + 1, steps)

    def _between_sums(self, cycle: int, steps: int) -> tuple[int, int]:
        """``early``: when weights can be walked over, and how many until other rows are summed."""
        found = self._sums.gap(cycle, steps)
        # Rows that are scored before these weights are in their way.
        while self._score(found[0] + TO_PROBABILITY - 1):
            found = self._sums.gap(found[0], steps)
        return found

    def _pass(self, last: int, reciprocal: int, room: int) -> None:
        """The end of a pass: the array takes no further weights until the normaliser has its accumulators."""
        self._array_free = self._normaliser.take(last + TO_ACCUMULATORS, reciprocal, room) + 1
