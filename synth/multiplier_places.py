"""Places of multipliers on an ECP5.

Multipliers stand in rows across the die. If a design uses most of them, nextpnr mixes the parts of the design all over
the chip, and products take long wires to their sums. Fixed places keep multipliers of one part together, and nextpnr
places the other cells near them.
"""

import re
from dataclasses import dataclass
from typing import Any

from ..spec.formats import ceil_div

__all__ = ["DIES", "Die", "place_multipliers"]

FEW = 0.5
"""Share of a die's multipliers up to which nextpnr alone finds good places."""

LARGE = 16
"""Least number of multipliers of a part that gets places. nextpnr places smaller parts well after that."""

FULL = 0.95
"""Share of a die's multipliers above which the small parts get places, too. With so few places left, nextpnr puts the
multipliers of one small part into rows that are far apart."""

MULTIPLIER = "MULT18X18D"
BLOCK_COLUMNS = (0, 1, 4, 5)
"""Columns of the multipliers in a block of the grid. nextpnr numbers them in the same way."""

FIRST_COLUMN, BLOCK_WIDTH, GAP = 4, 9, 2


@dataclass(frozen=True, kw_only=True)
class Die:
    """The grid of a die's multipliers.

    Attributes
    ----------
    rows : tuple of int
        Rows of tiles that hold multipliers.
    blocks : int
        Blocks of four multipliers in each row.
    before_gap : int
        Blocks to the left of the clock's column.
    """

    rows: tuple[int, ...]
    blocks: int
    before_gap: int

    def walk(self, count: int) -> list[str]:
        """``count`` places in rows of equal length, alternately to the right and to the left."""
        blocks = ceil_div(ceil_div(count, len(BLOCK_COLUMNS)), len(self.rows))
        places: list[str] = []
        for i, row in enumerate(self.rows):
            line = self.line(row, blocks)
            places += line[::-1] if i & 1 else line
        return places[:count]

    def line(self, row: int, blocks: int) -> list[str]:
        """Places of the first ``blocks`` blocks of a row."""
        starts = [
            FIRST_COLUMN + BLOCK_WIDTH * block + (GAP if block >= self.before_gap else 0) for block in range(blocks)
        ]
        return [f"X{start + offset}/Y{row}/MULT18_{offset}" for start in starts for offset in BLOCK_COLUMNS]

    @property
    def multipliers(self) -> int:
        """Multipliers of the die."""
        return len(self.rows) * self.blocks * len(BLOCK_COLUMNS)

    @property
    def gap_column(self) -> int:
        """First column of the gap. The buffers of the global network are at its ends."""
        return FIRST_COLUMN + self.before_gap * BLOCK_WIDTH


DIES = {
    die.multipliers: die
    for die in (
        Die(rows=(13,), blocks=7, before_gap=3),
        Die(rows=(22, 46), blocks=9, before_gap=4),
        Die(rows=(10, 34, 58), blocks=13, before_gap=7),
    )
}
"""Dies by number of multipliers, read with ``ctx.getBels()`` in nextpnr's Python."""


def place_multipliers(module: dict[str, Any], die: Die) -> int:
    """Place the multipliers of large parts row by row, in the order of the Verilog. Each row keeps room for the others.

    If the die is nearly full, a small part then gets places in one row, beside the large parts that it is next to in
    the hierarchy.

    Parameters
    ----------
    module : dict
        A flat module in Yosys' JSON. Changed in place.
    die : Die

    Returns
    -------
    int
        Number of placed multipliers.
    """
    cells = module["cells"]
    multipliers = [name for name, cell in cells.items() if cell["type"] == MULTIPLIER]
    if not FEW * die.multipliers < len(multipliers) <= die.multipliers:
        return 0
    parts: dict[str, list[str]] = {}
    for name in sorted(multipliers, key=lambda name: _line(cells[name])):
        parts.setdefault(name.rpartition(".")[0], []).append(name)
    ordered = [name for part in parts.values() if len(part) >= LARGE for name in part]
    for name, place in zip(ordered, die.walk(len(ordered)), strict=True):
        cells[name]["attributes"]["BEL"] = place
    if len(multipliers) <= FULL * die.multipliers:
        return len(ordered)
    return len(ordered) + _place_small(cells, {name: part for name, part in parts.items() if len(part) < LARGE}, die)


def _place_small(cells: dict[str, Any], parts: dict[str, list[str]], die: Die) -> int:
    """Place small parts in the places that the large ones leave. Returns the number of placed multipliers."""
    taken = {cell["attributes"].get("BEL"): name.split(".") for name, cell in cells.items()}
    lines = [die.line(row, die.blocks) for row in die.rows]
    rooms = [[place for place in line if place not in taken] for line in lines]
    large = [[taken[place] for place in line if place in taken] for line in lines]

    def shared(part: str, row: int) -> int:
        """Levels of the hierarchy above both a part and a large one in a row."""
        path = part.split(".")
        return max((_alike(path, other) for other in large[row]), default=0)

    def wish(part: str) -> int:
        return max(shared(part, row) for row in range(len(rooms)))

    placed = 0
    for part in sorted(parts, key=wish, reverse=True):  # stable: else in the order of the Verilog
        rows = sorted(range(len(rooms)), key=lambda row: shared(part, row), reverse=True)
        row = next((row for row in rows if len(rooms[row]) >= len(parts[part])), None)
        for name in parts[part]:
            room = rooms[row] if row is not None else max(rooms, key=len)
            cells[name]["attributes"]["BEL"] = room.pop(0)
            placed += 1
    return placed


def _alike(a: list[str], b: list[str]) -> int:
    """Number of equal items at the start of two lists."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _line(cell: dict[str, Any]) -> tuple[int, int]:
    """Line and column in the Verilog."""
    found = re.match(r"[^|]*?:(\d+)\.(\d+)", cell["attributes"].get("src", ""))
    return (int(found[1]), int(found[2])) if found else (0, 0)
