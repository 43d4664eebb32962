"""2^−t by a second-order polynomial, one pipeline per score."""

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ....spec.formats import (
    DIFFERENCE_BITS,
    EXP_CURVATURE,
    EXP_FRACTION,
    EXP_UNIT,
    SCALE_FRACTION,
    SCORE_MULTIPLIER_BITS,
    SCORE_SHIFT_BITS,
)
from ...lib.pipeline import delay

__all__ = ["Exponential"]

WHOLE_BITS = DIFFERENCE_BITS + SCORE_MULTIPLIER_BITS - SCALE_FRACTION - EXP_FRACTION
"""Bits of the integer part of t."""
PLACES_BITS = EXP_UNIT.bit_length()
"""Bits of the last shift. A larger whole part becomes 2^PLACES_BITS − 1 places, which shift everything out."""


class Exponential(wiring.Component):
    """Weights of ``count`` scores per cycle, from their distances to the row maximum.

    Each score needs two multiplier blocks. Scale and shift travel with the differences, so successive inputs may
    belong to different heads.

    Parameters
    ----------
    config : AttentionConfig
    count : int
    compact : bool
        Use no registers for scale and shift, and none for distant multipliers. Scale and shift must then not change
        while differences are in flight.

    Attributes
    ----------
    latency : int
        Enabled cycles from differences to weights.

    Members
    -------
    enable : In(1)
        Advances every register.
    difference : In(ArrayLayout(unsigned(score_bits), count))
        Row maximum minus score.
    score_multiplier, score_shift : In
        As in :class:`~thresher.spec.attention_command.HeadCommand`.
    weight : Out(ArrayLayout(unsigned(weight_bits), count))
    """

    latency = 12

    def __init__(self, config: AttentionConfig, count: int, *, compact: bool = False):
        self._config = config
        self._count = count
        self._compact = compact
        self._far = 0 if compact else 1
        if compact:
            self.latency = 9
        super().__init__(
            {
                "enable": In(1),
                "difference": In(data.ArrayLayout(unsigned(config.score_bits), count)),
                "score_multiplier": In(SCORE_MULTIPLIER_BITS),
                "score_shift": In(SCORE_SHIFT_BITS),
                "weight": Out(data.ArrayLayout(unsigned(config.weight_bits), count)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        stages = 0 if self._compact else 3
        multiplier = delay(m, self.score_multiplier, stages, enable=self.enable, name="multiplier", reset_less=True)[-1]
        for i in range(self._count):
            t = self._exponent(m, self.difference[i], multiplier, i)
            mantissa, places = self._mantissa(m, t, i)
            m.d.comb += self.weight[i].eq(self._shifted(m, mantissa, places, i))
        return m

    def _register(self, m: Module, name: str, width: int, value) -> Signal:
        """A pipeline register without reset, so that multiplier blocks can absorb it."""
        register = Signal(width, name=name, reset_less=True)
        with m.If(self.enable):
            m.d.sync += register.eq(value)
        return register

    def _exponent(self, m: Module, difference, multiplier: Signal, i: int) -> Signal:
        """Three stages if compact, else four: from difference to t."""
        shifted = self._register(m, f"shifted_{i}", len(difference), difference >> self.score_shift)
        saturated = self._register(
            m,
            f"saturated_{i}",
            DIFFERENCE_BITS,
            Mux(shifted[DIFFERENCE_BITS:].any(), (1 << DIFFERENCE_BITS) - 1, shifted),
        )
        near = delay(m, saturated, self._far, enable=self.enable, name=f"near_{i}")[-1]
        return self._register(m, f"t_{i}", WHOLE_BITS + EXP_FRACTION, (near * multiplier)[SCALE_FRACTION:])

    def _mantissa(self, m: Module, t: Signal, i: int) -> tuple[Signal, Signal]:
        """Four stages if compact, else six: from t to its mantissa and places.

        The mantissa is 2^−frac(t), in (1/2, 1] with EXP_UNIT fraction bits. The places are the shift by the whole part
        of t. c·f·(1−f) is f times c·(1−f): the numerator of c takes shifts and subtractions, and one shift of the
        product covers its denominator and all scales.
        """
        numerator, denominator = EXP_CURVATURE
        f = delay(m, t[:EXP_FRACTION], 2 + self._far, enable=self.enable, name=f"f_{i}", reset_less=True)
        whole = delay(m, t[EXP_FRACTION:], 3 + 2 * self._far, enable=self.enable, name=f"whole_{i}")
        *low, high = [f[0] << k for k in range(numerator.bit_length()) if numerator >> k & 1]
        slope_bits = numerator.bit_length() + EXP_FRACTION
        small = self._register(m, f"small_{i}", slope_bits, sum(low))
        large = self._register(m, f"large_{i}", slope_bits, (numerator << EXP_FRACTION) - high)
        slope = self._register(m, f"slope_{i}", slope_bits, large - small)
        near = delay(m, slope, self._far, enable=self.enable, name=f"near_slope_{i}")[-1]
        product = self._register(m, f"product_{i}", EXP_FRACTION + slope_bits, f[-1] * near)
        line = self._register(m, f"line_{i}", EXP_UNIT + 1, (1 << EXP_UNIT) - (f[-1] << (EXP_UNIT - EXP_FRACTION - 1)))
        line, product = (
            delay(m, value, self._far, enable=self.enable, name=f"{name}_{i}")[-1]
            for value, name in ((line, "near_line"), (product, "near_product"))
        )
        drop = 2 * EXP_FRACTION + denominator.bit_length() - 1 - EXP_UNIT
        mantissa = self._register(m, f"mantissa_{i}", EXP_UNIT + 1, line - product[drop:])
        places = self._register(
            m,
            f"places_{i}",
            PLACES_BITS,
            Mux(whole[-1][PLACES_BITS:].any(), (1 << PLACES_BITS) - 1, whole[-1]),
        )
        return mantissa, places

    def _shifted(self, m: Module, mantissa: Signal, places: Signal, i: int) -> Signal:
        """Two stages: shift to one bit below the weight, then round on that bit and saturate."""
        bits = self._config.weight_bits
        spare = EXP_UNIT - bits - 1
        shifted = self._register(m, f"halves_{i}", bits + 2, mantissa[spare:] >> places)
        rounded = Signal(bits + 1, name=f"rounded_{i}")
        m.d.comb += rounded.eq((shifted + 1) >> 1)
        return self._register(m, f"weight_{i}", bits, Mux(rounded[bits], self._config.weight_max, rounded))
