"""Unsigned division, a few quotient bits per cycle."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import ceil_div

__all__ = ["Divider"]


class Divider(wiring.Component):
    """floor(numerator / denominator) by serial restoring division.

    The quotient is offered ``latency`` cycles after its operands are accepted. The next operands are accepted in the
    cycle in which the quotient leaves. So the throughput is one division per ``latency`` cycles.

    Parameters
    ----------
    width_d : int
        Bits of the denominator.
    width_q : int
        Bits of the quotient. The numerator must be below denominator · 2^width_q.
    steps : int
        Quotient bits per cycle, by chained subtractions.

    Attributes
    ----------
    latency : int
        ceil(width_q / steps) + 1 cycles.

    Members
    -------
    i : In(stream({numerator, denominator}))
        Unsigned, ``width_d + width_q`` and ``width_d`` bits.
    o : Out(stream({quotient}))
    """

    def __init__(self, *, width_d: int, width_q: int, steps: int = 1):
        self._width_d, self._width_q, self._steps = width_d, width_q, steps
        self._rounds = ceil_div(width_q, steps)
        self.latency = self._rounds + 1
        operands = data.StructLayout({"numerator": width_d + width_q, "denominator": width_d})
        super().__init__(
            {
                "i": In(stream.Signature(operands)),
                "o": Out(stream.Signature(data.StructLayout({"quotient": width_q}))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        denominator = Signal(self._width_d)
        # Numerator bits leave at the top while quotient bits enter at the bottom. The top of the numerator is below the
        # denominator, so it is the first remainder.
        digits = Signal(self._rounds * self._steps)
        remainder = Signal(self._width_d)
        rounds_left = Signal(range(self._rounds + 1))
        rest, bits = remainder, []
        for step in range(self._steps):
            brought_down = Cat(digits[-1 - step], rest)
            difference = Signal(self._width_d + 2, name=f"difference_{step}")
            m.d.comb += difference.eq(brought_down - denominator)
            fits = ~difference[-1]
            rest = Mux(fits, difference[: self._width_d], brought_down[: self._width_d])
            bits.append(fits)
        numerator = self.i.payload.numerator
        m.d.comb += [
            self.i.ready.eq((rounds_left == 0) & (~self.o.valid | self.o.ready)),
            self.o.payload.quotient.eq(digits),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(rounds_left != 0):
            m.d.sync += [
                rounds_left.eq(rounds_left - 1),
                remainder.eq(rest),
                digits.eq(Cat(*reversed(bits), digits)),
                self.o.valid.eq(rounds_left == 1),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                digits.eq(numerator),
                remainder.eq(numerator >> len(digits)),
                denominator.eq(self.i.payload.denominator),
                rounds_left.eq(self._rounds),
            ]
        return m
