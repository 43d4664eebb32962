"""Buses that the ports of a unit can follow, and what their clock and reset are called."""

from enum import StrEnum

from .verilog_names import ClockNames, Reset

__all__ = ["COPROCESSOR_BUSES", "UNIT_BUSES", "Bus", "clock_names"]


class Bus(StrEnum):
    """Bus of a top module."""

    STREAMS = "streams"
    """Streams with ``payload``, ``valid`` and ``ready``, of a unit by itself."""
    AXI_STREAM = "axi-stream"
    """AXI4-Stream, of a unit by itself."""
    AXI4 = "axi4"
    """AXI4 to the memory, AXI4-Lite to the registers of a co-processor."""
    WISHBONE = "wishbone"
    """Wishbone B4, with registered-feedback bursts to the memory of a co-processor."""
    WISHBONE_CLASSIC = "wishbone-classic"
    """Wishbone B4, with classic cycles only."""


UNIT_BUSES = (Bus.STREAMS, Bus.AXI_STREAM)
COPROCESSOR_BUSES = (Bus.AXI4, Bus.WISHBONE, Bus.WISHBONE_CLASSIC)

_AXI = "aclk", {Reset.HIGH: "areset", Reset.LOW: "aresetn"}
_WISHBONE = "clk_i", {Reset.HIGH: "rst_i", Reset.LOW: "rst_n_i"}
_NAMES = {
    Bus.STREAMS: ("clk", {Reset.HIGH: "rst", Reset.LOW: "rst_n"}),
    Bus.AXI_STREAM: _AXI,
    Bus.AXI4: _AXI,
    Bus.WISHBONE: _WISHBONE,
    Bus.WISHBONE_CLASSIC: _WISHBONE,
}


def clock_names(
    bus: Bus, *, clock: str | None = None, reset: Reset | None = None, reset_name: str | None = None
) -> ClockNames:
    """Clock and reset of a top module. What is not given is usual for the bus: resets of AXI are active low.

    Raises
    ------
    ConfigError
        As :class:`~thresher.spec.verilog_names.ClockNames`.
    """
    usual, resets = _NAMES[bus]
    level = reset or (Reset.LOW if bus in (Bus.AXI4, Bus.AXI_STREAM) else Reset.HIGH)
    return ClockNames(
        clock=usual if clock is None else clock,
        reset=level,
        reset_name=resets[level] if reset_name is None else reset_name,
    )
