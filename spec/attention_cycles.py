"""How many cycles an attention core takes for a head, without running it."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from .compact_cycles import GOLDEN, CompactStream, divider_cycles, levels
from .config import AttentionConfig, Fill, Normalise, Score
from .formats import RHO_FRACTION, ceil_div, unsigned_bits

__all__ = ["HeadWork"]

# Sizes of the hardware's stages that no configuration changes.
TABLE_CYCLES = 8
"""Predictor: cycles per chunk to write the sums of a block row of queries."""
TABLE_COLUMNS = 3
"""Predictor: columns that share a table; what the tables give is summed by a tree."""
THRESHOLD_BITS = 2
"""Sparsity engine: quotient bits per cycle of a threshold's division."""
THRESHOLD_PRODUCTS = 9
"""Sparsity engine: cycles of the products for a threshold, one row after another."""
HOLD = 8
"""Main array: from the last weights of a pass until the accumulators are free for the next."""
LIST_CYCLES = 3
"""Sparsity engine: cycles of a block row beside those of its kept blocks, while they are listed."""
RECIPROCAL_STEPS = 2
"""Softmax: steps of the reciprocal's normalising shift per cycle."""

# Registers between the stages, found by running heads of `edge` alone.
TO_DECISION = 44
"""Loader, predictor and sparsity engine: from the last prediction to the decision, where nothing is divided."""
TO_DIVISION = 1
"""Sparsity engine: between the divisions of two rows."""
ROW_UNDER_WAY = 8
"""Sparsity engine: from the start of a row's selection to its division, beside a cycle per key group and the levels of
a sum over the blocks of a beat."""
TO_LIST = 4
"""Loader and head table: from the last beat of V until kept blocks can be listed."""
TO_ZEROS = 3
"""Head table and output: from the decision that a head is pruned to its first output."""
TO_OUTPUT = 51
"""Kept blocks, main array, softmax and normaliser: from the list to the output, beside what depends on sizes."""
TO_DENOMINATOR = 6
"""Softmax: from the last weights of a row's first pass to its reciprocal's shift."""
TO_PROBABILITY = 30
"""Softmax, ``early``: from the last of a row's weights to its first probabilities."""
TO_RELEASE = 2
"""Output and head table: from a head's last output to the command of the next but one."""
HANDOVER = 6
"""Output: from a head's last output to the first word of the next, and back to the accumulators."""

NARROWER = 0.7
"""Compact cores: how far numbers of kept blocks of rows lie apart, of what they would by chance. A threshold follows
its row's mean: 0.6 at ρ = 0 where importances are Gaussian, and more above."""
ROUNDING = 1e-9
"""Keeps sums of whole numbers whole."""

# Fitted to heads of many shapes on six configurations.
LAST_ROW, LAST_SCORES = 7, 4
"""Main array: see ``_last_row``."""


@dataclass(frozen=True, kw_only=True)
class HeadWork:
    """What a head asks of an attention core, and the cycles that it takes, checked against RTL.

    The stages of the core work on different heads or rows at the same time, so in a stream of equal heads a head takes
    as long as the longest of its :attr:`stages`: closed forms. Of a compact core that is only about so, since they wait
    for one another; its block rows are followed through it (:class:`~thresher.spec.compact_cycles.CompactStream`).
    Unless known, kept blocks are taken as spread over the block rows by chance.

    Of equal heads ``cycles`` is within 1 % or 14 cycles of RTL, ``alone`` within 2.5 % or 16 (compact cores: 1 %). What
    a compact core takes hangs on a head's data, too: its scores, by 1 % where reciprocals bind, and which rows have how
    many blocks, by 2 % or more unless known; means over heads of unlike data are as near. Streams of heads with unlike
    masks take some per cent more where several stages bind about equally: not all of them bind at the same heads. Not
    counted: in plain cores with ``early`` normalisation, rows of many kept blocks wait for room in the softmax's ring.

    Parameters
    ----------
    config : AttentionConfig
    query_length, key_length, head_dim : int
        Lq, Lk, d: legal for the configuration.
    kept_blocks : float
        Blocks computed, from 0 (of a pruned head) to all; of several heads of one shape the mean.
    pruned : bool
        The head mask removes the whole head.
    row_blocks : tuple of int
        Of each block row the blocks computed, where that is known: they add up to ``kept_blocks``.

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
    row_blocks: tuple[int, ...] = ()

    @property
    def cycles(self) -> float:
        """See the class."""
        if self.config.compact:
            return self._mix(lambda stream: stream.pace())
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
            "output": self.query_length * self._chunks + TO_RELEASE,
            # Two heads are inside at a time, and each gives its place up after its last output.
            "two slots": (self.alone + TO_RELEASE) / 2,
        }
        if not self.pruned:
            stages |= {
                "main array": 2 * self.kept_blocks * self._chunks,
                "list": self.kept_blocks + LIST_CYCLES * self._rows,
            }
        if self.config.compact:
            found = [(share, stream.stages()) for share, stream in self._streams]
            return stages | {name: sum(share * each[name] for share, each in found) for name in found[0][1]}
        stages["predictor"] = self._rows * self._prediction_row
        if not self.pruned:
            # Two passes of a head fit in before the last row of the head before has left.
            handed_over = self._last_rows * self._chunks + HANDOVER
            stages["passes"] = self._passes_work + max(0, handed_over - 2 * (self._kept_per_row + HOLD))
            if self.config.normalise is Normalise.EARLY:
                filled = self._rows * (self._row_has_pruned and self.config.fill is not Fill.SKIP)
                stages["softmax"] = self.kept_blocks * (1 + self._chunks) + filled
        return stages

    @cached_property
    def alone(self) -> float:
        """See the class."""
        config = self.config
        if config.compact:
            return self._mix(lambda stream: stream.alone())
        decided = (self.query_length + self.key_length) * self._chunks + self._prediction
        decided += self._groups + levels(ceil_div(config.predictor_lanes, TABLE_COLUMNS))
        decided += TO_DECISION + levels(config.predictor_blocks * config.block**2)
        if self._has_background:
            decided += divider_cycles(config)
        start = max(decided, self._load + TO_LIST)
        if self.pruned:
            return start + TO_ZEROS + self.query_length * self._chunks

        kept, words = self._kept_per_row, self._pass_words
        scored = kept * self._chunks
        reciprocal = TO_DENOMINATOR + ceil_div(levels(config.denominator_bits), RECIPROCAL_STEPS) + 4
        # The normaliser waits for the first reciprocal, and makes up for it wherever accumulators let it wait.
        idle = self._passes_work - self._passes * words
        # Until the first row's weights come.
        first = scored + (TO_PROBABILITY + kept if config.normalise is Normalise.EARLY else 0)
        work = max(
            first + self._passes_work + words + max(0, kept + reciprocal - words - idle),
            2 * scored * self._rows + self._last_row + words,
        )
        filled = self._row_has_pruned and config.fill is not Fill.SKIP
        registers = TO_OUTPUT + levels(config.lanes) + (config.score is Score.APPROX) + filled
        return start + registers + work + self._last_rows * self._chunks

    # -- compact cores ---------------------------------------------------------------------------

    @cached_property
    def _streams(self) -> list[tuple[float, CompactStream]]:
        """Streams of heads like this one, and their shares: of whole numbers of kept blocks, in some orders of rows."""
        shape = self.config, self.query_length, self.key_length, self.head_dim
        if self.pruned or self.row_blocks:
            return [(1.0, CompactStream(*shape, self.row_blocks))]
        # Each row keeps one, whoever asks for fewer.
        blocks = max(self.kept_blocks, self._rows)
        fewer = math.floor(blocks)
        more = blocks - fewer
        found = []
        for kept, share in ((fewer, 1 - more), (fewer + 1, more)):
            if share:
                orders = self._kept_rows(kept)
                found += [(share / len(orders), CompactStream(*shape, order)) for order in orders]
        return found

    def _mix(self, cycles: Callable[[CompactStream], float]) -> float:
        return sum(share * cycles(stream) for share, stream in self._streams)

    def _kept_rows(self, kept: int) -> set[tuple[int, ...]]:
        """That many blocks over the block rows: evenly over :meth:`_chances`, but nearer to the mean, and mixed in two
        ways, in which long and short rows change places."""
        rows, mean = range(self._rows), kept / self._rows
        reached = list(accumulate(self._chances(mean)))
        spread = [bisect_left(reached, (rank + 0.5) / self._rows * reached[-1]) for rank in rows]
        centre = sum(spread) / self._rows
        # Rounded so that they add up.
        sums = list(accumulate((mean + NARROWER * (more - centre) for more in spread), initial=0.5 + ROUNDING))
        found = [math.floor(after) - math.floor(before) for before, after in pairwise(sums)]
        # Multiples of the golden ratio: rows of the mean at the beginning, and like ones far from one another.
        order = sorted(rows, key=lambda row: (row * GOLDEN + 0.5) % 1)
        place = sorted(rows, key=order.__getitem__)
        return {tuple(each[place[row]] for row in rows) for each in (found, found[::-1])}

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
    def _last_row(self) -> int:
        """Main array: cycles of the last block row's weights in which there are no scores left to do."""
        return max(LAST_ROW, HOLD * self._chunks - LAST_SCORES)

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
        return self._passes * self._mean(lambda kept: max(kept + HOLD, self._pass_words))

    def _mean(self, cycles: Callable[[int], float]) -> float:
        """Mean over the block rows of what a number of kept blocks takes."""
        if self.row_blocks:
            return sum(map(cycles, self.row_blocks)) / self._rows
        return sum(chance * cycles(1 + kept) for kept, chance in enumerate(self._chances(self._kept_per_row)))

    def _chances(self, kept_per_row: float) -> list[float]:
        """Of a row to keep one block, two, … all.

        It keeps its largest block; each other one is taken as kept or not by chance, at odds that give the mean.
        """
        others = ceil_div(self.key_length, self.config.block) - 1
        share = (kept_per_row - 1) / others if others else 0.0
        return _binomial(others, min(max(share, 0.0), 1.0))

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
        """Cycles that the normaliser takes for a pass: one per word."""
        return self.config.block * self.config.lanes // self.config.output_lanes

    # -- stages --------------------------------------------------------------------------------

    @property
    def _load(self) -> int:
        return (self.query_length + 2 * self.key_length) * self._chunks

    @property
    def _threshold(self) -> int:
        """Cycles from one row's threshold to the next."""
        quotient = unsigned_bits(self.config.importance_peak << RHO_FRACTION) + 1
        return max(ceil_div(quotient, THRESHOLD_BITS) + 1, THRESHOLD_PRODUCTS)

    @property
    def _prediction(self) -> float:
        """Tables of the first block row, then one row after another at the pace of predictor and backgrounds."""
        chunks = ceil_div(self.head_dim, self.config.predictor_lanes)
        return TABLE_CYCLES * chunks + (self._rows - 1) * self._prediction_row + self._groups * chunks

    @property
    def _prediction_row(self) -> float:
        chunks = ceil_div(self.head_dim, self.config.predictor_lanes)
        tables, beats = TABLE_CYCLES * chunks, self._groups * chunks
        # Half of the tables are written while the other half is read, and change places in one more cycle.
        row = max(tables, beats, (tables + beats + 1) / 2, self._threshold)
        if self._has_background:
            # Two rows are between the start of their selection and their background.
            division = divider_cycles(self.config)
            under_way = self._groups + division + ROW_UNDER_WAY + levels(self.config.predictor_blocks)
            row = max(row, division + TO_DIVISION, under_way / 2)
        return row


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
