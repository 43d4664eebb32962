"""Routers of nextpnr: which one a design has, and when it is stopped."""

import math
import re
from dataclasses import dataclass, replace

from .devices import Device, Family
from .tools import SynthesisError

__all__ = ["ROUTER1", "ROUTER2", "Progress", "Router", "Standstill", "chosen_router"]


@dataclass(frozen=True, kw_only=True)
class Router:
    """A router of nextpnr, and when it is stopped.

    Attributes
    ----------
    name : str
    options : tuple of str
        Of nextpnr, beside the name.
    line : str
        Pattern of a line about progress. Its group ``left`` is the number of open connections (router1, every thousand
        steps), or of wires that several connections use (router2, every iteration).
    standstill : int
        Lines without a new minimum after which a seed is given up.
    """

    name: str
    options: tuple[str, ...] = ()
    line: str
    standstill: int


ROUTER1 = Router(name="router1", line=r"Info:\s*\d+ \|[\s\d]+\|[\s\d]+\|\s*(?P<left>\d+)\|", standstill=500)
"""The default of nextpnr. Large designs that were routed took 600 lines in all."""

ROUTER2 = Router(
    name="router2",
    # Repeats slow connections. Without it, a wire took 20 ns from one end of the chip to the other.
    options=("--tmg-ripup",),
    line=r"Info:\s*iter=\d+ wires=\d+ overused=(?P<left>\d+) ",
    standstill=200,
)
"""Large designs that were routed took 100 lines in all."""

PLAIN_ROUTER2 = replace(ROUTER2, options=())
"""For the fullest devices. It finished the co-processor ``edge`` after 160 lines. With ``--tmg-ripup``, the conflicts
of a similar design grew from 5,500 to 14,700."""

CROWDED = 0.5
"""Share of an ECP5's look-up tables above which :data:`ROUTER2` routes a design. :data:`ROUTER1` finished one with
39 %, and left connections of one with 62 % open."""

FULL = 0.63
"""Share of an ECP5's look-up tables above which :data:`PLAIN_ROUTER2` routes a design. :data:`ROUTER2` finished an
encoder on chip with 62 %. The co-processor ``edge`` takes 63.2 %."""


def chosen_router(device: Device, lut: int) -> Router:
    """The router of nextpnr for a design with so many look-up tables.

    ``router1`` reaches faster clocks: by a fifth for the vector unit of ``tiny``.
    """
    if device.family is not Family.ECP5 or device.capacity is None:
        return ROUTER1
    share = lut / device.capacity.lut
    return PLAIN_ROUTER2 if share > FULL else ROUTER2 if share > CROWDED else ROUTER1


class Standstill(SynthesisError):
    """The router makes no progress with this seed."""


class Progress:
    """Watches the output of nextpnr for progress of its router."""

    def __init__(self, router: Router):
        self._line, self._standstill = router.line, router.standstill
        self._fewest, self._since = math.inf, 0

    def see(self, line: str) -> None:
        """Read a line.

        Raises
        ------
        Standstill
            The router makes no progress.
        """
        found = re.match(self._line, line)
        if found is None:
            return
        left = int(found["left"])
        self._since = 0 if left < self._fewest else self._since + 1
        self._fewest = min(left, self._fewest)
        if self._since == self._standstill:
            raise Standstill(f"{left} connections or wires are left")
