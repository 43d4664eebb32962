"""Registers behind a bus, as one component."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from thresher.hdl.bus.axi4_lite import Axi4LiteSignature, Axi4LiteSlave
from thresher.hdl.bus.registers import RegisterFile
from thresher.hdl.bus.wishbone_slave import WishboneSlave, WishboneSlaveSignature
from thresher.hdl.coprocessor.control import control_signature

from .register_bench import HASH

BUSES = {"axi4_lite": (Axi4LiteSignature, Axi4LiteSlave), "wishbone": (WishboneSlaveSignature, WishboneSlave)}


class RegistersOnBus(wiring.Component):
    """A register file behind a slave of a bus. The ports of the bus are named ``bus__awaddr`` and so on."""

    def __init__(self, bus: str):
        signature, self._slave = BUSES[bus]
        super().__init__({"bus": In(signature()), "control": In(control_signature()), "interrupt": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.slave = slave = self._slave()
        m.submodules.registers = registers = RegisterFile(HASH)
        connect(m, flipped(self.bus), slave.bus)
        connect(m, slave.port, registers.port)
        connect(m, registers.control, flipped(self.control))
        m.d.comb += self.interrupt.eq(registers.interrupt)
        return m
