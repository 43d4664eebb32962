"""How many cycles a compact attention core takes for equal heads: its stages, followed from block row to block row."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from ..spec.attention_config import AttentionConfig, Fill, Importance, Score
from ..spec.formats import RECIPROCAL_FRACTION, RHO_FRACTION, ceil_div
from .stream_cycles import HeadStream, Shared, divider_cycles, levels

__all__ = ["GOLDEN", "SCORE_SPREAD", "CompactStream"]

TURNS = 4
"""Normaliser: cycles per value, and per reciprocal."""
MASK_BITS = 16
"""Sparsity engine: blocks per word of the mask, up to whose end it compares, where rows are as long."""

# Registers between the stages, counted in hdl/: all of them in cycles.
TO_TABLE = 6
"""Loader: from the last beat of K or V until the head table knows."""
TO_PREDICTION = 3
"""Predictor: from a head's acceptance to its sums, beside the adder tree, chunks and values."""
TO_CHOICE = 3
"""Sparsity engine: from a row's last value until it can be chosen from."""
TO_COMPARE = 3
"""Sparsity engine: from the start of a row's choice to what follows its comparisons, beside them and ρ's bits."""
TO_DECISION = 3
"""Sparsity engine: from the write of a head's last row until the table knows, and the engine is free."""
TO_SCORES = 3
"""Kept blocks: from the table's offer of a head until the array may score its first block."""
TO_WALK = 6
"""Main array and softmax: from a row's last scores to the first step of its walk, beside the adder tree."""
TO_SUM, TO_PROBABILITY = 13, 3
"""Softmax: from the last step of a walk until its sum is offered; more of it, as everything is probabilities."""
TO_RECIPROCAL = 6
"""Softmax: from a sum's acceptance to its reciprocal, beside two products and the places shifted."""
TO_ACCUMULATORS = 5
"""Main array: from the last weights of a pass until its accumulators are offered."""
TO_WORD = 8
"""Normaliser: from the turn in which a pass begins until its first word is offered."""

SCORE_SPREAD = 2.0
"""Nats by which the scores of a query row are taken to spread, as those of the bench do. It decides how many places a
denominator must be shifted."""
QUANTILES = 8
"""Unlike places where the largest score of a query row is taken to be."""
GOLDEN = (math.sqrt(5) - 1) / 2
"""Its multiples, less their whole parts, spread evenly however many there are, and so do every other one's."""


@dataclass
class _Turns:
    """The normaliser's turns: they follow one another, but while a word is not taken they stand still.

    Only the last such time is known; what is asked for is not earlier than the one before it.
    """

    lag: int = 0
    before: int = 0
    since: int = -1
    until: int = -1

    def stand(self, since: int, until: int) -> None:
        """From a cycle on, until one in which they go on."""
        self.before, self.since, self.until = self.lag, since, until
        self.lag += until - since

    def at(self, cycle: int, turn: int) -> int:
        """The first cycle from ``cycle`` on that ends a turn of that number."""
        own = self._own(cycle)
        return self._cycle(own + (turn - own) % TURNS)

    def later(self, cycle: int, turns: int) -> int:
        """So many turns after a cycle."""
        return self._cycle(self._own(cycle) + turns)

    def _own(self, cycle: int) -> int:
        return cycle - self.before if cycle <= self.since else max(cycle, self.until) - self.lag

    def _cycle(self, own: int) -> int:
        return own + self.before if own + self.before < self.since else own + self.lag


class CompactStream(HeadStream):
    """Equal heads streaming through a compact core.

    Each stage takes a block row when it is free and the stage before has done its part; weights go before scores in
    the main array. Registers and waiting are those of the hardware; what is not known is how many places a
    reciprocal's denominator must be shifted, and which blocks are kept. Parameters as of :class:`HeadStream`.
    """

    def __init__(self, config: AttentionConfig, query_length: int, key_length: int, head_dim: int, kept: Sequence[int]):
        super().__init__(config, query_length, key_length, head_dim, kept)
        self._words = TURNS * config.block * config.lanes
        self._score_latency = TO_WALK + levels(config.lanes) + (config.score is Score.APPROX)
        self._decision = self._decide()
        self._reciprocals = self._reciprocal_cycles()
        self._turns, self._passes = _Turns(), Shared()
        # When each stage is free, or was last busy.
        self._engine_free = 0
        self._scored, self._walk_free, self._reciprocal_free = -1, 0, 0
        self._store_free, self._array_free, self._normaliser_free, self._sent = 0, 0, 0, -1

    def stages(self) -> dict[str, int]:
        """Cycles per head of stages by themselves."""
        found = {"predictor": self._decision}
        if self._kept:
            softmax, passes = (CompactStream(*self._shape) for _ in range(2))
            released, taken = [], []
            for _ in range(2):
                for row in range(self._rows):
                    softmax._scored = softmax._walk_free - self._score_latency
                    released.append(softmax._walk(row)[0])
                    passes._weigh(row, 0, 0, 0)
                taken.append(passes._array_free)
            found |= {"softmax": released[-1] - released[self._rows - 1], "passes": taken[1] - taken[0]}
        return found

    # -- prediction and decision -----------------------------------------------------------------

    def _decide(self) -> int:
        """From a head's prediction to its decision. Values are measured while the row before is chosen from.

        Which rows of a pruned head need a background is not known; their divisions are left out.
        """
        config = self._config
        chunks = self._predictor_chunks
        beats = ceil_div(self._lengths[1], config.predictor_keys)
        # A beat follows the one before in as many cycles as it has chunks; its own are all but one of them.
        measure = self._blocks * config.block**2 + beats * (chunks - 1)
        word = max(config.predictor_blocks, min(MASK_BITS, 1 << levels(config.blocks)))
        choice = TO_COMPARE + RHO_FRACTION + ceil_div(self._blocks, word) * word
        measured = TO_PREDICTION + levels(config.predictor_lanes)
        written = held = 0
        for row in range(self._rows):
            measured += measure + held
            known = measured + TO_CHOICE
            chosen = max(known, written + 1)
            # Measured values wait until the row is taken; those that have not come by then do not notice.
            held = max(0, chosen + 1 - max(known, measured + chunks))
            written = chosen + choice
            if config.fill is Fill.BACKGROUND:
                written += 1 + self._pruned(row) * divider_cycles(config)
        return written + TO_DECISION

    # -- a head ----------------------------------------------------------------------------------

    def _head(self) -> None:
        queries, keys = self._lengths
        loading = self._load()
        predicted = max(loading + (queries + keys) * self._chunks + TO_TABLE, self._engine_free)
        self._engine_free = predicted + self._decision
        known = max(self._engine_free, self._loaded + TO_TABLE) + 1
        due = max(known, self.finished[-1] + 2) if self.finished else known
        if not self._kept:
            self.finished.append(due + queries * self._chunks)
            return
        # The list keeps up with the array, and the softmax has room for scores.
        self._scored = max(self._scored, known + TO_SCORES)
        for row in range(self._rows):
            self._scored = self._passes.done(self._scored + 1, self._kept[row] * self._chunks)
            released, reciprocal = self._walk(row)
            self._weigh(row, released, reciprocal, due)
        self.finished.append(self._sent)

    def _walk(self, row: int) -> tuple[int, int]:
        """Of each query row a walk for the maximum and one for the sum, with ``early`` one more for the probabilities.

        Returns
        -------
        When the array may begin with the block row, and when the normaliser has its last reciprocal.
        """
        block = self._config.block
        steps = self._kept[row] * block + self._filled(row)
        start = max(self._scored + self._score_latency, self._walk_free)
        # With ``early`` the sum waits until the reciprocal before it has been used.
        free = self._reciprocal_free if self._early else 0
        taken = known = 0
        for query in range(row * block, (row + 1) * block):
            start = max(start + steps, free) + steps
            taken = max(start - 1 + TO_SUM + self._early * TO_PROBABILITY, self._reciprocal_free)
            known = taken + self._reciprocals[query]
            if self._early:
                start = max(start, known) + steps
                taken = start - 2 + TO_SUM + TO_PROBABILITY
                known = taken + 1
            known = self._turns.later(self._turns.at(known, 0), TURNS - 1) + 1
            self._reciprocal_free = known
            free = known if self._early else taken + 1
        released = max(start, taken + 1, self._store_free)
        self._walk_free = released + 2
        return released, known

    def _weigh(self, row: int, released: int, reciprocal: int, due: int) -> None:
        """A row's passes of weights, the normaliser's of their accumulators, and its outputs."""
        kept, turns = self._kept[row], self._turns
        starts = [max(released + 2, self._array_free)]
        read, begin, left = released + 1, 0, self._chunks
        while left:
            last = starts[-1] + kept - 1
            self._passes.add(starts[-1], kept, kept)
            taken = max(last + TO_ACCUMULATORS, self._normaliser_free)
            begin = turns.at(max(taken + 1, reciprocal), TURNS - 1)
            # The first word of a head waits until the one before has left, and the turns with the second.
            second = begin + TO_WORD + TURNS - 1
            if not row and left == self._chunks and second < due + 1:
                turns.stand(second, due + 1)
            self._normaliser_free = turns.later(begin, self._words - 1)
            left -= 1
            if left:
                read = last
                starts.append(taken + 1)
                # Every other pass is like the one before the last by now: so are all the others but a few.
                pair = self._pair(starts, kept)
                skipped = pair and (left - 1) // 2
                if skipped:
                    self._passes.add(starts[-1], kept, pair // 2, 2 * skipped)
                    self._normaliser_free += skipped * pair
                    read += skipped * pair
                    starts = [starts[-1] + skipped * pair]
                    left -= 2 * skipped
            else:
                self._array_free = taken + 1
        # The store reads a word when the one before is used.
        self._store_free = (starts[-1] + kept - 2 if kept > 1 else read) + 1
        filled = turns.later(begin, self._words + TURNS - 1) + 1
        self._sent = max(filled, self._sent) + self._queries(row) * self._chunks

    def _pair(self, starts: list[int], kept: int) -> int:
        """Cycles of two passes, once all that follow take as long; before that, 0."""
        if len(starts) < 6:
            return 0
        pair = starts[-1] - starts[-3]
        steady = pair == starts[-2] - starts[-4]
        # As the turns do, or whatever the turns do.
        free = pair % TURNS == 0 or kept + TO_ACCUMULATORS >= self._words + TURNS - 1
        return pair if steady and free else 0

    # -- reciprocals -----------------------------------------------------------------------------

    def _reciprocal_cycles(self) -> list[int]:
        """Of each query row of a head, also those beyond its end: what its reciprocal takes, as far as it is known."""
        config = self._config
        rounds = max(RECIPROCAL_FRACTION - levels(config.reciprocal_segments), config.length_bits)
        found = []
        for row, kept in enumerate(self._kept):
            own = min(kept * config.block, self._lengths[1])
            others = (self._lengths[1] - own) * self._filled(row)
            for query in range(config.block):
                # Blocks are kept for their largest prediction, which is one query row's, or for the size of their sum,
                # which half of them have for scores above the mean.
                above = not query if config.importance is Importance.MAX else row % 2
                largest = self._lengths[1] if above else own
                quantile = math.floor(QUANTILES * ((len(found) * GOLDEN + 0.5) % 1))
                total = _weight_sum(own, others, largest, quantile)
                leading = math.floor(math.log2(total * config.weight_max))
                found.append(TO_RECIPROCAL + 2 * rounds + config.denominator_bits - 1 - leading)
        return found


@lru_cache(1 << 14)
def _weight_sum(own: int, others: int, largest: int, quantile: int) -> float:
    """A query row's sum of weights, the largest being 1.

    Scores are taken as normal about the mean. Of that many the ``largest`` is kept, at one of the quantiles of where
    it may be; the other ``own`` ones are below it by chance; and pruned ``others`` weigh as the mean does.
    """
    scores = NormalDist(0, SCORE_SPREAD)
    top = scores.inv_cdf(((quantile + 0.5) / QUANTILES) ** (1 / largest))
    below = math.exp(SCORE_SPREAD**2 / 2) * scores.cdf(top - SCORE_SPREAD**2) / scores.cdf(top)
    total = math.exp(top) + (own - 1) * below + others
    return max(1.0, total / math.exp(max(top, 0) if others else top))
