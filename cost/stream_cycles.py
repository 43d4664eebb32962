"""What streams of equal heads have in common, whatever attention core they run through."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..spec.attention_config import AttentionConfig, Fill, Normalise
from ..spec.formats import ceil_div, unsigned_bits

__all__ = ["KEPT_RUNS", "SLOTS", "TO_RELEASE", "HeadStream", "Shared", "divider_cycles", "levels"]

SLOTS = 2
"""Heads inside the core."""
TO_RELEASE = 2
"""Output and head table: from a head's last output to the command of the next but one."""
LEAST_HEADS, MOST_HEADS = 6, 24
"""Heads that are followed to see how long those behind them take: until turns of heads are alike, or no further."""
PERIODS = 2, 3
"""Heads in a turn: of the two slots, or of what goes round in them."""
KEPT_RUNS = 1 << 10
"""Runs that are kept although they are over, so that few are moved."""
DIVIDER_BITS = 2
"""Sparsity engine: quotient bits per cycle of a background's division."""


def levels(count: int) -> int:
    """Levels of a tree of adders, each with its register."""
    return (count - 1).bit_length()


def divider_cycles(config: AttentionConfig) -> int:
    """Latency of a background's division."""
    quotient = unsigned_bits(config.prediction_peak) + 1 + 2 * config.fraction_bits
    return ceil_div(quotient, DIVIDER_BITS) + 1


@dataclass
class Shared:
    """A unit's cycles that work which goes first takes, as far as they are known; other work gets the rest."""

    runs: list[tuple[int, int, int, int]] = field(default_factory=list)
    first: int = 0
    """The first run that was not over when the rest was asked for last: that is asked for later and later."""

    def add(self, start: int, steps: int, pitch: int, count: int = 1) -> None:
        """``count`` runs of so many steps, one every ``pitch`` cycles, after those before."""
        if self.first > KEPT_RUNS:
            del self.runs[: self.first]
            self.first = 0
        self.runs.append((start, steps, pitch, count))

    def gap(self, cycle: int, steps: int) -> tuple[int, int]:
        """The first cycle that is left from ``cycle`` on, and how many of so many steps of other work are done from
        there before the next run; of runs that were added one by one."""
        while self.first < len(self.runs):
            start, length, *_ = self.runs[self.first]
            if cycle < start:
                return cycle, min(steps, start - cycle)
            cycle = max(cycle, start + length)
            self.first += 1
        return cycle, steps

    def done(self, cycle: int, steps: int) -> int:
        """When the last of so many steps of other work is done, the first not before ``cycle``."""
        while self.first < len(self.runs):
            start, length, pitch, count = self.runs[self.first]
            if cycle + steps <= start:
                break
            steps -= max(0, start - cycle)
            cycle = max(cycle, start)
            end = start + (count - 1) * pitch + length
            if cycle < end:
                gap = pitch - length
                passes, into = divmod(cycle - start, pitch)
                gone = passes * gap + max(0, into - length)
                if gone + steps <= (count - 1) * gap:
                    passes, into = divmod(gone + steps - 1, gap)
                    return start + passes * pitch + length + into
                steps -= (count - 1) * gap - gone
                cycle = end
            self.first += 1
        return cycle + steps - 1


class HeadStream(ABC):
    """Equal heads streaming through a core that never waits for data or for its outputs to be taken.

    Parameters
    ----------
    config : AttentionConfig
    query_length, key_length, head_dim : int
    kept : sequence of int
        Kept blocks of each block row; none of a head that the head mask removes.

    Attributes
    ----------
    finished : list of int
        Of each head so far the cycle of its last output, from the acceptance of the first command on.
    """

    def __init__(self, config: AttentionConfig, query_length: int, key_length: int, head_dim: int, kept: Sequence[int]):
        self._shape = config, query_length, key_length, head_dim, kept
        self._config = config
        self._lengths = query_length, key_length
        self._kept = kept
        self._chunks = ceil_div(head_dim, config.lanes)
        self._predictor_chunks = ceil_div(head_dim, config.predictor_lanes)
        self._rows = ceil_div(query_length, config.block)
        self._blocks = ceil_div(key_length, config.block)
        self._early = config.normalise is Normalise.EARLY
        self.finished: list[int] = []
        self._heads, self._most = 0, math.inf
        self._accepted, self._loaded = -1, -1

    def follow(self, heads: int) -> list[int]:
        """When each of the first heads is finished, if more follow them."""
        while len(self.finished) < heads:
            self._head()
        return self.finished[:heads]

    def alone(self) -> int:
        """Cycles of a head on an idle core."""
        single = type(self)(*self._shape)
        single._most = 1
        return single.follow(1)[0]

    def pace(self) -> float:
        """Cycles per head in the middle of the stream."""
        for heads in range(LEAST_HEADS, MOST_HEADS):
            ends = self.follow(heads)
            for period in PERIODS:
                turns = {ends[i] - ends[i - period] for i in (-1, -2, -3)}
                if len(turns) == 1:
                    return turns.pop() / period
        ends, skipped = self.follow(MOST_HEADS), MOST_HEADS - math.prod(PERIODS) * SLOTS
        return (ends[-1] - ends[skipped - 1]) / (MOST_HEADS - skipped)

    @abstractmethod
    def stages(self) -> dict[str, int]:
        """Cycles per head of stages by themselves."""

    @abstractmethod
    def _head(self) -> None:
        """Follow one more."""

    def _load(self) -> int:
        """Accept a head, and load it.

        Returns
        -------
        When its first beat may come.
        """
        queries, keys = self._lengths
        # The table takes a command per cycle; the output needs some more to give a slot back.
        self._accepted += 1
        if self._heads >= SLOTS:
            self._accepted = max(self._accepted, self.finished[self._heads - SLOTS] + TO_RELEASE)
        self._heads += 1
        loading = max(self._accepted, self._loaded) + 1
        self._loaded = loading + (queries + 2 * keys) * self._chunks
        return loading

    def _pruned(self, row: int) -> bool:
        return bool(self._kept) and self._kept[row] < self._blocks

    def _filled(self, row: int) -> bool:
        """The row's pruned positions weigh something."""
        return self._pruned(row) and self._config.fill is not Fill.SKIP

    def _queries(self, row: int) -> int:
        """Query rows of a block row."""
        return min(self._config.block, self._lengths[0] - row * self._config.block)
