"""Pipeline that computes 1/D by a piecewise-linear approximation."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ....spec.formats import RECIPROCAL_FRACTION, unsigned_bits
from ....spec.tables import reciprocal_table
from ...lib.arithmetic import look_up
from ...lib.pipeline import delay, index_bits

__all__ = ["Reciprocal", "reciprocal_layout"]

STEPS_PER_STAGE = 2
"""Steps of the normalising shift between registers. Each step tests and shifts by half of the step before."""


def reciprocal_layout(config: AttentionConfig) -> data.StructLayout:
    """1/D ≈ mantissa · 2^−(16 + exponent)."""
    return data.StructLayout({"mantissa": RECIPROCAL_FRACTION + 1, "exponent": config.exponent_bits})


class Reciprocal(wiring.Component):
    """Mantissa and exponent of 1/D, one D per cycle.

    Attributes
    ----------
    latency : int
        Cycles from denominator to result while the output is ready.

    Members
    -------
    i : In(stream({denominator}))
        The denominator must be at least 1.
    o : Out(stream(reciprocal_layout))
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self._steps = [1 << k for k in reversed(range(index_bits(config.denominator_bits)))]
        self.latency = -(-len(self._steps) // STEPS_PER_STAGE) + 4
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"denominator": config.denominator_bits}))),
                "o": Out(stream.Signature(reciprocal_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        enable = Signal()
        valid = Signal(self.latency)
        m.d.comb += [
            enable.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(enable),
            self.o.valid.eq(valid[-1]),
        ]
        with m.If(enable):
            m.d.sync += valid.eq(Cat(self.i.valid, valid))
            self._line(m, *self._normalise(m))
        return m

    def _normalise(self, m: Module) -> tuple[Value, Value]:
        """Shift the leading one of D to the top. Returns the fraction x below it, and the exponent."""
        bits = self._config.denominator_bits
        number, exponent = self.i.payload.denominator, Const(bits - 1, self._config.exponent_bits)
        for index, step in enumerate(self._steps):
            empty = ~number[bits - step :].any()
            number = Mux(empty, number << step, number)[:bits]
            exponent = Mux(empty, exponent - step, exponent)
            if index % STEPS_PER_STAGE == STEPS_PER_STAGE - 1 or step == 1:
                held_number = Signal(bits, name=f"number_{step}")
                held_exponent = Signal(self._config.exponent_bits, name=f"exponent_{step}")
                m.d.sync += [held_number.eq(number), held_exponent.eq(exponent)]
                number, exponent = held_number, held_exponent
        spare = bits - 1 - RECIPROCAL_FRACTION
        x = number[spare:-1] if spare >= 0 else Cat(Const(0, -spare), number[:-1])
        return x, exponent

    def _line(self, m: Module, x: Value, exponent: Value) -> None:
        """Look up the segment, multiply, subtract. One more register stands behind the multiplier, which may be far
        away."""
        table = reciprocal_table(self._config.reciprocal_segments)
        within_bits = RECIPROCAL_FRACTION - index_bits(len(table))
        segment = x[within_bits:]
        offsets, drops = zip(*table, strict=True)
        drop_bits = unsigned_bits(max(drops))
        offset = Signal(unsigned_bits(max(offsets)))
        drop = Signal(drop_bits, reset_less=True)
        within = Signal(within_bits, reset_less=True)
        product = Signal(drop_bits + within_bits, reset_less=True)
        product_1 = Signal.like(product, name="product_1")
        exponents = delay(m, exponent, 3, enable=1, name="exponent_of")
        offset_2 = delay(m, offset, 2, enable=1, name="offset")[-1]
        m.d.sync += [
            offset.eq(look_up(offsets, segment)),
            drop.eq(look_up(drops, segment)),
            within.eq(x),
            product.eq(drop * within),
            product_1.eq(product),
            self.o.payload.mantissa.eq(offset_2 - product_1[within_bits:]),
            self.o.payload.exponent.eq(exponents[-1]),
        ]
