"""What memories of a chip are made of, and which chips are made alike: what estimates of size need to know."""

from dataclasses import dataclass

from ..spec.formats import ceil_div
from .devices import Device, Family

__all__ = ["ECP5", "FABRICS", "ICE40", "ICE40_LOGIC", "XILINX7", "Fabric", "fabric_of"]


@dataclass(frozen=True, kw_only=True)
class Fabric:
    """The cells of chips on which Yosys makes the same of a design.

    Attributes
    ----------
    name : str
        Key of the fitted factors.
    counted_on : str
        The device on which sizes are counted.
    blocks : tuple of (int, int, int)
        Shapes of a block memory: words, bits of a word, and how many of these are written together.
    cells : tuple of (int, int)
        Shapes of a cell of LUT RAM: words, bits. One bit where there is no LUT RAM, and small memories are flip-flops.
    cells_per_block : int
        Cells that Yosys takes before it takes a block memory.
    both_read : int or None
        Bits of a word where both ports of a block memory read; ``None`` where only one can, and memories are doubled.
    multipliers : bool
        Whether there are any; otherwise products are logic.
    """

    name: str
    counted_on: str
    blocks: tuple[tuple[int, int, int], ...]
    cells: tuple[tuple[int, int], ...]
    cells_per_block: int
    both_read: int | None
    multipliers: bool = True

    @property
    def lut_ram(self) -> bool:
        """Whether small memories are look-up tables."""
        return self.cells != FLIP_FLOPS

    def small(self, words: int, width: int) -> int:
        """Cells of a small memory."""
        return min(ceil_div(words, deep) * ceil_div(width, wide) for deep, wide in self.cells)

    def large(self, words: int, width: int, *, granules: int = 1, both_read: bool = False) -> int:
        """Block memories.

        Parameters
        ----------
        granules : int
            Parts of a word that are written one by one.
        both_read : bool
            Both ports have addresses of their own, and read.
        """
        copies, widest = 1, max(wide for _, wide, _ in self.blocks)
        if both_read:
            copies, widest = (2, widest) if self.both_read is None else (1, self.both_read)
        found = []
        for deep, wide, together in self.blocks:
            if wide <= widest:
                units = granules * ceil_div(width // granules, together)
                found.append(ceil_div(units, wide // together) * ceil_div(words, deep))
        return copies * min(found)

    def memory(
        self, words: int, width: int, *, granules: int = 1, both_read: bool = False, halved: bool = False
    ) -> tuple[int, int]:
        """Block memories of a memory with a synchronous read port, or else its cells.

        Parameters
        ----------
        halved : bool
            The choice is made part by part, each as wide as a block memory of two ports.
        """
        blocks = self.large(words, width, granules=granules, both_read=both_read)
        # A cell of LUT RAM has one port that reads.
        cells = granules * self.small(words, width // granules) * (2 if both_read and self.lut_ram else 1)
        if halved and width > TWO_PORTS:
            large = self.memory(words, ceil_div(width, ceil_div(width, TWO_PORTS)))[0] > 0
        else:
            large = cells > self.cells_per_block * blocks
        return (blocks, 0) if large else (0, cells)


TWO_PORTS = 18
"""Bits of a word of a block memory whose ports both have addresses of their own."""
KBIT18 = ((512, 36, 9), (1024, 18, 9), (2048, 9, 9), (4096, 4, 4), (8192, 2, 2), (16384, 1, 1))
KBIT4 = ((256, 16, 1), (512, 8, 8), (1024, 4, 4), (2048, 2, 2))
FLIP_FLOPS = ((1, 1),)

ECP5 = Fabric(name="ecp5", counted_on="lfe5u-85f", blocks=KBIT18, cells=((16, 4),), cells_per_block=20, both_read=18)
XILINX7 = Fabric(
    name="xilinx7", counted_on="xc7a100t", blocks=KBIT18, cells=((32, 6), (64, 3)), cells_per_block=16, both_read=18
)
ICE40 = Fabric(name="ice40", counted_on="ice40up5k", blocks=KBIT4, cells=FLIP_FLOPS, cells_per_block=64, both_read=None)
ICE40_LOGIC = Fabric(
    name="ice40 without multipliers",
    counted_on="ice40hx8k",
    blocks=KBIT4,
    cells=FLIP_FLOPS,
    cells_per_block=64,
    both_read=None,
    multipliers=False,
)
FABRICS = {fabric.name: fabric for fabric in (ECP5, XILINX7, ICE40, ICE40_LOGIC)}
"""By name: those with estimates."""


def fabric_of(device: Device) -> Fabric | None:
    """What a device is made of; ``None`` if there are no estimates for it: simple gates, and UltraScale+, whose
    multipliers take other registers in than those of the 7 series."""
    if device.family is Family.ECP5:
        return ECP5
    if device.family is Family.XILINX7:
        return XILINX7
    if device.family is Family.ICE40:
        return ICE40 if device.capacity and device.capacity.dsp else ICE40_LOGIC
    return None
