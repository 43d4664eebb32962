"""Order of the products of a layer, and the parts of texts whose queries run together."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Piece", "Stage", "pieces", "stages"]


class Stage(IntEnum):
    """What a tile passes in a layer. The value is its slot, counted from the slot of the tile."""

    QUERIES = -14
    """Q of all heads, and the heads themselves: they take as long as the products of two tiles."""
    CONTEXT = -2
    """A change of layout of the outputs of the heads."""
    ATTENTION_OUTPUT = 0
    INTERMEDIATE = 4
    OUTPUT = 8


TILE_SLOTS = 6
"""Slots between two tiles."""
LAST_EARLIER = 3
"""Slots by which the last tile is earlier. Otherwise no other product could run before its stage OUTPUT."""


def stages(tiles: int) -> list[tuple[Stage, int]]:
    """Stages of all tiles, in the order of their slots.

    The products of three or more tiles of a layer are in this order (Q: QUERIES, A: ATTENTION_OUTPUT, I: INTERMEDIATE,
    O: OUTPUT)::

        Q0 Q1 Q2  A0 Q3  I0 A1 O0 Q4  I1 A2 O1 …  A3 I2 I3 O2 O3

    So two stages of the same tile are never neighbours, except A0 and I0 of three tiles, and those of a single tile:
    the engine computes another product while the vector unit normalises the results of the stage before.
    """
    starts = [TILE_SLOTS * tile for tile in range(tiles)]
    starts[-1] -= LAST_EARLIER
    order = [(start + stage, stage, tile) for tile, start in enumerate(starts) for stage in Stage]
    return [(stage, tile) for _, stage, tile in sorted(order)]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Queries of a text that run together.

    Attributes
    ----------
    start, end : int
        Tokens of the queries.
    text, length : int
        First token of the text, and its number of tokens: those of keys and values.
    """

    start: int
    end: int
    text: int
    length: int


def pieces(lengths: Sequence[int], tile: int, *, whole: bool) -> list[Piece]:
    """Cut the queries of texts into pieces of a tile, counted from the first token of the text.

    Each row of blocks chooses its blocks by itself, so results do not change. But a head threshold counts all queries:
    with ``whole``, they stay together.
    """
    found = []
    text = 0
    for length in lengths:
        size = length if whole else tile
        for start in range(text, text + length, size):
            found.append(Piece(start=start, end=min(start + size, text + length), text=text, length=length))
        text += length
    return found
