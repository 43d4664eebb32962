"""One lane of the residual sum with LayerNorm: the arithmetic of one token."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import INT8_BITS, INT8_MAX, INT8_MIN, unsigned_bits
from ...spec.vector import (
    GAIN_BITS,
    NORM_BIAS_BITS,
    NORM_BITS,
    NORM_FRACTION,
    NORM_SHIFT_BITS,
    OPERAND_FRACTION,
    ROOT_FRACTION,
    SUM_BITS,
)
from ...spec.vector_config import VectorConfig
from ..lib.requantise import NEAR_BITS, round_wide
from .reciprocal_root import root_layout
from .vector_streams import parameters_layout

__all__ = ["ACCUMULATE", "BIAS", "GAIN", "LATENCY", "SELECT", "SHIFTS", "LayerNormLane"]

SHIFTS = 2
"""Cycles from an operand to its shifts."""
SELECT = 3
"""Cycles from an operand to ``second``."""
ACCUMULATE = 5
"""Cycles from an operand to ``first`` or ``clear``. The sums are complete one cycle later."""
GAIN = 9
"""Cycles from an operand to its gain."""
BIAS = GAIN + 2
"""Cycles from an operand to its bias."""
LATENCY = 15
"""Cycles from an operand to its result."""


class LayerNormLane(wiring.Component):
    """Sums and results of one token.

    The pipeline never stalls. In a first pass over the channels, it sums v and v². In a second pass, it computes the
    results. One multiplier computes v² in the first pass and C·v in the second.

        x, y ── shift ── v ── × ── sums S1, S2
                              └─── C·v − S1 ── shift ── × root ── × gain + bias ── shift ── result

    Members
    -------
    x, y : In(signed(8))
    x_shift, y_shift : In
        :data:`SHIFTS` cycles later than their operands.
    gain, bias : In
        :data:`GAIN` and :data:`BIAS` cycles later than the channel's operands.
    second : In(1)
        Whether the operands :data:`SELECT` cycles before belong to the second pass.
    first, clear : In(1)
        Add the operands :data:`ACCUMULATE` cycles before to the sums, or clear these.
    channels, shift : In
        Of the command.
    root : In(root_layout)
        Stable during the second pass.
    present : In(1)
        Whether there is a token. If not, results are zero.
    total, squares : Out
        S1 and S2.
    result : Out(signed(8))
        :data:`LATENCY` cycles later than the operands.
    saturated : Out(1)
        Asserted if the result was clipped.
    """

    def __init__(self, config: VectorConfig):
        self._config = config
        parameters = parameters_layout(config)
        super().__init__(
            {
                "x": In(signed(INT8_BITS)),
                "y": In(signed(INT8_BITS)),
                "x_shift": In(parameters["x_shift"].shape),
                "y_shift": In(parameters["y_shift"].shape),
                "gain": In(signed(GAIN_BITS)),
                "bias": In(signed(NORM_BIAS_BITS)),
                "second": In(1),
                "first": In(1),
                "clear": In(1),
                "channels": In(unsigned_bits(config.max_channels)),
                "shift": In(NORM_SHIFT_BITS),
                "root": In(root_layout(config)),
                "present": In(1),
                "total": Out(signed(config.total_bits)),
                "squares": Out(config.square_sum_bits),
                "result": Out(signed(INT8_BITS)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        centred = self._sums(m)
        normalised = self._normalise(m, centred)
        self._scale(m, normalised)
        return m

    def _sums(self, m: Module) -> Signal:
        """Sum v and v², stages 1 to 6. Returns C·v − S1."""
        v = Signal(signed(SUM_BITS), reset_less=True)
        factor = Signal(signed(SUM_BITS), reset_less=True)
        v_held = Signal(signed(SUM_BITS), reset_less=True)
        product = Signal(signed(2 * SUM_BITS), reset_less=True)
        centred = Signal(signed(self._config.total_bits), reset_less=True)
        shifted = []
        for name, operand, shift in (("x", self.x, self.x_shift), ("y", self.y, self.y_shift)):
            held = [Signal(signed(INT8_BITS), name=f"{name}_{i + 1}", reset_less=True) for i in range(SHIFTS)]
            shifted.append(Signal(signed(SUM_BITS - 1), name=f"{name}_shifted", reset_less=True))
            m.d.sync += [after.eq(before) for before, after in zip([operand, *held], held, strict=False)]
            m.d.sync += shifted[-1].eq(held[-1] << shift)
        m.d.sync += [
            v.eq(shifted[0] + shifted[1]),
            factor.eq(Mux(self.second, self.channels, shifted[0] + shifted[1])),
            product.eq(v * factor),
            v_held.eq(v),
            centred.eq(product - self.total),
        ]
        with m.If(self.clear):
            m.d.sync += [self.total.eq(0), self.squares.eq(0)]
        with m.Elif(self.first):
            m.d.sync += [self.total.eq(self.total + v_held), self.squares.eq(self.squares + product)]
        return centred

    def _normalise(self, m: Module, centred: Signal) -> Signal:
        """Multiply by the root, stages 7 to 10. Returns n."""
        bits = self._config.operand_bits
        near, far = self.root.exponent[:NEAR_BITS], self.root.exponent[NEAR_BITS:]
        far_shifted = Signal(signed(bits + (1 << NEAR_BITS) - 1), reset_less=True)
        operand = Signal(signed(bits), reset_less=True)
        mantissa = Signal(signed(ROOT_FRACTION + 2), reset_less=True)  # a copy that a multiplier block can absorb
        product = Signal(signed(len(operand) + len(mantissa)), reset_less=True)
        normalised = Signal(signed(NORM_BITS), reset_less=True)
        halves = product[OPERAND_FRACTION + ROOT_FRACTION - NORM_FRACTION - 1 :].as_signed()
        rounded = (halves + 1) >> 1
        above = rounded[NORM_BITS - 1 :]
        peak = 1 << (NORM_BITS - 1)
        m.d.sync += [
            far_shifted.eq(Cat(Const(0, OPERAND_FRACTION), centred).as_signed() >> (far << NEAR_BITS)),
            operand.eq(far_shifted >> near),
            mantissa.eq(self.root.mantissa),
            product.eq(operand * mantissa),
            normalised.eq(Mux(~above.any() | above.all(), rounded, Mux(rounded[-1], -peak, peak - 1))),
        ]
        return normalised

    def _scale(self, m: Module, normalised: Signal) -> None:
        """Apply gain, bias and shift, stages 11 to 15."""
        gain = Signal(signed(GAIN_BITS), reset_less=True)
        product = Signal(signed(NORM_BITS + GAIN_BITS), reset_less=True)
        scaled = Signal(signed(NORM_BIAS_BITS + 1), reset_less=True)
        # To one bit below the result: rounding adds one and drops that bit.
        stages, rounded, negative, fits = round_wide(scaled[NORM_FRACTION - 1 :].as_signed(), self.shift, self.shift)
        m.d.sync += [gain.eq(self.gain), product.eq(normalised * gain), scaled.eq(product + self.bias), *stages]
        with m.If(self.present):
            m.d.sync += [
                self.result.eq(Mux(fits, rounded, Mux(negative, INT8_MIN, INT8_MAX))),
                self.saturated.eq(~fits),
            ]
        with m.Else():
            m.d.sync += [self.result.eq(0), self.saturated.eq(0)]
