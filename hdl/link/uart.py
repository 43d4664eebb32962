"""UART: start bit, eight data bits with the lowest first, stop bit."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["Receiver", "Transmitter"]

BITS = 10
"""Bits per byte on the line."""


class Receiver(wiring.Component):
    """Receives bytes from a line.

    Parameters
    ----------
    clocks_per_bit : int
        At least 4.

    Members
    -------
    rx : In(1)
        The line. It may be asynchronous.
    bit, bit_valid : Out(1)
        Strobe: each data bit, in the cycle that samples it. The byte may still turn out broken.
    byte, byte_valid : Out(8), Out(1)
        Strobe: a byte, in the cycle after its stop bit is sampled.
    broken : Out(1)
        Strobe, in place of ``byte_valid``: the stop bit was missing.
    """

    def __init__(self, clocks_per_bit: int):
        self._clocks = clocks_per_bit
        super().__init__(
            {
                "rx": In(1, init=1),
                "bit": Out(1),
                "bit_valid": Out(1),
                "byte": Out(8),
                "byte_valid": Out(1),
                "broken": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        left = Signal(range(BITS + 1))
        timer = Signal(range(self._clocks))
        m.d.comb += self.bit.eq(line)
        m.d.sync += [self.byte_valid.eq(0), self.broken.eq(0), timer.eq(timer - 1)]
        with m.If(left == 0):
            # The start bit is sampled in its middle, and each further bit one bit time after the bit before.
            m.d.sync += timer.eq(self._clocks // 2 - 1)
            with m.If(~line):
                m.d.sync += left.eq(BITS)
        with m.Elif(timer == 0):
            m.d.sync += [timer.eq(self._clocks - 1), left.eq(left - 1)]
            with m.If(left == BITS), m.If(line):  # a glitch, not a start bit
                m.d.sync += left.eq(0)
            with m.Elif(left == 1):
                m.d.sync += [self.byte_valid.eq(line), self.broken.eq(~line)]
            with m.Else():
                m.d.comb += self.bit_valid.eq(1)
                m.d.sync += self.byte.eq(Cat(self.byte[1:], line))
        return m


class Transmitter(wiring.Component):
    """Sends bytes on a line.

    Parameters
    ----------
    clocks_per_bit : int
        At least 4.

    Members
    -------
    i : In(stream(8))
        Ready while the line is free; i.e. the stop bit of the byte before is complete.
    tx : Out(1)
        The line. High while idle.
    bit, bit_valid : Out(1)
        Strobe: each data bit, in the cycle before it is on the line.
    """

    def __init__(self, clocks_per_bit: int):
        self._clocks = clocks_per_bit
        super().__init__(
            {"i": In(stream.Signature(8)), "tx": Out(1, init=1), "bit": Out(1), "bit_valid": Out(1)},
        )

    def elaborate(self, platform):
        m = Module()
        left = Signal(range(BITS + 1))
        timer = Signal(range(self._clocks))
        rest = Signal(8)
        m.d.comb += [self.i.ready.eq(left == 0), self.bit.eq(rest[0])]
        with m.If(left == 0), m.If(self.i.valid):
            m.d.sync += [rest.eq(self.i.payload), self.tx.eq(0), timer.eq(self._clocks - 1), left.eq(BITS)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            # Ones follow the data: the stop bit, then the idle line.
            m.d.comb += self.bit_valid.eq(left > 2)
            m.d.sync += [
                self.tx.eq(rest[0]),
                rest.eq(Cat(rest[1:], 1)),
                timer.eq(self._clocks - 1),
                left.eq(left - 1),
            ]
        return m
