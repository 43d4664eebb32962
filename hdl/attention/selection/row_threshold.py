"""The threshold of a block row, as an importance: one small multiplier and one divider, one row after another."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig
from ....spec.formats import RHO_FRACTION, ceil_div, unsigned_bits
from ...lib.arithmetic import masked_product
from ...lib.divider import Divider
from .block_statistics import row_statistics_layout

__all__ = ["RowThreshold", "row_threshold_layout"]

ONE = 1 << RHO_FRACTION

MULTIPLIER_BITS_PER_CYCLE = 3
QUOTIENT_BITS_PER_CYCLE = 2
"""Few enough that a row's steps stay short beside a clock period, and enough that they hide behind its blocks."""


def row_threshold_layout(config: AttentionConfig) -> data.StructLayout:
    """A block row and the least importance that keeps a block of it."""
    return data.StructLayout({"row": row_statistics_layout(config), "threshold": signed(config.importance_bits)})


class RowThreshold(wiring.Component):
    """Θ = ceil((|ρ|·extreme + ceil((2^8 − |ρ|)·S / n)) / 2^8), S the sum of a row's n importances (|ρ| with 2^8).

    A block's importance is an integer, so it reaches the exact threshold if and only if it reaches Θ; and rounding up
    twice is rounding up once, since |ρ|·extreme is an integer too.

    Attributes
    ----------
    interval : int
        Cycles from one row to the next: a row's products are formed while the row before is divided.

    Members
    -------
    i : In(stream(row_statistics_layout))
    o : Out(stream(row_threshold_layout))
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self._rounds = ceil_div(RHO_FRACTION + 1, MULTIPLIER_BITS_PER_CYCLE)
        # The divider is unsigned: n·2^offset is added before, and 2^offset subtracted after.
        self._offset = unsigned_bits(config.importance_peak << RHO_FRACTION)
        self._divider = Divider(
            width_d=unsigned_bits(config.blocks), width_q=self._offset + 1, steps=QUOTIENT_BITS_PER_CYCLE
        )
        # The divider's, or that of the two products beside it.
        self.interval = max(self._divider.latency, 2 * self._rounds + 3)
        super().__init__(
            {
                "i": In(stream.Signature(row_statistics_layout(config))),
                "o": Out(stream.Signature(row_threshold_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.divider = divider = self._divider
        config = self._config
        layout = row_statistics_layout(config)
        row, divided = Signal(layout), Signal(layout)
        blocks = Signal(unsigned_bits(config.blocks))
        pending = Signal()
        multiply, multiplied, product = self._multiplier(m)
        added = Signal.like(product)
        m.d.comb += [
            divider.i.payload.denominator.eq(blocks),
            # Rounded up: n − 1 more, which lies below n·2^offset.
            divider.i.payload.numerator.eq(product + ((blocks << self._offset) | (blocks - 1).as_unsigned())),
            # Whoever takes thresholds is not asked in the same cycle: they are far apart in time.
            divider.o.ready.eq(pending & ~self.o.valid),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(divider.o.ready & divider.o.valid):
            threshold = added + divider.o.payload.quotient
            m.d.sync += [
                self.o.payload.row.eq(divided),
                self.o.payload.threshold.eq(threshold >> RHO_FRACTION),
                self.o.valid.eq(1),
                pending.eq(0),
            ]
        with m.FSM(name="row"):
            with m.State("ACCEPT"):
                statistics = self.i.payload
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        row.eq(statistics),
                        blocks.eq((statistics.key_length + (config.block - 1)) >> exact_log2(config.block)),
                    ]
                    multiply(statistics.importance_sum, ONE - statistics.magnitude)
                    m.next = "DIVIDE"
            with m.State("DIVIDE"), m.If(multiplied):
                m.d.comb += divider.i.valid.eq(1)
                with m.If(divider.i.ready):
                    multiply(row.extreme, row.magnitude)
                    m.next = "ADD"
            with m.State("ADD"), m.If(multiplied):
                # The division takes longer; what is left of it is one sum.
                m.d.sync += [divided.eq(row), added.eq(product - (1 << self._offset) + (ONE - 1)), pending.eq(1)]
                m.next = "ACCEPT"
        return m

    def _multiplier(self, m: Module):
        """A few bits of the multiplier per cycle, highest first."""
        layout = row_statistics_layout(self._config)
        factor = Signal(layout["importance_sum"].shape)
        multiplier = Signal(self._rounds * MULTIPLIER_BITS_PER_CYCLE)
        product = Signal(signed(len(factor) + RHO_FRACTION + 1))
        rounds_left = Signal(range(self._rounds + 1))
        with m.If(rounds_left != 0):
            partial = masked_product(factor, multiplier[-MULTIPLIER_BITS_PER_CYCLE:])
            m.d.sync += [
                product.eq((product << MULTIPLIER_BITS_PER_CYCLE) + partial),
                multiplier.eq(multiplier << MULTIPLIER_BITS_PER_CYCLE),
                rounds_left.eq(rounds_left - 1),
            ]

        def multiply(a, b):
            m.d.sync += [factor.eq(a), multiplier.eq(b), product.eq(0), rounds_left.eq(self._rounds)]

        return multiply, rounds_left == 0, product
