"""Wide integers to INT8: multiply, shift, round half up, clip."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..spec.formats import INT8_BITS, INT8_MAX, INT8_MIN
from .common.pipeline import delay

__all__ = ["Requantize"]


class Requantize(wiring.Component):
    """clip(round_half_up(value · multiplier / 2^(shift_base + shift)), −128, 127) of ``count`` values per cycle.

    Each value takes one multiplier block while it has at most 18 bits and the multiplier at most 17.

    Parameters
    ----------
    count : int
        Values per cycle.
    value_bits, multiplier_bits, shift_bits : int
        Widths of the operands.
    shift_base : int
        Fixed part of the shift, at least 1.

    Attributes
    ----------
    latency : int
        Enabled cycles from values to results.

    Members
    -------
    enable : In(1)
        Advances every register.
    values : In(ArrayLayout(signed(value_bits), count))
    multiplier, shift : In
        Unsigned; taken along with the values.
    results : Out(ArrayLayout(signed(8), count))
    saturated : Out(count)
        One bit per result that was clipped.
    """

    latency = 4

    def __init__(self, *, count: int, value_bits: int, multiplier_bits: int, shift_bits: int, shift_base: int):
        assert shift_base >= 1
        self._count = count
        self._shift_base = shift_base
        super().__init__(
            {
                "enable": In(1),
                "values": In(data.ArrayLayout(signed(value_bits), count)),
                "multiplier": In(multiplier_bits),
                "shift": In(shift_bits),
                "results": Out(data.ArrayLayout(signed(INT8_BITS), count)),
                "saturated": Out(count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shift = delay(m, self.shift, 1, enable=self.enable, name="shift")[1]
        for i in range(self._count):
            self._lane(m, self.values[i], shift, i)
        return m

    def _lane(self, m: Module, value, shift: Signal, i: int) -> None:
        product = Signal(signed(len(value) + len(self.multiplier)), name=f"product_{i}")
        # Shifted to one bit below the result: rounding half up is then to add one and drop that bit.
        halves = Signal(signed(len(product) - self._shift_base + 1), name=f"halves_{i}")
        rounded = Signal.like(halves, name=f"rounded_{i}")
        above = rounded[INT8_BITS - 1 :]
        fits = ~above.any() | above.all()
        with m.If(self.enable):
            m.d.sync += [
                product.eq(value * self.multiplier),
                halves.eq(product[self._shift_base - 1 :].as_signed() >> shift),
                rounded.eq((halves + 1) >> 1),
                self.results[i].eq(Mux(fits, rounded, Mux(rounded[-1], INT8_MIN, INT8_MAX))),
                self.saturated[i].eq(~fits),
            ]
