"""Products, sums, extremes and tables in forms that FPGAs map well."""

from collections.abc import Sequence

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import unsigned_bits

__all__ = ["AdderTree", "chosen_product", "extreme", "look_up", "masked_product", "maximum", "minimum", "popcount"]


def masked_product(a: Value, b: Value) -> Value:
    """a · b without a multiplier block: one row of ``a`` per bit of ``b``, minus the sign row of a signed ``b``.

    On an ECP5, this takes half the LUTs of ``a * b`` for 4×4 bits. Synthesis never maps it to a multiplier block; the
    INT8 array needs those.
    """
    rows = [(Mux(b[j], a, 0) << j) for j in range(len(b))]
    if b.shape().signed:
        *positive, sign = rows
        return sum(positive[1:], positive[0]) - sign if positive else -sign
    return sum(rows[1:], rows[0])


def chosen_product(m: Module, a: Value, b: Value, *, name: str) -> Value:
    """a · b for a signed ``b``, without a multiplier block, for iCE40.

    Each row of ``a`` is always added, and the bit of ``b`` selects the sum or the value before. iCE40 can merge this
    choice into the adder's LUTs.
    """
    total: Value = Mux(b[0], a if len(b) > 1 else -a, 0)
    low = []
    for j in range(1, len(b)):
        low.append(total[0])
        rest = total[1:].as_signed() if total.shape().signed else total[1:]
        added = rest + a if j < len(b) - 1 else rest - a
        total = Signal(added.shape(), name=f"{name}_{j}")
        m.d.comb += total.eq(Mux(b[j], added, rest))
    product = Cat(*low, total)
    return product.as_signed()


def maximum(a: Value, b: Value) -> Value:
    """The larger of two values."""
    return Mux(a > b, a, b)


def minimum(a: Value, b: Value) -> Value:
    """The smaller of two values."""
    return Mux(a < b, a, b)


def extreme(m: Module, values: list, better, *, name: str, registered: bool = False) -> Value:
    """The largest or smallest of ``values`` by a balanced tree; ``better`` is :func:`maximum` or :func:`minimum`.

    Every comparison has its own signal. In one nested expression, the operands would be written out twice per level.
    With ``registered``, every level takes one cycle, ceil(log2(values)) in all.
    """
    domain = m.d.sync if registered else m.d.comb
    level = 0
    while len(values) > 1:
        pairs = [better(a, b) for a, b in zip(values[::2], values[1::2], strict=False)] + values[len(values) & ~1 :]
        values = []
        for i, value in enumerate(pairs):
            values.append(Signal(Value.cast(value).shape(), name=f"{name}_{level}_{i}"))
            domain += values[-1].eq(value)
        level += 1
    return values[0]


def look_up(values: Sequence[int], index: Value) -> Value:
    """The value at ``index`` in a table of unsigned constants, in logic.

    A memory would hold the constants as initial values, which only FPGAs have.
    """
    bits = unsigned_bits(max(values))
    return Array(Const(value, bits) for value in values)[index]


def popcount(bits: Value) -> Value:
    """Number of set bits."""
    return sum(bits[1:], bits[0]) if len(bits) > 1 else bits


class AdderTree(wiring.Component):
    """Pipelined sum of signed operands.

    Parameters
    ----------
    count : int
        Number of operands.
    width : int
        Bits of each operand.
    levels : int
        Levels of the tree between registers. More than one saves registers and costs LUTs: synthesis turns sums of many
        operands into compressors, which cannot use carry chains.

    Attributes
    ----------
    latency : int
        Enabled cycles from operands to total; 0 for a single operand.

    Members
    -------
    enable : In(1)
        Advances every register. They have no reset.
    operands : In(ArrayLayout(signed(width), count))
    total : Out(signed)
        Wide enough for any sum.
    """

    def __init__(self, *, count: int, width: int, levels: int = 1):
        self._count = count
        self._levels = levels
        depth = (count - 1).bit_length()
        self.latency = -(-depth // levels)
        super().__init__(
            {
                "enable": In(1),
                "operands": In(data.ArrayLayout(signed(width), count)),
                "total": Out(signed(width + depth)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        row = [self.operands[i] for i in range(self._count)]
        level = 0
        while len(row) > 1:
            row = [a + b for a, b in zip(row[::2], row[1::2], strict=False)] + row[len(row) & ~1 :]
            level += 1
            if level % self._levels == 0 or len(row) == 1:
                registers = [
                    Signal.like(value, name=f"sum_{level}_{i}", reset_less=True) for i, value in enumerate(row)
                ]
                with m.If(self.enable):
                    m.d.sync += [register.eq(value) for register, value in zip(registers, row, strict=True)]
                row = registers
        m.d.comb += self.total.eq(row[0])
        return m
