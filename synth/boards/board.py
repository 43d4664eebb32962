"""What a board is: a chip in a package, pins and clock of amaranth-boards, and a serial line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Board"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board that hardware can be loaded into.

    Attributes
    ----------
    name : str
        As users give it.
    title : str
    device : str
        Name of its chip among :data:`~thresher.synth.devices.DEVICES`.
    speed : int or None
        Speed grade of the chip, if there are several.
    package : str
        The chip's, as nextpnr calls it.
    platform : function
        Makes the platform of amaranth-boards. Its default clock is the board's, its resource ``uart`` the serial line.
    clock_mhz : float
        Of the core, unless users choose another.
    payload_bytes : int
        Of the link: what one block memory of the chip holds twice.
    load : str
        Command that loads ``{bitstream}`` until power is switched off.
    """

    name: str
    title: str
    device: str
    speed: int | None = None
    package: str
    platform: Callable[[], Any]
    clock_mhz: float
    payload_bytes: int
    load: str
