"""What blocks of the hardware are made of, for estimates of their sizes."""

from dataclasses import dataclass
from typing import Any

from amaranth import Shape

from .fabric import Fabric, Memory

__all__ = ["NO_MEMORY", "Features", "Parts", "width"]

Features = tuple[float, ...]
NO_MEMORY = Memory()


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a block is made of.

    Attributes
    ----------
    logic, ff : tuple of float
        What look-up tables (or gates) and flip-flops are sums of multiples of.
    memory : Memory
        Its cells are a further one, of flip-flops only where there is no LUT RAM.
    dsp : int
        Multipliers.
    """

    logic: Features
    ff: Features
    memory: Memory = NO_MEMORY
    dsp: int = 0

    def __rmul__(self, copies: int) -> "Parts":
        logic, ff = (tuple(copies * each for each in features) for features in (self.logic, self.ff))
        return Parts(logic=logic, ff=ff, memory=copies * self.memory, dsp=copies * self.dsp)

    def features(self, count: str, on: Fabric) -> Features:
        """All that ``logic`` or ``ff`` is a sum of multiples of."""
        cells = self.memory.cells if count == "logic" or not on.lut_ram else 0
        return (*getattr(self, count), cells)


def width(layout: Any) -> int:
    """Bits of a layout."""
    return Shape.cast(layout).width
