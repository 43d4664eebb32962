"""Registers behind an AXI4-Lite bus."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...spec.registers import OFFSET_BITS, REGISTER_BYTES
from ..lib.pipeline import index_bits
from .axi4 import Response
from .registers import RegisterPort

__all__ = ["Axi4LiteSignature", "Axi4LiteSlave"]

INDEX_SHIFT = index_bits(REGISTER_BYTES)


class Axi4LiteSignature(wiring.Signature):
    """AXI4-Lite with data of 32 bits and addresses of 12 bits, from the master to the slave.

    The members have the names of the standard, in small letters.
    """

    def __init__(self):
        super().__init__(
            {
                "awaddr": Out(OFFSET_BITS),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(8 * REGISTER_BYTES),
                "wstrb": Out(REGISTER_BYTES),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(OFFSET_BITS),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(8 * REGISTER_BYTES),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class Axi4LiteSlave(wiring.Component):
    """Gives an AXI4-Lite bus access to registers.

    All outputs to the bus are registers. The address and the data of a write may come in any order. Reads do not wait
    for writes, nor writes for reads. The throughput is one read and one write per two cycles.

    Members
    -------
    bus : In(Axi4LiteSignature)
        The lowest two bits of addresses and ``awprot`` and ``arprot`` are ignored. Refused accesses get the response
        SLVERR; refused reads give 0.
    port : Out(RegisterPort)
    """

    def __init__(self):
        super().__init__({"bus": In(Axi4LiteSignature()), "port": Out(RegisterPort())})

    def elaborate(self, platform):
        m = Module()
        bus, port = self.bus, self.port
        addressed = Signal()
        filled = Signal()
        m.d.comb += [
            bus.awready.eq(~addressed),
            bus.wready.eq(~filled),
            # The port's answer holds until the next write, so the bus must have taken it.
            port.write.eq(addressed & filled & ~bus.bvalid),
            bus.bresp.eq(Mux(port.write_error, Response.SLVERR, Response.OKAY)),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [addressed.eq(1), port.write_index.eq(bus.awaddr[INDEX_SHIFT:])]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [filled.eq(1), port.write_data.eq(bus.wdata), port.write_mask.eq(bus.wstrb)]
        with m.If(port.write):
            m.d.sync += [addressed.eq(0), filled.eq(0), bus.bvalid.eq(1)]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)

        asked = Signal()
        m.d.comb += [
            bus.arready.eq(~asked),
            port.read.eq(asked & ~bus.rvalid),
            bus.rdata.eq(port.read_data),
            bus.rresp.eq(Mux(port.read_error, Response.SLVERR, Response.OKAY)),
        ]
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [asked.eq(1), port.read_index.eq(bus.araddr[INDEX_SHIFT:])]
        with m.If(port.read):
            m.d.sync += [asked.eq(0), bus.rvalid.eq(1)]
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        return m
