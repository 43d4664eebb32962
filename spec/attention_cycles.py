"""How many cycles an attention core takes for a head, without running it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from .config import AttentionConfig, Fill, Normalise, Score
from .formats import RECIPROCAL_FRACTION, RHO_FRACTION, ceil_div, unsigned_bits

__all__ = ["HeadWork"]

# Sizes of the hardware's stages that no configuration changes.
TABLE_CYCLES = 8
"""Predictor: cycles per chunk to write the sums of a block row of queries."""
TABLE_COLUMNS = 3
"""Predictor: columns that share a table; what the tables give is summed by a tree."""
DIVIDER_BITS = 2
"""Sparsity engine: quotient bits per cycle of a background's division."""
THRESHOLD_BITS = 2
"""Sparsity engine: quotient bits per cycle of a threshold's division."""
THRESHOLD_PRODUCTS = 9
"""Sparsity engine: cycles of the products for a threshold, one row after another."""
HOLD, COMPACT_HOLD = 8, 6
"""Main array: from the last weights of a pass until the accumulators are free for the next."""
LIST_CYCLES = 3
"""Sparsity engine: cycles of a block row beside those of its kept blocks, while they are listed."""
RECIPROCAL_STEPS = 2
"""Softmax: steps of the reciprocal's normalising shift per cycle."""

# Registers between the stages, found by running heads of `tiny` and `edge` alone.
TO_DECISION = 44
"""Loader, predictor and sparsity engine: from the last prediction to the decision, where nothing is divided."""
TO_DIVISION = 1
"""Sparsity engine: between the divisions of two rows."""
ROW_UNDER_WAY = 8
"""Sparsity engine: from the start of a row's selection to its division, beside a cycle per key group and the levels of
a sum over the blocks of a beat."""
COMPACT_TO_NEXT = 6
"""Compact predictor: between heads."""
TO_LIST, COMPACT_TO_LIST = 4, 3
"""Loader and head table: from the last beat of V until kept blocks can be listed."""
TO_ZEROS = 3
"""Head table and output: from the decision that a head is pruned to its first output."""
TO_OUTPUT, COMPACT_TO_OUTPUT = 51, 41
"""Kept blocks, main array, softmax and normaliser: from the list to the output, beside what depends on sizes."""
TO_DENOMINATOR = 6
"""Softmax: from the last weights of a row's first pass to its reciprocal's shift."""
TO_PROBABILITY = 30
"""Softmax, ``early``: from the last of a row's weights to its first probabilities."""
TO_RELEASE = 2
"""Output and head table: from a head's last output to the command of the next but one."""
COMPACT_VALUE = 4
"""Compact normaliser: cycles per value."""
COMPACT_WALK = 15
"""Compact softmax: from a row's last walk to the next row's first."""
COMPACT_INVERSE = 10
"""Compact softmax: cycles of a reciprocal beside two per bit."""
COMPACT_DECISION = 12
"""As ``TO_DECISION``, of compact cores."""
COMPACT_MEASURE, COMPACT_CHOICE, COMPACT_DIVISION = 4, 21, 1
"""Compact sparsity engine: of a row beside its values, beside its blocks, and beside its division."""
HANDOVER = 6
"""Output: from a head's last output to the first word of the next, and back to the accumulators."""

# Fitted to heads of many shapes on six configurations.
LAST_ROW, LAST_SCORES = 7, 4
"""Main array: see ``_last_row``."""


@dataclass(frozen=True, kw_only=True)
class HeadWork:
    """What a head asks of an attention core, and the cycles that it takes: closed forms, checked against RTL.

    The stages of the core work on different heads or rows at the same time, so in a stream of equal heads a head takes
    as long as the longest of its :attr:`stages`. Kept blocks are taken as spread over the block rows by chance.

    Of equal heads ``cycles`` is within 1 % or 14 cycles of RTL (compact cores: 6 %), ``alone`` within 2.5 % or 16.
    Streams of heads with unlike masks take some per cent more where several stages bind about equally: not all of them
    bind at the same heads. Not counted: with ``early`` normalisation, rows of many kept blocks wait for room in the
    softmax's ring.

    Parameters
    ----------
    config : AttentionConfig
    query_length, key_length, head_dim : int
        Lq, Lk, d: legal for the configuration.
    kept_blocks : float
        Blocks computed, from 0 (of a pruned head) to all; of several heads of one shape the mean.
    pruned : bool
        The head mask removes the whole head.

    Attributes
    ----------
    stages : dict from str to float
        Cycles per head of each stage, were it the only limit.
    cycles : float
        Cycles per head in a stream of equal heads that never has to wait for data or for its outputs to be taken.
    alone : float
        Cycles from the acceptance of the command to the last output, on an idle core.
    """

    config: AttentionConfig
    query_length: int
    key_length: int
    head_dim: int
    kept_blocks: float
    pruned: bool = False

    @property
    def cycles(self) -> float:
        """See the class."""
        longest = max(self.stages.values())
        if self.pruned:
            return longest
        # Where slots and main array both bind, a head finds the last row of the one before in its way now and then.
        return max(longest, min(self.stages["two slots"], self.stages["main array"]) + self._last_row)

    @cached_property
    def stages(self) -> dict[str, float]:
        """See the class."""
        stages: dict[str, float] = {
            "load": self._load + 1,
            "predictor": self._prediction_pace,
            "output": self.query_length * self._chunks + TO_RELEASE,
            # Two heads are inside at a time, and each gives its place up after its last output.
            "two slots": (self.alone + TO_RELEASE) / 2,
        }
        if not self.pruned:
            # Two passes of a head fit in before the last row of the head before has left.
            handed_over = self._last_rows * self._chunks + HANDOVER
            stages |= {
                "main array": 2 * self.kept_blocks * self._chunks,
                "passes": self._passes_work + max(0, handed_over - 2 * (self._kept_per_row + self._hold)),
                "list": self.kept_blocks + LIST_CYCLES * self._rows,
            }
            if self.config.compact:
                stages["softmax"] = self._rows * self._compact_softmax_row
            elif self.config.normalise is Normalise.EARLY:
                filled = self._rows * (self._row_has_pruned and self.config.fill is not Fill.SKIP)
                stages["softmax"] = self.kept_blocks * (1 + self._chunks) + filled
        return stages

    @cached_property
    def alone(self) -> float:
        """See the class."""
        decided = (self.query_length + self.key_length) * self._chunks + self._prediction
        decided += self._groups + self._predictor_tree
        if self.config.compact:
            decided += COMPACT_DECISION
        else:
            decided += TO_DECISION + _levels(self.config.predictor_blocks * self.config.block**2)
        if self._has_background:
            decided += self._division
        start = max(decided, self._load + (COMPACT_TO_LIST if self.config.compact else TO_LIST))
        if self.pruned:
            return start + TO_ZEROS + self.query_length * self._chunks

        config = self.config
        kept, words = self._kept_per_row, self._pass_words
        scored = kept * self._chunks
        reciprocal = TO_DENOMINATOR + ceil_div(_levels(config.denominator_bits), RECIPROCAL_STEPS) + 4
        # The normaliser waits for the first reciprocal, and makes up for it wherever accumulators let it wait.
        idle = self._passes_work - self._passes * words
        if config.compact:
            row, softmax = self._passes_work / self._rows, self._compact_softmax_row
            array = 2 * scored
            work = scored + softmax + row + (self._rows - 1) * max(row, softmax, array)
        else:
            # Until the first row's weights come.
            first = scored + (TO_PROBABILITY + kept if config.normalise is Normalise.EARLY else 0)
            work = max(
                first + self._passes_work + words + max(0, kept + reciprocal - words - idle),
                2 * scored * self._rows + self._last_row + words,
            )
        filled = self._row_has_pruned and config.fill is not Fill.SKIP
        registers = COMPACT_TO_OUTPUT if config.compact else TO_OUTPUT
        registers += _levels(config.lanes) + (config.score is Score.APPROX) + filled
        return start + registers + work + self._last_rows * self._chunks

    # -- sizes ---------------------------------------------------------------------------------

    @property
    def _chunks(self) -> int:
        return ceil_div(self.head_dim, self.config.lanes)

    @property
    def _rows(self) -> int:
        """Block rows."""
        return ceil_div(self.query_length, self.config.block)

    @property
    def _last_rows(self) -> int:
        """Query rows of the last block row."""
        return self.query_length - (self._rows - 1) * self.config.block

    @property
    def _hold(self) -> int:
        return COMPACT_HOLD if self.config.compact else HOLD

    @property
    def _last_row(self) -> int:
        """Main array: cycles of the last block row's weights in which there are no scores left to do."""
        return max(LAST_ROW, self._hold * self._chunks - LAST_SCORES)

    @property
    def _groups(self) -> int:
        """Key groups of the predictor."""
        return ceil_div(self.key_length, self.config.predictor_keys)

    @property
    def _kept_per_row(self) -> float:
        return self.kept_blocks / self._rows

    @cached_property
    def _passes_work(self) -> float:
        """Of each pass the accumulators take a cycle per kept block and some, and then the normaliser its own."""
        return self._passes * self._mean(lambda kept: max(kept + self._hold, self._pass_words))

    @cached_property
    def _compact_softmax_row(self) -> float:
        """Each query row's scores are walked for the maximum, and for the weights, whose sum must then be inverted."""
        config = self.config
        bits = max(RECIPROCAL_FRACTION - _levels(config.reciprocal_segments), config.length_bits)
        # Of a sum of as many weights as there are keys, the largest of them: up to the highest bit, and about one more.
        places = config.denominator_bits - config.weight_bits - _levels(self.key_length + 1) + 1
        # The normaliser takes reciprocals at one of its turns.
        turns = [ceil_div(2 * bits + COMPACT_INVERSE + each, COMPACT_VALUE) for each in (places, places + 1)]
        inverse = COMPACT_VALUE * sum(turns) / len(turns)
        background = self._row_has_pruned and config.fill is not Fill.SKIP
        walks = 3 if config.normalise is Normalise.EARLY else 2

        def row(kept: int) -> float:
            walked = walks * (kept * config.block + background)
            return (config.block - 1) * max(walked, inverse) + max(walked + COMPACT_WALK, inverse)

        return self._mean(row)

    def _mean(self, cycles: Callable[[int], float]) -> float:
        """Mean over the block rows of what a number of kept blocks takes.

        A row keeps its largest block; each other one is taken as kept or not by chance, at odds that give the mean.
        """
        others = ceil_div(self.key_length, self.config.block) - 1
        share = (self._kept_per_row - 1) / others if others else 0.0
        chances = _binomial(others, min(max(share, 0.0), 1.0))
        return sum(chance * cycles(1 + kept) for kept, chance in enumerate(chances))

    @property
    def _row_has_pruned(self) -> bool:
        return self.kept_blocks < self._rows * ceil_div(self.key_length, self.config.block)

    @property
    def _has_background(self) -> bool:
        """A background must be divided for. A pruned head's mask is unknown here; its divisions are left out."""
        return self.config.fill is Fill.BACKGROUND and self._row_has_pruned and not self.pruned

    @property
    def _passes(self) -> int:
        """Passes of weights: of each block row one per chunk of columns of V."""
        return self._rows * self._chunks

    @property
    def _pass_words(self) -> int:
        """Cycles that the normaliser takes for a pass: one per word, or several per value."""
        values = self.config.block * self.config.lanes
        return COMPACT_VALUE * values if self.config.compact else values // self.config.output_lanes

    # -- stages --------------------------------------------------------------------------------

    @property
    def _load(self) -> int:
        return (self.query_length + 2 * self.key_length) * self._chunks

    @property
    def _predictor_tree(self) -> int:
        lanes = self.config.predictor_lanes
        return _levels(lanes if self.config.compact else ceil_div(lanes, TABLE_COLUMNS))

    @property
    def _threshold(self) -> int:
        """Cycles from one row's threshold to the next."""
        quotient = unsigned_bits(self.config.importance_peak << RHO_FRACTION) + 1
        return max(ceil_div(quotient, THRESHOLD_BITS) + 1, THRESHOLD_PRODUCTS)

    @property
    def _division(self) -> int:
        quotient = unsigned_bits(self.config.prediction_peak) + 1 + 2 * self.config.fraction_bits
        return ceil_div(quotient, DIVIDER_BITS) + 1

    @property
    def _prediction(self) -> float:
        """Tables of the first block row, then one row after another at the pace of predictor and backgrounds."""
        if self.config.compact:
            return self._rows * self._compact_prediction_row
        chunks = ceil_div(self.head_dim, self.config.predictor_lanes)
        return TABLE_CYCLES * chunks + (self._rows - 1) * self._prediction_row + self._groups * chunks

    @property
    def _prediction_pace(self) -> float:
        """Of one head after another: the tables of the next are written while the last row of one is predicted."""
        if self.config.compact:
            return self._prediction + COMPACT_TO_NEXT + self._predictor_tree
        return self._rows * self._prediction_row

    @property
    def _prediction_row(self) -> float:
        chunks = ceil_div(self.head_dim, self.config.predictor_lanes)
        tables, beats = TABLE_CYCLES * chunks, self._groups * chunks
        # Half of the tables are written while the other half is read, and change places in one more cycle.
        row = max(tables, beats, (tables + beats + 1) / 2, self._threshold)
        if self._has_background:
            # Two rows are between the start of their selection and their background.
            under_way = self._groups + self._division + ROW_UNDER_WAY + _levels(self.config.predictor_blocks)
            row = max(row, self._division + TO_DIVISION, under_way / 2)
        return row

    @property
    def _compact_prediction_row(self) -> int:
        """A beat waits while the values of the one before are measured, one by one; then blocks are chosen, too."""
        config = self.config
        chunks = ceil_div(self.head_dim, config.predictor_lanes)
        measured = self._groups * (chunks + config.predictor_blocks * config.block**2 - 1) + COMPACT_MEASURE
        chosen = ceil_div(self.key_length, config.block) + COMPACT_CHOICE
        if self._has_background:
            chosen += self._division + COMPACT_DIVISION
        return max(measured, chosen)


def _binomial(count: int, share: float) -> list[float]:
    """Chances of 0…count successes."""
    if share in (0.0, 1.0):
        return [float(i == count * share) for i in range(count + 1)]
    log, other = math.log(share), math.log1p(-share)
    ways = math.lgamma(count + 1)
    return [
        math.exp(ways - math.lgamma(i + 1) - math.lgamma(count - i + 1) + i * log + (count - i) * other)
        for i in range(count + 1)
    ]


def _levels(count: int) -> int:
    """Levels of a tree of adders, each with its register."""
    return (count - 1).bit_length()
