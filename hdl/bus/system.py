"""The co-processor with its registers, as a block that drops into a system."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from ...spec.buses import Bus
from ...spec.coprocessor_config import CoprocessorConfig
from .axi4 import Axi4Master, Axi4Signature
from .axi4_lite import Axi4LiteSignature, Axi4LiteSlave
from .controlled import ControlledCoprocessor
from .ports import FlatInterface, Names, axi_names, flat_members, wishbone_names
from .wishbone import WishboneMaster, WishboneSignature
from .wishbone_slave import WishboneSlave, WishboneSlaveSignature

__all__ = ["CoprocessorSystem", "system_signature"]


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One side of a bus: the component, the member that is the bus, its signature, and the names of the ports."""

    make: Callable[[], Any]
    member: str
    signature: wiring.Signature
    names: Names


def _side(make: Callable[[], Any], member: str, signature: Any, prefix: str, names: Callable[..., Names]) -> _Side:
    return _Side(make=make, member=member, signature=signature, names=names(prefix, signature))


def _sides(bus: Bus) -> tuple[_Side, _Side]:
    """The side of the registers, and that of the memory."""
    if bus is Bus.AXI4:
        slave = _side(Axi4LiteSlave, "bus", Axi4LiteSignature().flip(), "s_axi", axi_names)
        return slave, _side(Axi4Master, "axi", Axi4Signature(), "m_axi", axi_names)
    master = partial(WishboneMaster, burst=bus is Bus.WISHBONE)
    slave = _side(WishboneSlave, "bus", WishboneSlaveSignature().flip(), "wbs", wishbone_names)
    return slave, _side(master, "bus", WishboneSignature(), "wbm", wishbone_names)


def system_signature(bus: Bus) -> wiring.Signature:
    """Ports of a co-processor on a bus. They do not depend on its configuration.

    ========== ================================ ==================================
    port       AXI4                             Wishbone
    ========== ================================ ==================================
    registers  ``s_axi_awaddr`` …, AXI4-Lite    ``wbs_adr_i`` …, 32 bits
    memory     ``m_axi_awaddr`` …, 64 bits      ``wbm_adr_o`` …, 64 bits
    interrupt  ``irq``                          ``irq``
    ========== ================================ ==================================
    """
    slave, master = (flat_members(side.signature, side.names) for side in _sides(bus))
    return wiring.Signature({**slave, **master, "irq": Out(1)})


class CoprocessorSystem(wiring.Component):
    """A co-processor that a host controls by registers, and that is a master of the memory's bus.

        host ── slave ── registers ── co-processor ── master ── memory

    Parameters
    ----------
    config : CoprocessorConfig
    bus : Bus
        One of :data:`~thresher.spec.buses.COPROCESSOR_BUSES`.
    """

    def __init__(self, config: CoprocessorConfig, bus: Bus):
        self._config = config
        self._slave, self._master = _sides(bus)
        super().__init__(system_signature(bus))

    def elaborate(self, platform):
        m = Module()
        m.submodules.slave = slave = self._slave.make()
        m.submodules.core = core = ControlledCoprocessor(self._config)
        m.submodules.master = master = self._master.make()
        connect(m, slave.port, core.registers)
        connect(m, core.memory, master.memory)
        for side, component in ((self._slave, slave), (self._master, master)):
            port = flipped(FlatInterface(self, side.signature, side.names))
            connect(m, getattr(component, side.member), port)
        m.d.comb += self.irq.eq(core.irq)
        return m
