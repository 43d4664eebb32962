"""Weights to rounded probabilities, for early normalisation."""

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ....spec.formats import RECIPROCAL_FRACTION
from ...lib.pipeline import delay, index_bits

__all__ = ["Probability"]


class Probability(wiring.Component):
    """min(round_half_up(weight · mantissa / 2^(16 + exponent − weight_bits)), weight_max), ``count`` per cycle.

    Each value needs one multiplier block.

    Attributes
    ----------
    latency : int
        Enabled cycles from weights to probabilities.

    Members
    -------
    enable : In(1)
        Advances every register.
    weight : In(ArrayLayout(unsigned(weight_bits), count))
    mantissa, exponent : In
        Reciprocal of the weights' denominator, which is at least weight_max.
    probability : Out(ArrayLayout(unsigned(weight_bits), count))
    """

    latency = 3

    def __init__(self, config: AttentionConfig, count: int):
        self._config = config
        self._count = count
        weights = data.ArrayLayout(unsigned(config.weight_bits), count)
        super().__init__(
            {
                "enable": In(1),
                "weight": In(weights),
                "mantissa": In(RECIPROCAL_FRACTION + 1),
                "exponent": In(config.exponent_bits),
                "probability": Out(weights),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self._config.weight_bits
        least = bits - 1  # exponent of weight_max
        # One bit more than the result is kept. To round half up is then to add one and drop that bit.
        fixed = RECIPROCAL_FRACTION + least - bits - 1
        exponent = delay(m, self.exponent, 1, enable=self.enable, name="exponent")[1]
        places = Signal(index_bits(self._config.denominator_bits - least))
        m.d.comb += places.eq(exponent - least)
        for i in range(self._count):
            product = Signal(bits + len(self.mantissa), name=f"product_{i}")
            halves = Signal(bits + 2, name=f"halves_{i}")
            rounded = Signal(bits + 1, name=f"rounded_{i}")
            m.d.comb += rounded.eq((halves + 1) >> 1)
            with m.If(self.enable):
                m.d.sync += [
                    product.eq(self.weight[i] * self.mantissa),
                    halves.eq(product[fixed:] >> places),
                    self.probability[i].eq(Mux(rounded[bits], self._config.weight_max, rounded)),
                ]
        return m
