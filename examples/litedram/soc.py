"""A co-processor and LiteDRAM's controller with a model of an SDRAM, for simulation.

    host ── s_axi ──▶ co-processor ── m_axi ──▶ LiteDRAM ── DFI ──▶ model of the PHY and the SDRAM
         ── host_axi ─────────────────────────▶    │

The controller serves two AXI4 ports of 64 bits. In a LiteX system for a board, the model is the PHY of the board.
"""

import re
from collections.abc import Iterator
from typing import Any

from litedram import modules
from litedram.core import LiteDRAMCore
from litedram.frontend.axi import LiteDRAMAXI2Native, LiteDRAMAXIPort
from litedram.phy.model import SDRAMPHYModel
from litex.gen.fhdl import verilog
from migen import ClockDomain, ClockSignal, Instance, Module, ResetSignal, Signal

__all__ = ["MODULES", "TOP", "system_verilog"]

MODULES = {"MT48LC16M16": 32 << 20, "AS4C32M16": 64 << 20}
"""SDR SDRAMs of 16 bits, as on the ULX3S, and their bytes."""

TOP = "system"
COPROCESSOR = "ai"
DATA_BITS, RATIO = 16, "1:1"
"""Of the SDRAM: its data, and the ratio of the controller's clock to its clock."""
WORD_BITS, ADDRESS_BITS, ID_BITS = 64, 32, 1
"""Of ``m_axi``."""

ADDRESS = ("valid", "id", "addr", "len", "size", "burst", "lock", "cache", "prot", "qos")
CHANNELS = {
    "aw": ADDRESS,
    "w": ("valid", "data", "strb", "last"),
    "b": ("valid", "id", "resp"),
    "ar": ADDRESS,
    "r": ("valid", "id", "data", "resp", "last"),
}
"""Signals in the direction of the transfers. ``ready`` goes in the other direction."""


def system_verilog(ports: list[dict[str, Any]], *, module: str, clock_hz: float, base: int) -> str:
    """Verilog of the system, without that of the co-processor.

    Parameters
    ----------
    ports : list
        Of the co-processor, as in its JSON file.
    module : str
        One of :data:`MODULES`.
    clock_hz : float
        Of the co-processor and the controller.
    base : int
        Address of the memory.
    """
    system: Any = Module()
    system.clock_domains.cd_sys = ClockDomain("sys")
    sdram = getattr(modules, module)(clock_hz, RATIO)
    phy = SDRAMPHYModel(sdram, data_width=DATA_BITS, clk_freq=clock_hz)
    controller: Any = LiteDRAMCore(phy, sdram.geom_settings, sdram.timing_settings, clock_hz)
    system.submodules += phy, controller

    def memory_port() -> Any:
        """A port of the controller."""
        axi = LiteDRAMAXIPort(WORD_BITS, ADDRESS_BITS, id_width=ID_BITS)
        system.submodules += LiteDRAMAXI2Native(
            axi, controller.crossbar.get_port(data_width=WORD_BITS), base_address=base
        )
        return axi

    connections = {"i_aclk": ClockSignal(), "i_aresetn": ~ResetSignal()}
    for name, signal, from_master in _signals(memory_port()):
        connections[f"{'o' if from_master else 'i'}_m_axi_{name}"] = signal
    pads = {system.cd_sys.clk, system.cd_sys.rst}
    for port in ports:
        name = port["name"]
        if name.startswith("s_axi_") or name == "irq":
            pad = Signal(port["width"], name_override=name)
            connections[f"{port['direction'][0]}_{name}"] = pad
            pads.add(pad)
    system.specials += Instance(COPROCESSOR, **connections)
    for name, signal, from_master in _signals(memory_port()):
        pad = Signal(len(signal), name_override=f"host_axi_{name}")
        system.comb += signal.eq(pad) if from_master else pad.eq(signal)
        pads.add(pad)
    text = verilog.convert(system, pads, name=TOP).main_source
    return re.sub(r"^//.*\n", "", text, flags=re.MULTILINE)  # comments, with the date


def _signals(axi: Any) -> Iterator[tuple[str, Any, bool]]:
    """Signals of an AXI4 port: name, signal, and whether the master drives it."""
    for channel, names in CHANNELS.items():
        from_master = channel in ("aw", "w", "ar")
        stream = getattr(axi, channel)
        for name in names:
            yield channel + name, getattr(stream, name), from_master
        yield f"{channel}ready", stream.ready, not from_master
