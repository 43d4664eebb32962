"""Wide integers to INT8: multiply, shift, round half up, clip."""

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import INT8_BITS, INT8_MAX, INT8_MIN
from .pipeline import delay

__all__ = ["Requantize", "requantize_latency", "requantize_multipliers", "round_wide"]

FACTOR_BITS = 18
"""Bits of a multiplier block's signed operands."""

NEAR_BITS = 3
"""Shift bits applied in the second stage."""


def requantize_latency(value_bits: int) -> int:
    """Enabled cycles from value to result. A value wider than a multiplier block takes one more."""
    return 5 if value_bits > FACTOR_BITS else 4


def requantize_multipliers(value_bits: int) -> int:
    """Multiplier blocks per value."""
    return 2 if value_bits > FACTOR_BITS else 1


def round_wide(value: Value, far_shift: Value, near_shift: Value) -> tuple[list, Value, Value, Value]:
    """round_half_up(value / 2^(1 + shift)) to INT8, with the shift in two stages.

    The second stage computes only the lowest nine bits of the halves. It also tells whether all bits above equal the
    sign, that is, whether the halves are −512…511. So no path leads through all bits, and Yosys does not choose a fast,
    large shifter.

    Parameters
    ----------
    value : signed
    far_shift, near_shift : unsigned
        The shift, as the first and the second stage need it; it is the same number, one cycle later.

    Returns
    -------
    stages : list
        Assignments of the registers of both stages.
    rounded, negative, fits : Value
        The result if it fits, whether it is negative, and whether it fits. They follow the second stage.
    """
    near = near_shift[:NEAR_BITS]
    most_near = (1 << NEAR_BITS) - 1
    low = Signal(INT8_BITS + 1)
    far = Signal(signed(max(len(value), len(low) + most_near + 1)))
    unlike = far[len(low) :] ^ far[-1].replicate(len(far) - len(low))
    inside = Signal()
    negative = Signal()
    stages = [
        far.eq(value >> (far_shift[NEAR_BITS:] << NEAR_BITS)),
        low.eq(far[: len(low) + most_near] >> near),
        inside.eq(~((unlike[:most_near] >> near).any() | unlike[most_near:].any())),
        negative.eq(far[-1]),
    ]
    above = low[-1] | low[:-1].all()  # halves of 255 round to 128, and halves of −257 to −128
    return stages, ((low + 1) >> 1)[:INT8_BITS], negative, inside & (above == negative)


class Requantize(wiring.Component):
    """clip(round_half_up(value · multiplier / 2^(shift_base + shift)), −128, 127), one value per cycle.

    A value of up to 18 bits needs one multiplier block, if the multiplier has at most 17 bits. A wider value needs two
    blocks and one more cycle.

    Parameters
    ----------
    value_bits, multiplier_bits, shift_bits : int
        Widths of the operands.
    shift_base : int
        Fixed part of the shift, at least 1.

    Attributes
    ----------
    latency : int
        Enabled cycles from value to result.

    Members
    -------
    enable : In(1)
        Advances every register.
    value : In(signed(value_bits))
    multiplier, shift : In
        Unsigned; sampled with the value.
    result : Out(signed(8))
    saturated : Out(1)
        Asserted if the result was clipped. Both outputs are undefined before the first value has passed.
    """

    def __init__(self, *, value_bits: int, multiplier_bits: int, shift_bits: int, shift_base: int):
        assert shift_base >= 1
        self._shift_base = shift_base
        self._wide = value_bits > FACTOR_BITS
        self.latency = requantize_latency(value_bits)
        super().__init__(
            {
                "enable": In(1),
                "value": In(signed(value_bits)),
                "multiplier": In(multiplier_bits),
                "shift": In(shift_bits),
                "result": Out(signed(INT8_BITS)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shift = delay(m, self.shift, self.latency - 3 + self._wide, enable=self.enable, name="shift")
        # Shift to one bit below the result. To round half up is then to add one and drop that bit.
        product = self._product(m)[self._shift_base - 1 :].as_signed()
        stages, rounded, negative, fits = (round_wide if self._wide else self._round)(product, shift[-2], shift[-1])
        with m.If(self.enable):
            m.d.sync += [
                *stages,
                self.result.eq(Mux(fits, rounded, Mux(negative, INT8_MIN, INT8_MAX))),
                self.saturated.eq(~fits),
            ]
        return m

    def _round(self, product: Value, _: Value, shift: Value) -> tuple[list, Value, Value, Value]:
        """Shift, then round. Returns what :func:`round_wide` returns."""
        halves = Signal.like(product)
        rounded = Signal.like(product)
        above = rounded[INT8_BITS - 1 :]
        stages = [halves.eq(product >> shift), rounded.eq((halves + 1) >> 1)]
        return stages, rounded, rounded[-1], ~above.any() | above.all()

    def _product(self, m: Module) -> Signal:
        """value · multiplier. A wide value is split in two parts; the lower part is unsigned and one bit narrower."""
        # Without reset, so that the multiplier block can absorb the register.
        product = Signal(signed(len(self.value) + len(self.multiplier)), reset_less=True)
        if not self._wide:
            with m.If(self.enable):
                m.d.sync += product.eq(self.value * self.multiplier)
            return product
        low_bits = FACTOR_BITS - 1
        parts = [self.value[:low_bits], self.value[low_bits:].as_signed()]
        products = [
            Signal((part * self.multiplier).shape(), name=f"part_{i}", reset_less=True) for i, part in enumerate(parts)
        ]
        with m.If(self.enable):
            m.d.sync += [register.eq(part * self.multiplier) for register, part in zip(products, parts, strict=True)]
            m.d.sync += product.eq(products[0] + (products[1] << low_bits))
        return product
