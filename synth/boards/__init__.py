"""Boards: chip, package, pins, clock and serial line."""

from dataclasses import dataclass

from ...spec.base import look_up

__all__ = ["BOARDS", "Board", "board"]


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
    platform : str
        Module and class of its platform in amaranth-boards, which has a default clock and a resource ``uart``.
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
    platform: str
    clock_mhz: float
    payload_bytes: int
    load: str


BOARDS = {
    each.name: each
    for each in (
        Board(  # USB serial line by an FT231X
            name="ulx3s-85f",
            title="Radiona ULX3S 85F",
            device="lfe5u-85f",
            speed=6,
            package="CABGA381",
            platform="amaranth_boards.ulx3s:ULX3S_85F_Platform",
            clock_mhz=50,
            payload_bytes=1024,
            load="openFPGALoader -b ulx3s {bitstream}",
        ),
        Board(  # USB serial line by an FT2232H
            name="ecpix5-85f",
            title="LambdaConcept ECPIX-5 85F",
            device="lfe5um5g-85f",
            speed=8,
            package="CABGA554",
            platform="amaranth_boards.ecpix5:ECPIX585Platform",
            clock_mhz=50,
            payload_bytes=1024,
            load="openFPGALoader -b ecpix5 {bitstream}",
        ),
        Board(  # USB serial line by an FT2232H
            name="icebreaker",
            title="1BitSquared iCEBreaker",
            device="ice40up5k",
            package="sg48",
            platform="amaranth_boards.icebreaker:ICEBreakerPlatform",
            clock_mhz=12,
            payload_bytes=256,
            # The command writes the flash memory, from which the UP5K loads.
            load="openFPGALoader -b ice40_generic {bitstream}",
        ),
    )
}
"""Boards by name."""


def board(name: str) -> Board:
    """The named board.

    Raises
    ------
    ConfigError
        The name is unknown.
    """
    return look_up("board", name.lower(), BOARDS)
