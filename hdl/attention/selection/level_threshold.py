"""From the sum of a query's weights to its smallest kept level, for the rule ``probability``."""

from amaranth import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ....spec.formats import LEVEL_WEIGHT_BITS, RHO_FRACTION, ceil_div, unsigned_bits
from ...lib.arithmetic import masked_product

__all__ = [
    "LevelThreshold",
    "block_levels_layout",
    "level_thresholds_layout",
    "level_weight",
    "levels_layout",
    "weight_sums_layout",
]


def levels_layout(config: AttentionConfig) -> data.ArrayLayout:
    """A level for each query of a block row."""
    return data.ArrayLayout(signed(config.level_bits), config.block)


def level_thresholds_layout(config: AttentionConfig) -> data.ArrayLayout:
    """Smallest kept level of each query. It has one bit more than a level, so that a query may keep all blocks, or
    none."""
    return data.ArrayLayout(signed(config.level_bits + 1), config.block)


def weight_sums_layout(config: AttentionConfig) -> data.StructLayout:
    """A block row: the sum of the weights and the largest level of each query. ``cutoff`` is (1 + ρ)·2^8, and
    ``queries`` the number of queries inside the sequence."""
    total = unsigned_bits(config.max_length << LEVEL_WEIGHT_BITS)
    return data.StructLayout(
        {
            "totals": data.ArrayLayout(unsigned(total), config.block),
            "largest": levels_layout(config),
            "cutoff": RHO_FRACTION + 1,
            "queries": unsigned_bits(config.block),
        }
    )


def block_levels_layout(config: AttentionConfig) -> data.StructLayout:
    """What the sums need of a block, for each query: its level, and its pairs of neighbouring keys that are near."""
    return data.StructLayout(
        {
            "levels": levels_layout(config),
            "near": data.ArrayLayout(unsigned(unsigned_bits(config.block - 1)), config.block),
        }
    )


def level_weight(below: Value, near: Value) -> Value:
    """Weight of a block whose level is ``below`` the largest one, as often as the sum counts it."""
    place = below[: LEVEL_WEIGHT_BITS.bit_length()]
    weight = Mux(below <= LEVEL_WEIGHT_BITS, (1 << LEVEL_WEIGHT_BITS) >> place, 0)
    return weight + masked_product(weight, near)


class LevelThreshold(wiring.Component):
    """A block of weight w is kept if 2^9·w ≥ R·D, where R is the cutoff and D the sum of the weights.

    w is 2^10 >> (M − level), where M is the largest level. So for R > 0, the block is kept if and only if
    level ≥ M − 19 + n, where n is the number of bits of R·D − 1. R = 0 keeps every block.

    Parameters
    ----------
    config : AttentionConfig
    bits_per_cycle : int
        Bits of R that are multiplied at a time.

    Attributes
    ----------
    interval : int
        Cycles between block rows.

    Members
    -------
    i : In(stream(weight_sums_layout))
    o : Out(stream(level_thresholds_layout))
    """

    def __init__(self, config: AttentionConfig, *, bits_per_cycle: int):
        self._config = config
        self._step = bits_per_cycle
        self._rounds = ceil_div(RHO_FRACTION + 1, bits_per_cycle)
        self.interval = config.block * (self._rounds + 2) + 2
        super().__init__(
            {
                "i": In(stream.Signature(weight_sums_layout(config))),
                "o": Out(stream.Signature(level_thresholds_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        row = Signal.like(self.i.payload)
        query = Signal(range(config.block))
        multiplier = Signal(self._rounds * self._step)
        product = Signal(len(row.totals[0]) + RHO_FRACTION + 1)
        rounds_left = Signal(range(self._rounds + 1))
        bits = Signal(range(len(product) + 1))
        # A sum is at least 2^10, so R·D − 1 has at least 10 bits.
        for place in range(LEVEL_WEIGHT_BITS - 1, len(product)):
            with m.If(product[place]):
                m.d.comb += bits.eq(place + 1)
        reached = row.largest[0] - (LEVEL_WEIGHT_BITS + RHO_FRACTION + 1) + bits
        end = 1 << config.level_bits
        threshold = Signal(signed(config.level_bits + 1))
        m.d.comb += threshold.eq(Mux(query >= row.queries, end - 1, Mux(row.cutoff == 0, -end, reached)))

        def multiply():
            m.d.sync += [product.eq(0), rounds_left.eq(self._rounds)]
            m.next = "MULTIPLY"

        with m.FSM(name="level_threshold"):
            with m.State("ACCEPT"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [row.eq(self.i.payload), multiplier.eq(self.i.payload.cutoff), query.eq(0)]
                with m.If(self.i.valid):
                    multiply()
            with m.State("MULTIPLY"):
                partial = masked_product(row.totals[0], multiplier[-self._step :])
                m.d.sync += [
                    product.eq((product << self._step) + partial),
                    multiplier.eq(multiplier << self._step),
                    rounds_left.eq(rounds_left - 1),
                ]
                with m.If(rounds_left == 1):
                    m.next = "DECREMENT"
            with m.State("DECREMENT"):
                m.d.sync += product.eq(product - 1)
                m.next = "THRESHOLD"
            with m.State("THRESHOLD"):
                found = Cat(self.o.payload)
                m.d.sync += [
                    found.eq(Cat(found, threshold)[len(threshold) :]),
                    Cat(row.largest).eq(Cat(row.largest) >> config.level_bits),
                    Cat(row.totals).eq(Cat(row.totals) >> len(row.totals[0])),
                    multiplier.eq(row.cutoff),
                    query.eq(query + 1),
                ]
                with m.If(query == config.block - 1):
                    m.next = "OFFER"
                with m.Else():
                    multiply()
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "ACCEPT"
        return m
