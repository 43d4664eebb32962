"""What memories of a chip are made of, and which chips are made alike: what estimates of size need to know.

Yosys makes a memory of what costs least. Costs and the rule that adds them up are those of its pass ``memory_libmap``
and of the libraries that it reads for each family of chips (``lutrams*.txt`` and ``brams*.txt`` of Yosys 0.66).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..spec.formats import ceil_div
from ..synth.devices import Device, Family

__all__ = [
    "ECP5",
    "FABRICS",
    "GENERIC",
    "ICE40",
    "ICE40_LOGIC",
    "NONE",
    "ULTRASCALE_PLUS",
    "XILINX7",
    "Fabric",
    "Memory",
    "Need",
    "Ports",
    "Ram",
    "fabric_of",
]

READER = 2
"""Cost of a reader with an address of its own."""
EMULATED = 12
"""Cost of logic that keeps the old word for a block memory that does not give it."""


NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Need:
    """A memory with one port that writes.

    Attributes
    ----------
    words, width : int
        The latter in bits.
    granules : int
        Parts of a word that are written one by one.
    readers : int
        Ports that read.
    at_writer : bool
        One of them reads where is written.
    old : bool
        A word may be read as it is written, and is the old one then; otherwise it never is, or it does not matter.
    unread : frozenset of int
        Bits of a word that nothing reads. The cells that hold no others are removed when the choice has been made.
    """

    words: int
    width: int
    granules: int = 1
    readers: int = 1
    at_writer: bool = False
    old: bool = False
    unread: frozenset[int] = NONE

    @property
    def bits(self) -> int:
        """All of them."""
        return self.words * self.width


class Ports(Enum):
    """What the ports of a memory cell can do."""

    APART = "one writes, the other reads"
    BOTH = "one reads and writes, the other reads"
    SINGLE = "one reads and writes"


@dataclass(frozen=True, kw_only=True)
class Ram:
    """A kind of memory cell.

    Attributes
    ----------
    shapes : tuple of (int, int)
        Words and bits of a word.
    ports : Ports
    cost : int
        Of a cell.
    scaled : int
        Part of the cost that bits of a word cost that are used, in proportion; the rest is that of any cell.
    together : int or None
        Bits that are written one by one; ``None`` if a word is written whole.
    luts : int
        Look-up tables of a cell; 0 for a block memory.
    old_word : int
        Cost of what gives the old word where it is read as it is written.
    """

    shapes: tuple[tuple[int, int], ...]
    ports: Ports
    cost: int
    scaled: int = 0
    together: int | None = None
    luts: int = 0
    old_word: int = 0

    def made_of(self, need: Need) -> list[tuple[float, int]]:
        """Costs of a memory and its cells that stay, of each way to use their ports for it; none if they have not got
        these."""
        sharing = need.readers - need.at_writer
        # By readers that have ports of their own.
        ways = {
            Ports.APART: {need.readers},
            Ports.BOTH: {need.readers, sharing},
            Ports.SINGLE: {0} if not sharing else set(),
        }
        return [min(self._cost(need, shape, apart) for shape in self.shapes) for apart in ways[self.ports]]

    def _cost(self, need: Need, shape: tuple[int, int], apart: int) -> tuple[float, int]:
        """With cells of a shape."""
        deep, wide = shape
        copies, above = max(1, apart), ceil_div(need.words, deep)
        byte = min(self.together or wide, wide)
        padded = need.granules * ceil_div(need.width // need.granules, byte) * byte
        cells = copies * ceil_div(above * padded, wide)
        cost = (self.cost - self.scaled) * cells + self.scaled * copies * above * need.width / wide
        if above > 1:
            # What chooses among cells that lie above each other, of what they give and whether they are written.
            cost += (above - 1) * need.width * need.readers / 2 + above * need.granules / 2
        cost += READER * apart + self.old_word * (need.old and apart > 0)
        words = (range(first, min(first + wide, need.width)) for first in range(0, need.width, wide))
        removed = sum(need.unread.issuperset(bits) for bits in words)
        return cost, cells - copies * above * removed


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What memories take.

    Attributes
    ----------
    blocks : int
        Block memories.
    cells : int
        Look-up tables of LUT RAM, or flip-flops where there is none.
    """

    blocks: int = 0
    cells: int = 0

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(blocks=self.blocks + other.blocks, cells=self.cells + other.cells)

    def __rmul__(self, copies: int) -> "Memory":
        return Memory(blocks=copies * self.blocks, cells=copies * self.cells)


@dataclass(frozen=True, kw_only=True)
class Fabric:
    """The cells of chips on which Yosys makes the same of a design.

    Attributes
    ----------
    name : str
        Key of the fitted factors.
    counted_on : str
        The device on which sizes are counted.
    rams : tuple of Ram
    factor_bits : int
        Of the operands of a multiplier, signed; 0 if there is none, and products are logic.
    logic : str
        What logic is made of: the name of its count in :class:`~.netlist.Resources`.
    """

    name: str
    counted_on: str
    rams: tuple[Ram, ...] = ()
    factor_bits: int = 18
    logic: str = "lut"

    @property
    def lut_ram(self) -> bool:
        """Whether small memories are look-up tables; otherwise they are flip-flops."""
        return any(ram.luts for ram in self.rams)

    def multipliers(self, bits: int) -> int:
        """Multipliers of a product of a signed operand of that many bits and one of at most :attr:`factor_bits`. A bit
        that Yosys has left by itself is multiplied by logic."""
        return ceil_div(bits - 1, self.factor_bits) if self.factor_bits else 0

    def small(self, words: int, width: int, *, unread: frozenset[int] = NONE) -> Memory:
        """A memory that is read without a clock."""
        return self._small(Need(words=words, width=width, unread=unread))[1]

    def above(self, memory: Memory, width: int) -> int:
        """Cells of a small memory that lie above others."""
        return max(0, memory.cells - self.small(1, width).cells)

    def large(self, words: int, width: int, *, granules: int = 1, unread: frozenset[int] = NONE) -> Memory:
        """A memory that is made of block memories, if there are any."""
        return self._large(Need(words=words, width=width, granules=granules, unread=unread))[1]

    def memory(self, words: int, width: int, **how: Any) -> Memory:
        """A memory that is read by the clock, and made of what costs least; parameters as of :class:`Need`."""
        need = Need(words=words, width=width, **how)
        (block_cost, block), (cost, small) = self._large(need), self._small(need)
        return block if block_cost < int(cost) else small

    def _large(self, need: Need) -> tuple[float, Memory]:
        made = [(*found, ram) for ram in self.rams if not ram.luts for found in ram.made_of(need)]
        if not made:
            return self._small(need)
        cost, cells, _ = min(made, key=lambda each: each[:2])
        return cost, Memory(blocks=cells)

    def _small(self, need: Need) -> tuple[float, Memory]:
        if not self.lut_ram:
            return need.bits, Memory(cells=need.bits - need.words * len(need.unread))
        made = [(*found, ram) for ram in self.rams if ram.luts for found in ram.made_of(need)]
        cost, cells, ram = min(made, key=lambda each: each[:2])
        return cost, Memory(cells=cells * ram.luts)


def _shapes(words: int, *widths: int) -> tuple[tuple[int, int], ...]:
    """Of the first width as many words, of each further one half as many."""
    return tuple((words >> i, width) for i, width in enumerate(widths))


def _blocks(cost: int, old_word: int) -> tuple[Ram, ...]:
    """Block memories of 18 Kbit: both ports read or write words of 18 bits, or one each of 36."""
    return (
        Ram(shapes=_shapes(16384, 1, 2, 4, 9, 18), ports=Ports.BOTH, cost=cost, together=9, old_word=old_word),
        Ram(shapes=_shapes(2048, 9, 18, 36), ports=Ports.APART, cost=cost, together=9, old_word=old_word),
    )


_ECP5_RAMS = (Ram(shapes=((16, 4),), ports=Ports.APART, cost=4, luts=4), *_blocks(128, EMULATED))
_XILINX7_RAMS = (
    Ram(shapes=_shapes(256, 1, 2, 4, 8), ports=Ports.SINGLE, cost=8, scaled=8, luts=4),
    Ram(shapes=_shapes(128, 1, 2, 4), ports=Ports.BOTH, cost=8, scaled=8, luts=4),
    Ram(shapes=_shapes(64, 3, 6), ports=Ports.APART, cost=8, scaled=7, luts=4),
    *_blocks(129, 0),
)
# Yosys' library takes the first of these for one of 65,536 words, and then fails: a memory with one port, of more words
# than 256, and few bits.
_ULTRASCALE_RAMS = (
    Ram(shapes=_shapes(512, 1, 2, 4, 8, 16), ports=Ports.SINGLE, cost=16, scaled=16, luts=8),
    Ram(shapes=_shapes(256, 1, 2, 4, 8), ports=Ports.BOTH, cost=16, scaled=16, luts=8),
    Ram(shapes=_shapes(64, 7, 14), ports=Ports.APART, cost=16, scaled=16, luts=8),
    *_blocks(129, 0),
)
_ICE40_RAMS = (Ram(shapes=_shapes(2048, 2, 4, 8, 16), ports=Ports.APART, cost=64, together=1, old_word=EMULATED),)

ECP5 = Fabric(name="ecp5", counted_on="lfe5u-85f", rams=_ECP5_RAMS)
XILINX7 = Fabric(name="xilinx7", counted_on="xc7a100t", rams=_XILINX7_RAMS)
ULTRASCALE_PLUS = Fabric(name="ultrascale+", counted_on="xczu3eg", rams=_ULTRASCALE_RAMS)
ICE40 = Fabric(name="ice40", counted_on="ice40up5k", rams=_ICE40_RAMS, factor_bits=16)
ICE40_LOGIC = Fabric(name="ice40 without multipliers", counted_on="ice40hx8k", rams=_ICE40_RAMS, factor_bits=0)
GENERIC = Fabric(name="generic", counted_on="generic", factor_bits=0, logic="gates")
FABRICS = {fabric.name: fabric for fabric in (ECP5, XILINX7, ULTRASCALE_PLUS, ICE40, ICE40_LOGIC, GENERIC)}
"""By name."""


def fabric_of(device: Device) -> Fabric:
    """What a device is made of."""
    if device.family is Family.ICE40:
        return ICE40 if device.capacity and device.capacity.dsp else ICE40_LOGIC
    return _OF_FAMILY[device.family]


_OF_FAMILY = {
    Family.ECP5: ECP5,
    Family.XILINX7: XILINX7,
    Family.ULTRASCALE_PLUS: ULTRASCALE_PLUS,
    Family.GENERIC: GENERIC,
}
