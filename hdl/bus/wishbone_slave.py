"""Registers behind a Wishbone bus."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...spec.registers import REGISTER_BYTES
from .registers import REGISTER_INDEX_BITS, RegisterPort

__all__ = ["WishboneSlave", "WishboneSlaveSignature"]


class WishboneSlaveSignature(wiring.Signature):
    """Wishbone B4, standard (classic) cycles, with data of 32 bits in bytes, from the master to the slave.

    Members
    -------
    cyc, stb, we : Out(1)
    adr : Out(10)
        Number of the word: offset of the register, divided by 4.
    sel : Out(4)
        Bytes that are written, the lowest one first. Ignored by reads.
    dat_w : Out(32)
    dat_r : In(32)
        Valid with ``ack``.
    ack, err : In(1)
        One of them ends each transfer. ``err`` means that the access is refused.
    """

    def __init__(self):
        bits = 8 * REGISTER_BYTES
        super().__init__(
            {
                "cyc": Out(1),
                "stb": Out(1),
                "we": Out(1),
                "adr": Out(REGISTER_INDEX_BITS),
                "sel": Out(REGISTER_BYTES),
                "dat_w": Out(bits),
                "dat_r": In(bits),
                "ack": In(1),
                "err": In(1),
            }
        )


class WishboneSlave(wiring.Component):
    """Gives a Wishbone bus access to registers. A transfer takes two cycles.

    Members
    -------
    bus : In(WishboneSlaveSignature)
    port : Out(RegisterPort)
    """

    def __init__(self):
        super().__init__({"bus": In(WishboneSlaveSignature()), "port": Out(RegisterPort())})

    def elaborate(self, platform):
        m = Module()
        bus, port = self.bus, self.port
        asked = Signal()
        done = Signal()
        refused = Signal()
        wrote = Signal()
        m.d.comb += [
            asked.eq(bus.cyc & bus.stb),
            port.write.eq(asked & bus.we & ~done),
            port.write_index.eq(bus.adr),
            port.write_data.eq(bus.dat_w),
            port.write_mask.eq(bus.sel),
            port.read.eq(asked & ~bus.we & ~done),
            port.read_index.eq(bus.adr),
            refused.eq((wrote & port.write_error) | (~wrote & port.read_error)),
            # A master may give up; the answer then goes to no one.
            bus.ack.eq(asked & done & ~refused),
            bus.err.eq(asked & done & refused),
            bus.dat_r.eq(port.read_data),
        ]
        m.d.sync += [done.eq(asked & ~done), wrote.eq(bus.we)]
        return m
