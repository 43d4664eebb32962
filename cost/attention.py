"""Cycles of an attention core for a head, in closed form."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..spec.attention_config import AttentionConfig, Fill, Normalise, Score
from ..spec.errors import ConfigError
from ..spec.formats import RECIPROCAL_FRACTION, RHO_FRACTION, ceil_div, unsigned_bits

__all__ = ["COMPACT_BAND", "PIPELINED_BAND", "HeadWork", "band"]

PIPELINED_BAND, COMPACT_BAND = 0.035, 0.06
"""Relative errors of :attr:`HeadWork.cycles` on the shapes of ``bench/attention.py``."""

# Constants of the hardware. cost may not import hdl, so they are repeated here.
SLOTS = 2  # heads inside a core
DIVIDER_BITS = 2  # bits of a quotient per cycle
LIST_CYCLES = 3  # cycles to list a block row, in addition to one per kept block
TABLE_CYCLES, TABLE_COLUMNS = 8, 3  # pipelined predictor: cycles to write a chunk's tables; columns of Q per table
THRESHOLD_PRODUCTS = 9  # pipelined sparsity engine: cycles of the products of a threshold
RECIPROCAL_STEPS = 2  # pipelined softmax: steps of the normalising shift per cycle
MASK_BITS = 16  # compact sparsity engine: blocks per word of the mask
TURNS = 4  # compact normaliser: cycles per value

# Latencies between stages in cycles, without the parts that depend on sizes. Each comment names the two ends.
TO_LIST = 8  # from the last beat of V to the first listed block
TO_ZEROS = 3  # from the decision that a head is pruned to its first output
TO_RELEASE = 2  # from the last output of a head to the command of the head that takes its slot
TO_DECISION, COMPACT_TO_DECISION = 44, 13  # from the last beat of K
TO_OUTPUT, COMPACT_TO_OUTPUT = 51, 16  # from the list through PE array, softmax and normaliser
HOLD, COMPACT_HOLD = 8, 5  # from the last weights of a pass to the first of the next
HANDOVER, COMPACT_OVERLAP = 6, 4  # from the last output of a head to the next accumulators; cycles that overlap
ROW_IN_FLIGHT = 8  # pipelined sparsity engine: from the start of a selection to its division
TO_RECIPROCAL, TO_PROBABILITY = 10, 30  # pipelined softmax: from the last weights of a row; the second for ``early``
LAST_ROW, LAST_SCORES = 7, 4  # pipelined array: last weights of a head, which overlap with no scores of the next head
COMPACT_CHOICE, COMPACT_TO_NEXT = 5, 8  # latency of a row's selection; between the predictions of two heads
COMPACT_WALK = 15  # from the last walk of a row to the first of the next
COMPACT_RECIPROCAL = 10  # in addition to two cycles per bit and one per place of the shift


def band(config: AttentionConfig) -> float:
    """Stated bound of the relative error of :attr:`HeadWork.cycles`."""
    return COMPACT_BAND if config.compact else PIPELINED_BAND


@dataclass(frozen=True, kw_only=True)
class HeadWork:
    """A head and the cycles that an attention core takes for it.

    The stages of a core work on different heads or block rows at the same time. In a stream of equal heads, a head
    takes as many cycles as its slowest stage. Kept blocks are assumed to be distributed over the block rows at random.

    ``cycles`` is within 3.5 % of RTL for pipelined cores and within 6 % for compact cores, on the shapes of
    ``bench/attention.py``. Streams of different heads take some per cent more if several stages are equally slow.

    Parameters
    ----------
    config : AttentionConfig
    query_length, key_length, head_dim : int
        Lq, Lk and d, as the configuration allows.
    kept_blocks : float
        Number of computed blocks, or its mean over several heads. Every block row keeps at least one.
    pruned : bool
        The head mask removes the whole head.
    causal : bool
        Query i sees the keys 0…Lk − Lq + i only.

    Raises
    ------
    ConfigError
        ``kept_blocks`` is negative or more than the head has.

    Attributes
    ----------
    stages : dict of str to float
        Cycles per head that each stage alone would need.
    cycles : float
        Cycles per head in a stream of equal heads, without stalls at the inputs and outputs.
    alone : float
        Cycles from the acceptance of the command to the last output, on an idle core.
    """

    config: AttentionConfig
    query_length: int
    key_length: int
    head_dim: int
    kept_blocks: float
    pruned: bool = False
    causal: bool = False

    def __post_init__(self):
        most = sum(self._columns)
        if not 0 <= self.kept_blocks <= most:
            raise ConfigError("kept_blocks", self.kept_blocks, f"must be from 0 to {most}, all blocks of the head")

    @property
    def cycles(self) -> float:
        """See the class."""
        longest = max(self.stages.values())
        if self.pruned or self.config.compact:
            return longest
        # If slots and PE array are about equally slow, a head waits for the last row of the previous head.
        return max(longest, min(self.stages["two slots"], self.stages["PE array"]) + self._size.last_row)

    @cached_property
    def stages(self) -> dict[str, float]:
        """See the class."""
        config, size = self.config, self._size
        predictor = sum(self._prediction_row(columns) for columns in self._columns)
        if config.compact:
            last = self._columns[-1]
            predictor += (
                min(self._measured(last), self._chosen(last)) + _levels(config.predictor_lanes) + COMPACT_TO_NEXT
            )
        stages: dict[str, float] = {
            "load": size.load + 1,
            "predictor": predictor,
            "output": self.query_length * size.chunks + TO_RELEASE,
            "two slots": (self.alone + TO_RELEASE) / SLOTS,
        }
        if self.pruned:
            return stages
        # The last block row of the previous head must leave first. In a pipelined core, two passes fit in meanwhile.
        leaving = size.last_queries * size.chunks
        waiting = leaving - COMPACT_OVERLAP if config.compact else leaving + HANDOVER - 2 * (size.kept + HOLD)
        stages |= {
            "PE array": 2 * size.kept * size.rows * size.chunks,
            "passes": size.rows * self._mean(self._passes) + max(0, waiting),
            "list": (size.kept + LIST_CYCLES) * size.rows,
        }
        if config.compact:
            stages["softmax"] = size.rows * self._mean(self._compact_softmax)
        elif config.normalise is Normalise.EARLY:
            stages["softmax"] = size.rows * (size.kept * (1 + size.chunks) + size.filled)
        return stages

    @cached_property
    def alone(self) -> float:
        """See the class."""
        config, size = self.config, self._size
        start = max(self._decision, size.load + TO_LIST)
        if self.pruned:
            return start + TO_ZEROS + self.query_length * size.chunks
        registers = COMPACT_TO_OUTPUT if config.compact else TO_OUTPUT
        registers += _levels(config.lanes) + (config.score is Score.APPROX) + size.filled
        work = self._compact_work if config.compact else self._pipelined_work
        return start + registers + work + size.last_queries * size.chunks

    @property
    def _decision(self) -> float:
        """Cycles from the command to the selection of the blocks."""
        config, size = self.config, self._size
        loaded = (self.query_length + self.key_length) * size.chunks
        if config.compact:
            # One row is measured while blocks of the previous row are selected.
            later = sum(self._prediction_row(columns) for columns in self._columns[1:])
            rows = self._measured(self._columns[0]) + later + self._chosen(self._columns[-1])
            return loaded + rows + _levels(config.predictor_lanes) + COMPACT_TO_DECISION
        later = sum(self._prediction_row(columns) for columns in self._columns[1:])
        rows = (TABLE_CYCLES + self._groups(self._columns[0])) * size.predictor_chunks + later
        trees = _levels(ceil_div(config.predictor_lanes, TABLE_COLUMNS))
        trees += _levels(config.predictor_blocks * config.block**2)
        return loaded + rows + size.groups + trees + self._division + TO_DECISION

    def _groups(self, columns: int) -> int:
        """Key groups of a block row."""
        return ceil_div(columns, self.config.predictor_blocks)

    def _prediction_row(self, columns: int) -> float:
        """Cycles of a block row of so many blocks in predictor and sparsity engine."""
        config, size = self.config, self._size
        if config.compact:
            return max(self._measured(columns), self._chosen(columns))
        groups = self._groups(columns)
        tables, beats = TABLE_CYCLES * size.predictor_chunks, groups * size.predictor_chunks
        quotient = unsigned_bits(config.importance_peak << RHO_FRACTION) + 1
        threshold = max(ceil_div(quotient, DIVIDER_BITS) + 1, THRESHOLD_PRODUCTS)
        # Half of the tables are written while the other half is read.
        row = max(tables, beats, (tables + beats + 1) / 2, threshold)
        if self._division:
            # Two rows are in flight between the start of their selection and their background.
            in_flight = groups + self._division + ROW_IN_FLIGHT + _levels(config.predictor_blocks)
            row = max(row, self._division + 1, in_flight / 2)
        return row

    def _measured(self, columns: int) -> int:
        """Compact cores: cycles of a block row's predictions, one value after another."""
        return columns * self.config.block**2 + self._groups(columns) * (self._size.predictor_chunks - 1)

    def _chosen(self, columns: int) -> int:
        """Compact cores: cycles of a block row's comparisons. The last word of the mask is always filled."""
        word = max(self.config.predictor_blocks, min(MASK_BITS, 1 << _levels(self.config.blocks)))
        return ceil_div(columns, word) * word + RHO_FRACTION + COMPACT_CHOICE + self._division

    @property
    def _division(self) -> int:
        """Cycles of the division for a background; 0 without a division and for a pruned head."""
        if self.pruned or not self._size.filled or self.config.fill is not Fill.BACKGROUND:
            return 0
        quotient = unsigned_bits(self.config.prediction_peak) + 1 + 2 * self.config.fraction_bits
        return ceil_div(quotient, DIVIDER_BITS) + 1

    @property
    def _pipelined_work(self) -> float:
        """Cycles from the first scores to the last normalised word."""
        config, size = self.config, self._size
        scored, passes = size.kept * size.chunks, size.rows * self._mean(self._passes)
        reciprocal = TO_RECIPROCAL + ceil_div(_levels(config.denominator_bits), RECIPROCAL_STEPS)
        # The normaliser waits for the first reciprocal. It recovers that time while it would wait for accumulators.
        idle = passes - size.rows * size.chunks * size.words
        first = scored + (TO_PROBABILITY + size.kept if config.normalise is Normalise.EARLY else 0)
        return size.words + max(
            first + passes + max(0, size.kept + reciprocal - size.words - idle),
            2 * scored * size.rows + self._size.last_row,
        )

    @property
    def _compact_work(self) -> float:
        """Like :attr:`_pipelined_work`. With ``late``, the normaliser waits for reciprocals."""
        size, late = self._size, self.config.normalise is not Normalise.EARLY
        scored, accumulated = size.kept * size.chunks, size.kept + COMPACT_HOLD
        # The first row has no previous row whose reciprocals it could wait for.
        idle = late * max(0, self._reciprocal - 2 * (size.kept * self.config.block + size.filled) - COMPACT_WALK)
        rows = self._mean(lambda kept: max(self._compact_softmax(kept), self._passes(kept)))
        last = max(accumulated, late * self._reciprocal) + (size.chunks - 1) * max(accumulated, size.words)
        return size.words + max(
            scored + self._compact_softmax(size.kept) - idle + (size.rows - 1) * rows + last,
            2 * scored * size.rows,
        )

    def _passes(self, kept: float) -> float:
        """Cycles of a block row's passes of weights, one per chunk of V.

        The slower of accumulators and normaliser counts. The accumulators take a cycle per kept block, plus a constant.
        """
        compact, words = self.config.compact, self._size.words
        accumulated = kept + (COMPACT_HOLD if compact else HOLD)
        # A compact normaliser that is one cycle early waits for its next turn.
        return self._size.chunks * max(accumulated + (compact and accumulated == words + 1), words)

    def _compact_softmax(self, kept: float) -> float:
        """Cycles of a block row in a compact softmax.

        Each query row is walked twice: for its maximum and for its weights. The reciprocal of the sum is computed
        during the walks of the next query row. With ``early``, it is computed before a third walk, which gives the
        probabilities.
        """
        block, reciprocal = self.config.block, self._reciprocal
        walk = kept * block + self._size.filled
        if self.config.normalise is Normalise.EARLY:
            return block * (2 * walk + COMPACT_WALK + reciprocal + max(walk, COMPACT_WALK + TO_RELEASE))
        return (block - 1) * max(2 * walk, reciprocal) + max(2 * walk + COMPACT_WALK, reciprocal)

    @cached_property
    def _reciprocal(self) -> float:
        """Mean cycles of a reciprocal in a compact softmax. The normaliser accepts it at its next turn."""
        config = self.config
        bits = max(RECIPROCAL_FRACTION - _levels(config.reciprocal_segments), config.length_bits)
        # The sum of weights is shifted until its highest bit is set. The largest weight is 1. For scores that spread
        # over a few nats, the sum grows about like the cube root of the number of keys.
        places = config.denominator_bits - config.weight_bits - math.ceil(math.log2(self.key_length) / 3 + 0.5)
        turns = [ceil_div(2 * bits + COMPACT_RECIPROCAL + each, TURNS) for each in (places, places + 1)]
        return TURNS * sum(turns) / len(turns)

    def _mean(self, cycles: Callable[[int], float]) -> float:
        """Mean over block rows of the cycles of a number of kept blocks.

        A row keeps its largest block. Any other block is kept with the probability that gives the mean.
        """
        rows = Counter(columns - 1 for columns in self._columns)
        every = sum(others * count for others, count in rows.items())
        share = (self._size.kept - 1) * self._size.rows / every if every else 0.0
        total = 0.0
        for others, count in rows.items():
            chances = [math.comb(others, i) * share**i * (1 - share) ** (others - i) for i in range(others + 1)]
            total += count * sum(chance * cycles(1 + i) for i, chance in enumerate(chances))
        return total / self._size.rows

    @cached_property
    def _columns(self) -> list[int]:
        """Blocks that each block row sees."""
        block, keys = self.config.block, self.key_length
        places = range(0, self.query_length, block)
        if not self.causal:
            return [ceil_div(keys, block) for _ in places]
        return [ceil_div(min(keys - self.query_length + place + block, keys), block) for place in places]

    @cached_property
    def _size(self) -> "_Size":
        config, queries, keys = self.config, self.query_length, self.key_length
        rows = ceil_div(queries, config.block)
        chunks, kept = ceil_div(self.head_dim, config.lanes), max(self.kept_blocks / rows, 1.0)
        values = config.block * config.lanes
        return _Size(
            rows=rows,
            last_queries=queries - (rows - 1) * config.block,
            last_row=max(LAST_ROW, HOLD * chunks - LAST_SCORES),
            groups=ceil_div(keys, config.predictor_keys),
            chunks=chunks,
            predictor_chunks=ceil_div(self.head_dim, config.predictor_lanes),
            words=TURNS * values if config.compact else values // config.output_lanes,
            load=(queries + 2 * keys) * chunks,
            kept=kept,
            filled=kept * rows < sum(self._columns) and config.fill is not Fill.SKIP,
        )


class _Size(NamedTuple):
    rows: int  # block rows
    last_queries: int  # query rows of the last block row
    last_row: int  # pipelined array: cycles of the last weights of a head, which overlap with no scores
    groups: int  # key groups of the predictor
    chunks: int
    predictor_chunks: int
    words: int  # cycles of the normaliser per pass of weights
    load: int  # beats of Q, K and V
    kept: float  # blocks per block row
    filled: bool  # rows have pruned positions, which have a weight


def _levels(count: int) -> int:
    """Levels of an adder tree, each with a register."""
    return (count - 1).bit_length()
