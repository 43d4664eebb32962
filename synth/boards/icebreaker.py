"""iCEBreaker of 1BitSquared: iCE40 UP5K, USB serial line by an FT2232H."""

from typing import Any

from .board import Board


def _platform() -> Any:
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    return ICEBreakerPlatform()


BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    device="ice40up5k",
    package="sg48",
    platform=_platform,
    clock_mhz=12,
    payload_bytes=256,
    # The command writes the flash memory, from which the UP5K loads.
    load="openFPGALoader -b ice40_generic {bitstream}",
)
