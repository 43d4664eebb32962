"""Description of a board: chip, package, pins, clock and serial line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Board"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board that a unit can be loaded into.

    Attributes
    ----------
    name : str
        Name on the command line.
    title : str
    device : str
        Chip, by its name in :data:`~thresher.synth.devices.DEVICES`.
    speed : int or None
        Speed grade, if the chip has several.
    package : str
        Package, by its name in nextpnr.
    platform : function
        Makes the platform of amaranth-boards. It has a default clock and a resource ``uart``.
    clock_mhz : float
        Default clock of the core.
    payload_bytes : int
        Payload of the link. One block memory of the chip holds it twice.
    load : str
        Command that loads ``{bitstream}``.
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
