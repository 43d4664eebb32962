"""How many cycles an attention core takes for a head, without running it."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from ..spec.attention_config import AttentionConfig
from ..spec.errors import ConfigError
from ..spec.formats import ceil_div
from .compact_cycles import GOLDEN, CompactStream
from .plain_cycles import PlainStream
from .stream_cycles import SLOTS, TO_RELEASE, HeadStream

__all__ = ["HeadWork"]

LIST_CYCLES = 3
"""Sparsity engine: cycles of a block row beside those of its kept blocks, while they are listed."""
NARROWER = 0.7
"""How far numbers of kept blocks of rows lie apart, of what they would by chance. A threshold follows its row's mean:
0.6 at ρ = 0 where importances are Gaussian, and more above."""
ROUNDING = 1e-9
"""Keeps sums of whole numbers whole."""


@dataclass(frozen=True, kw_only=True)
class HeadWork:
    """What a head asks of an attention core, and the cycles that it takes, checked against RTL.

    The stages of the core work on different heads or rows at the same time and wait for one another: streams of equal
    heads are followed block row by block row (:class:`~thresher.cost.plain_cycles.PlainStream`,
    :class:`~thresher.cost.compact_cycles.CompactStream`). Unless known, kept blocks are taken as spread over the block
    rows by chance.

    Where the rows' kept blocks are known, ``cycles`` and ``alone`` of a plain core are those of RTL, nearly always to
    the cycle (:class:`~thresher.cost.plain_cycles.PlainStream` says where not; ``early`` normalisation nearly always
    within 1 %, the worst known 4.4 %). What a compact core takes hangs on a head's data, too: its scores, by 1 % where
    reciprocals bind. From the mean alone nearly all plain cores are within 1 %, compact ones 2 % or more off; means
    over heads of unlike data are as near. Streams of heads with unlike masks take some per cent more where several
    stages bind about equally: not all of them bind at the same heads.

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

    Raises
    ------
    ConfigError
        There are not as many blocks or rows.

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

    def __post_init__(self):
        most = self._rows * ceil_div(self.key_length, self.config.block)
        if not 0 <= self.kept_blocks <= most:
            raise ConfigError("kept_blocks", self.kept_blocks, f"must be from 0 to {most}, all blocks of the head")
        rows = self.row_blocks
        if rows and (len(rows) != self._rows or min(rows) < 1 or max(rows) * self._rows > most):
            told = f"must be {self._rows} numbers of blocks, each from 1 to {most // self._rows}"
            raise ConfigError("row_blocks", rows, told)
        if rows and (self.pruned or sum(rows) != self.kept_blocks):
            raise ConfigError("row_blocks", rows, "must add up to kept_blocks, and be none of a pruned head")

    @cached_property
    def cycles(self) -> float:
        """See the class."""
        return self._mix(lambda stream: stream.pace())

    @cached_property
    def alone(self) -> float:
        """See the class."""
        return self._mix(lambda stream: stream.alone())

    @cached_property
    def stages(self) -> dict[str, float]:
        """See the class."""
        stages: dict[str, float] = {
            "load": (self.query_length + 2 * self.key_length) * self._chunks + 1,
            "output": self.query_length * self._chunks + TO_RELEASE,
            # Two heads are inside at a time, and each gives its place up after its last output.
            "two slots": (self.alone + TO_RELEASE) / SLOTS,
        }
        if not self.pruned:
            stages |= {
                "main array": 2 * self._blocks * self._chunks,
                "list": self._blocks + LIST_CYCLES * self._rows,
            }
        found = [(share, stream.stages()) for share, stream in self._streams]
        return stages | {name: sum(share * each[name] for share, each in found) for name in found[0][1]}

    @cached_property
    def _streams(self) -> list[tuple[float, HeadStream]]:
        """Streams of heads like this one, and their shares: of whole numbers of kept blocks, in some orders of rows."""
        stream = CompactStream if self.config.compact else PlainStream
        shape = self.config, self.query_length, self.key_length, self.head_dim
        if self.pruned or self.row_blocks:
            return [(1.0, stream(*shape, self.row_blocks))]
        fewer = math.floor(self._blocks)
        more = self._blocks - fewer
        found = []
        for kept, share in ((fewer, 1 - more), (fewer + 1, more)):
            if share:
                orders = self._kept_rows(kept)
                found += [(share / len(orders), stream(*shape, order)) for order in orders]
        return found

    def _mix(self, cycles: Callable[[HeadStream], float]) -> float:
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

    def _chances(self, kept_per_row: float) -> list[float]:
        """Of a row to keep one block, two, … all.

        It keeps its largest block; each other one is taken as kept or not by chance, at odds that give the mean.
        """
        others = ceil_div(self.key_length, self.config.block) - 1
        share = (kept_per_row - 1) / others if others else 0.0
        return _binomial(others, min(max(share, 0.0), 1.0))

    @property
    def _blocks(self) -> float:
        """Those kept: each row keeps one, whoever asks for fewer."""
        return max(self.kept_blocks, self._rows)

    @property
    def _chunks(self) -> int:
        return ceil_div(self.head_dim, self.config.lanes)

    @property
    def _rows(self) -> int:
        """Block rows."""
        return ceil_div(self.query_length, self.config.block)


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
