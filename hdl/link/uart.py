"""Bytes on a serial line: start bit, eight data bits, lowest first, stop bit."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["Receiver", "Transmitter"]

BITS = 10
"""Of a byte on the line."""


class Receiver(wiring.Component):
    """Takes bytes from a line.

    Parameters
    ----------
    clocks_per_bit : int
        At least 4.

    Members
    -------
    rx : In(1)
        The line; need not be synchronous.
    bit, bit_valid : Out(1)
        Each data bit, in the cycle in which it is read, before it is known whether the byte is whole.
    byte, byte_valid : Out(8), Out(1)
        A byte, in the cycle after its stop bit is read.
    broken : Out(1)
        High in place of ``byte_valid`` if the stop bit was missing.
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
            # The start bit is read in its middle, and all others a bit's time after the one before.
            m.d.sync += timer.eq(self._clocks // 2 - 1)
            with m.If(~line):
                m.d.sync += left.eq(BITS)
        with m.Elif(timer == 0):
            m.d.sync += [timer.eq(self._clocks - 1), left.eq(left - 1)]
            with m.If(left == BITS), m.If(line):  # a spike, and no start bit
                m.d.sync += left.eq(0)
            with m.Elif(left == 1):
                m.d.sync += [self.byte_valid.eq(line), self.broken.eq(~line)]
            with m.Else():
                m.d.comb += self.bit_valid.eq(1)
                m.d.sync += self.byte.eq(Cat(self.byte[1:], line))
        return m


class Transmitter(wiring.Component):
    """Puts bytes on a line.

    Parameters
    ----------
    clocks_per_bit : int
        At least 4.

    Members
    -------
    i : In(stream(8))
        Ready when the line is free, the stop bit of the byte before included.
    tx : Out(1)
        The line; high when nothing is sent.
    bit, bit_valid : Out(1)
        Each data bit, in the cycle before it is on the line.
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
            # Ones follow the data: the stop bit, and the line's rest.
            m.d.comb += self.bit_valid.eq(left > 2)
            m.d.sync += [
                self.tx.eq(rest[0]),
                rest.eq(Cat(rest[1:], 1)),
                timer.eq(self._clocks - 1),
                left.eq(left - 1),
            ]
        return m
