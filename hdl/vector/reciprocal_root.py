"""Reciprocal root of the variance, for one lane after the other."""

from amaranth import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import unsigned_bits
from ...spec.tables import root_table
from ...spec.vector import EPSILON_BITS, ROOT_FRACTION
from ...spec.vector_config import VectorConfig
from ..lib.arithmetic import look_up
from ..lib.pipeline import index_bits

__all__ = ["ReciprocalRoots", "root_layout"]

ROUND = 12
"""Cycles per lane."""

FACTOR_BITS = 18
PART_BITS = FACTOR_BITS - 1
"""A wide number is multiplied in unsigned parts that fit a multiplier block's signed operands."""

FAR, NEAR = 8, 2
"""Places of the shifts that move the leading one of V to the top: first by FAR while so many places are empty."""
FAR_STEPS, NEAR_STEPS = 6, 3
"""These move it by up to 54 places, all of the largest V."""

LOOK_UP = FAR_STEPS + NEAR_STEPS
"""Step of a round in which the table is read. The product of the chord follows."""


def root_layout(config: VectorConfig) -> data.StructLayout:
    """1/√V ≈ mantissa · 2^−(16 + exponent)."""
    return data.StructLayout({"mantissa": ROOT_FRACTION + 1, "exponent": config.exponent_bits})


class ReciprocalRoots(wiring.Component):
    """V = C·S2 − S1² + epsilon of each lane, and its reciprocal root.

    All products use one multiplier block. Each lane takes two rounds of :data:`ROUND` steps: in the first, six partial
    products are summed to V. In the second, V is shifted until its leading one is in the top two bits, and the chord is
    evaluated. The second round of a lane is the first of the next lane.

    Attributes
    ----------
    latency : int
        Cycles from ``start`` to ``done``.

    Members
    -------
    start : In(1)
        Asserted for one cycle. The other inputs must be stable from then until ``done``.
    channels, epsilon : In
    totals, squares : In(ArrayLayout × lanes)
        S1 and S2.
    roots : Out(ArrayLayout(root_layout) × lanes)
        Stable from the cycle after ``done`` until the next ``start``. The root of V = 0 is undefined, because it
        multiplies only zeros.
    done : Out(1)
        Asserted for one cycle.
    """

    def __init__(self, config: VectorConfig):
        self._config = config
        self._bits = config.variance_bits + config.variance_bits % 2
        assert self._bits - NEAR <= FAR * FAR_STEPS + NEAR * NEAR_STEPS
        self.latency = ROUND * (config.lanes + 1) + 2
        super().__init__(
            {
                "start": In(1),
                "channels": In(unsigned_bits(config.max_channels)),
                "epsilon": In(EPSILON_BITS),
                "totals": In(data.ArrayLayout(signed(config.total_bits), config.lanes)),
                "squares": In(data.ArrayLayout(config.square_sum_bits, config.lanes)),
                "roots": Out(data.ArrayLayout(root_layout(config), config.lanes)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        config = self._config
        m = Module()
        step = Signal(range(ROUND))
        lane = Signal(range(config.lanes))
        active = Signal()
        rounds_left = Signal(range(config.lanes + 3))
        begins = Signal()
        ends = Signal()
        m.d.comb += [
            ends.eq(step == ROUND - 1),
            begins.eq(active & (step == 0)),
            self.done.eq(begins & (rounds_left == 0)),
        ]
        # The first round is cut to its last step, which chooses the first lane.
        with m.If(self.start):
            m.d.sync += [active.eq(1), step.eq(ROUND - 1), lane.eq(0), rounds_left.eq(config.lanes + 2)]
        with m.Elif(active):
            m.d.sync += step.eq(Mux(ends, 0, step + 1))
            with m.If(ends):
                m.d.sync += [lane.eq(lane + 1), rounds_left.eq(rounds_left - 1)]
            with m.If(self.done):
                m.d.sync += active.eq(0)
        chord = Signal(FACTOR_BITS)
        within = Signal(FACTOR_BITS)
        product = self._multiply(m, step, lane, ends, chord, within)
        variance = self._sum(m, step, product)
        mantissa, exponent = self._root(m, step, variance, product, chord, within)
        # A chain: each new root moves the others on, so that the first one ends in the first place.
        with m.If(begins):
            m.d.sync += [self.roots[i].eq(self.roots[i + 1]) for i in range(config.lanes - 1)]
            m.d.sync += [self.roots[-1].mantissa.eq(mantissa), self.roots[-1].exponent.eq(exponent)]
        return m

    def _multiply(self, m: Module, step: Signal, lane: Signal, ends: Signal, chord: Signal, within: Signal) -> Signal:
        """The multiplier. Its product of the operands of a step is there two steps later."""
        total = Signal(signed(self._config.total_bits))
        squares = Signal(self._config.square_sum_bits)
        with m.If(ends):
            for held, sums in ((total, self.totals), (squares, self.squares)):
                m.d.sync += held.eq(Array(sums[i] for i in range(self._config.lanes))[lane])
        a, b = (Signal(signed(FACTOR_BITS), name=name, reset_less=True) for name in "ab")
        low, high = total[:PART_BITS], total[PART_BITS:].as_signed()
        pairs = [(squares[i * PART_BITS : (i + 1) * PART_BITS], self.channels) for i in range(3)]
        pairs += [(low, low), (high, low), (high, high)]
        with m.Switch(step):
            for i, pair in enumerate(pairs):
                with m.Case(i):
                    m.d.sync += [a.eq(pair[0]), b.eq(pair[1])]
            with m.Default():
                m.d.sync += [a.eq(chord), b.eq(within)]
        product = Signal(signed(2 * FACTOR_BITS), reset_less=True)
        m.d.sync += product.eq(a * b)
        return product

    def _sum(self, m: Module, step: Signal, product: Signal) -> Signal:
        """V from the six partial products. It is complete at the end of the round."""
        places = (0, PART_BITS, 2 * PART_BITS, 0, PART_BITS + 1, 2 * PART_BITS)
        aligned = Signal(self._bits)
        subtract = Signal()
        variance = Signal(self._bits)
        with m.Switch(step):
            for i, place in enumerate(places):
                with m.Case(i + 2):
                    moved = Signal(self._bits, name=f"moved_{i}")
                    m.d.comb += moved.eq(product << place)
                    m.d.sync += [aligned.eq(moved if i < 3 else ~moved), subtract.eq(i >= 3)]
        with m.If(step == 0):
            m.d.sync += variance.eq(self.epsilon)
        with m.Elif((step >= 3) & (step < 3 + len(places))):
            # The lowest place adds the one that completes the negation.
            m.d.sync += variance.eq((Cat(Const(1, 1), variance) + Cat(subtract, aligned)) >> 1)
        return variance

    def _root(self, m: Module, step: Signal, variance: Signal, product: Signal, chord: Signal, within: Signal):
        """Normalise V and evaluate the chord. Returns mantissa and exponent at the first step of the next round."""
        number = Signal(self._bits)
        exponent = Signal(self._config.exponent_bits)
        with m.If(step == ROUND - 1):
            m.d.sync += [number.eq(variance), exponent.eq(self._bits // 2 - 1)]
        with m.Elif((step < FAR_STEPS) & ~number[-FAR:].any()):
            m.d.sync += [number.eq(number << FAR), exponent.eq(exponent - FAR // 2)]
        with m.Elif((step >= FAR_STEPS) & (step < LOOK_UP) & ~number[-NEAR:].any()):
            m.d.sync += [number.eq(number << NEAR), exponent.eq(exponent - NEAR // 2)]
        # An even exponent of two has its leading one in the second place, an odd one in the first.
        odd = number[-1]
        fraction = Mux(odd, number[-1 - ROOT_FRACTION : -1], number[-2 - ROOT_FRACTION : -2])
        table = root_table()
        within_bits = ROOT_FRACTION + 1 - index_bits(len(table))
        segment = Cat(fraction[within_bits:], odd)
        offset = Signal(unsigned_bits(max(value for value, _ in table)))
        exponent_found = Signal.like(exponent)
        with m.If(step == LOOK_UP):
            m.d.sync += [
                offset.eq(look_up([value for value, _ in table], segment)),
                chord.eq(look_up([value for _, value in table], segment)),
                within.eq(fraction[:within_bits]),
                exponent_found.eq(exponent),
            ]
        return offset - product[within_bits:], exponent_found
