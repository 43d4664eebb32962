"""Bus masters in top components, with the usual names of their ports."""

from functools import partial
from typing import Any

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped
from thresher.hdl.bus.axi4 import Axi4Master, Axi4Signature
from thresher.hdl.bus.ports import FlatInterface, axi_names, flat_members
from thresher.hdl.bus.wishbone import WishboneMaster, WishboneSignature
from thresher.hdl.coprocessor.memory_streams import MemoryPort

AXI = "m_axi"
WISHBONE = {False: "m_wb", True: "m_wb_burst"}
"""By whether the master has bursts."""


class Top(wiring.Component):
    """All masters, with ports ``m_axi_awaddr``, ``m_wb_adr``, ``m_wb_burst_adr`` and so on.

    Each has its memory port: ``m_axi_memory``, ``m_wb_memory`` and ``m_wb_burst_memory``. One top is faster to compile
    than three.
    """

    def __init__(self):
        self._masters: dict[str, Any] = {AXI: (Axi4Master, "axi", Axi4Signature())}
        for burst, prefix in WISHBONE.items():
            self._masters[prefix] = (partial(WishboneMaster, burst=burst), "bus", WishboneSignature())
        members: dict[str, wiring.Member] = {}
        for prefix, (_, _, signature) in self._masters.items():
            members |= {f"{prefix}_memory": In(MemoryPort()), **flat_members(signature, axi_names(prefix, signature))}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for prefix, (make, bus, signature) in self._masters.items():
            m.submodules[prefix] = master = make()
            connect(m, flipped(getattr(self, f"{prefix}_memory")), master.memory)
            port = FlatInterface(self, signature, axi_names(prefix, signature))
            connect(m, getattr(master, bus), flipped(port))
        return m
