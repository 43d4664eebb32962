"""ECPIX-5 of LambdaConcept: LFE5UM5G-85F, USB serial line by an FT2232H."""

from typing import Any

from .board import Board


def _platform() -> Any:
    from amaranth_boards.ecpix5 import ECPIX585Platform

    return ECPIX585Platform()


BOARD = Board(
    name="ecpix5-85f",
    title="LambdaConcept ECPIX-5 85F",
    device="lfe5um5g-85f",
    speed=8,
    package="CABGA554",
    platform=_platform,
    clock_mhz=50,
    payload_bytes=1024,
    load="openFPGALoader -b ecpix5 {bitstream}",
)
