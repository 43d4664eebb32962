"""Where the multipliers of an ECP5 stand.

They stand in rows across the die. When nearly all of them are taken, nextpnr gives each whatever place is left: the
engines of a design end up among each other all over the chip, and a product goes forty tiles to its sum. Named places
keep neighbours together; all else follows them.
"""

import re
from dataclasses import dataclass
from typing import Any

from ..spec.formats import ceil_div

__all__ = ["DIES", "Die", "place_multipliers"]

FEW = 0.5
"""Share of a die's multipliers up to which nextpnr finds good places by itself."""

LARGE = 16
"""Multipliers of a part of a design from which on it is given places. nextpnr finds those of smaller ones, once the
others are fixed."""

MULTIPLIER = "MULT18X18D"
BLOCK_COLUMNS = (0, 1, 4, 5)
"""Where in a block of the grid multipliers stand, which is also how nextpnr numbers them."""

FIRST_COLUMN, BLOCK_WIDTH, GAP = 4, 9, 2


@dataclass(frozen=True, kw_only=True)
class Die:
    """The grid of a die's multipliers.

    Attributes
    ----------
    rows : tuple of int
        Of the chip's tiles.
    blocks : int
        Of four multipliers, in each row.
    before_gap : int
        Those on the left of the clock's column.
    """

    rows: tuple[int, ...]
    blocks: int
    before_gap: int

    def walk(self, count: int) -> list[str]:
        """That many places in rows of equal length, to the right in one and back in the next."""
        starts = [
            FIRST_COLUMN + BLOCK_WIDTH * block + (GAP if block >= self.before_gap else 0)
            for block in range(ceil_div(ceil_div(count, len(BLOCK_COLUMNS)), len(self.rows)))
        ]
        places: list[str] = []
        for i, row in enumerate(self.rows):
            line = [f"X{start + offset}/Y{row}/MULT18_{offset}" for start in starts for offset in BLOCK_COLUMNS]
            places += line[::-1] if i & 1 else line
        return places[:count]

    @property
    def multipliers(self) -> int:
        """How many there are."""
        return len(self.rows) * self.blocks * len(BLOCK_COLUMNS)


DIES = {
    die.multipliers: die
    for die in (
        Die(rows=(13,), blocks=7, before_gap=3),
        Die(rows=(22, 46), blocks=9, before_gap=4),
        Die(rows=(10, 34, 58), blocks=13, before_gap=7),
    )
}
"""By the number of multipliers. Measured: ``ctx.getBels()`` in nextpnr's Python."""


def place_multipliers(module: dict[str, Any], die: Die) -> int:
    """Give the multipliers of large parts their places, row by row, in the order of the Verilog. The rest of each row
    is for the others.

    Parameters
    ----------
    module : dict
        Flat, in Yosys' JSON; changed in place.
    die : Die

    Returns
    -------
    int
        Multipliers that have a place now.
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
    return len(ordered)


def _line(cell: dict[str, Any]) -> tuple[int, int]:
    """Where the Verilog has it."""
    found = re.match(r"[^|]*?:(\d+)\.(\d+)", cell["attributes"].get("src", ""))
    return (int(found[1]), int(found[2])) if found else (0, 0)
