"""Split of INT8 values into an integer part for the predictor and a fraction."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...spec.attention_config import AttentionConfig
from ...spec.attention_config import Split as SplitRule
from ...spec.formats import INT8_BITS

__all__ = ["Split"]


class Split(wiring.Component):
    """Splits ``count`` INT8 values: x = 2^F·integer + fraction. Combinational.

    Members
    -------
    x : In(ArrayLayout(signed(8), count))
    integer : Out(ArrayLayout(signed(8 − F), count))
    fraction : Out(ArrayLayout(signed(F + 1), count))
    """

    latency = 0

    def __init__(self, config: AttentionConfig, *, count: int):
        self._config = config
        self._count = count
        super().__init__(
            {
                "x": In(data.ArrayLayout(signed(INT8_BITS), count)),
                "integer": Out(data.ArrayLayout(signed(config.integer_bits), count)),
                "fraction": Out(data.ArrayLayout(signed(config.fraction_signed_bits), count)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        places = self._config.fraction_bits
        unit = 1 << places
        largest = (1 << (self._config.integer_bits - 1)) - 1
        for i in range(self._count):
            x = self.x[i]
            # One bit wider than the integer part: rounding up can exceed its range, and the clip below corrects this.
            quotient = Signal(signed(self._config.integer_bits + 1), name=f"quotient_{i}")
            match self._config.split:
                case SplitRule.ROUND:
                    m.d.comb += quotient.eq((x + unit // 2) >> places)
                case SplitRule.TRUNC:
                    m.d.comb += quotient.eq((x + Mux(x < 0, unit - 1, 0)) >> places)
                case SplitRule.FLOOR:
                    m.d.comb += quotient.eq(x >> places)
            m.d.comb += [
                self.integer[i].eq(Mux(quotient > largest, largest, quotient)),
                self.fraction[i].eq(x - (self.integer[i] << places)),
            ]
        return m
