"""Unsigned division, one quotient bit per cycle."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Divider"]


class Divider(wiring.Component):
    """floor(numerator / denominator) by serial restoring division.

    The quotient is offered ``latency`` cycles after its operands were taken. The next operands are taken in the
    cycle in which the quotient leaves: one division per ``latency`` cycles.

    Parameters
    ----------
    width_n, width_d : int
        Bits of numerator (and quotient) and denominator, each at least 1.

    Attributes
    ----------
    latency : int
        ``width_n + 1`` cycles.

    Members
    -------
    i : In(stream({numerator, denominator}))
    o : Out(stream({quotient}))
        All ones when the denominator is 0.
    """

    def __init__(self, width_n: int, width_d: int):
        self._width_n, self._width_d = width_n, width_d
        self.latency = width_n + 1
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"numerator": width_n, "denominator": width_d}))),
                "o": Out(stream.Signature(data.StructLayout({"quotient": width_n}))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        denominator = Signal(self._width_d)
        remainder = Signal(self._width_d)
        # Numerator bits leave at the top while quotient bits enter at the bottom.
        digits = Signal(self._width_n)
        steps_left = Signal(range(self._width_n + 1))
        brought_down = Cat(digits[-1], remainder)
        difference = Signal(self._width_d + 2)
        fits = ~difference[-1]
        m.d.comb += [
            difference.eq(brought_down - denominator),
            self.i.ready.eq((steps_left == 0) & (~self.o.valid | self.o.ready)),
            self.o.payload.quotient.eq(digits),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(steps_left != 0):
            m.d.sync += [
                steps_left.eq(steps_left - 1),
                remainder.eq(Mux(fits, difference, brought_down)),
                digits.eq(Cat(fits, digits)),
                self.o.valid.eq(steps_left == 1),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                digits.eq(self.i.payload.numerator),
                denominator.eq(self.i.payload.denominator),
                remainder.eq(0),
                steps_left.eq(self._width_n),
            ]
        return m
