"""ULX3S of Radiona: LFE5U-85F, USB serial line by an FT231X."""

from typing import Any

from .board import Board


def _platform() -> Any:
    from amaranth_boards.ulx3s import ULX3S_85F_Platform

    return ULX3S_85F_Platform()


BOARD = Board(
    name="ulx3s-85f",
    title="Radiona ULX3S 85F",
    device="lfe5u-85f",
    speed=6,
    package="CABGA381",
    platform=_platform,
    clock_mhz=50,
    payload_bytes=1024,
    load="openFPGALoader -b ulx3s {bitstream}",
)
