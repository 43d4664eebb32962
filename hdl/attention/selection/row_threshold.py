"""Threshold of a block row, in units of importance, from one small multiplier and one divider."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig, BlockRule
from ....spec.formats import RHO_FRACTION, ceil_div, unsigned_bits
from ...lib.arithmetic import masked_product
from ...lib.divider import Divider
from .block_statistics import row_statistics_layout
from .level_threshold import level_thresholds_layout

__all__ = ["RowThreshold", "row_threshold_layout"]

ONE = 1 << RHO_FRACTION

MULTIPLIER_BITS_PER_CYCLE = 3
QUOTIENT_BITS_PER_CYCLE = 2
"""Few enough bits for a short critical path, and enough for the threshold to hide behind the blocks of a row."""


def row_threshold_layout(config: AttentionConfig) -> data.StructLayout:
    """A block row, and the smallest importance that keeps one of its blocks.

    With the rule ``probability``, it is the smallest level that does so, for each query.
    """
    threshold = signed(config.importance_bits)
    if config.block_rule is BlockRule.PROBABILITY:
        threshold = level_thresholds_layout(config)
    return data.StructLayout({"row": row_statistics_layout(config), "threshold": threshold})


class RowThreshold(wiring.Component):
    """Θ = ceil((|ρ|·extreme + ceil((2^8 − |ρ|)·S / n)) / 2^8). S is the sum of a row's n importances, |ρ| includes 2^8.

    An importance is an integer, so it reaches the exact threshold if and only if it reaches Θ. Rounding up twice equals
    rounding up once, because |ρ|·extreme is an integer.

    Attributes
    ----------
    interval : int
        Cycles between rows. The products of a row are formed during the division of the row before.

    Members
    -------
    i : In(stream(row_statistics_layout))
    o : Out(stream(row_threshold_layout))
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self._rounds = ceil_div(RHO_FRACTION + 1, MULTIPLIER_BITS_PER_CYCLE)
        # The divider is unsigned. So n·2^offset is added before the division and 2^offset subtracted after it.
        self._offset = unsigned_bits(config.importance_peak << RHO_FRACTION)
        self._divider = Divider(
            width_d=unsigned_bits(config.blocks), width_q=self._offset + 1, steps=QUOTIENT_BITS_PER_CYCLE
        )
        # The longer of the division and the two products beside it.
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
        row = Signal(layout)
        divided = Signal(layout)
        blocks = Signal(unsigned_bits(config.blocks))
        pending = Signal()
        multiply, multiplied, product = self._multiplier(m)
        added = Signal.like(product)
        m.d.comb += [
            divider.i.payload.denominator.eq(blocks),
            # Adding n − 1 rounds the quotient up. It is below n·2^offset.
            divider.i.payload.numerator.eq(product + ((blocks << self._offset) | (blocks - 1).as_unsigned())),
            # The output's ``ready`` is not used in the same cycle, which keeps it off the critical path.
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
                        blocks.eq((statistics.keys + (config.block - 1)) >> exact_log2(config.block)),
                    ]
                    multiply(statistics.importance_sum, ONE - statistics.magnitude)
                    m.next = "DIVIDE"
            with m.State("DIVIDE"), m.If(multiplied):
                m.d.comb += divider.i.valid.eq(1)
                with m.If(divider.i.ready):
                    multiply(row.extreme, row.magnitude)
                    m.next = "ADD"
            with m.State("ADD"), m.If(multiplied):
                # The division takes longer. The only step left after it is one sum.
                m.d.sync += [divided.eq(row), added.eq(product - (1 << self._offset) + (ONE - 1)), pending.eq(1)]
                m.next = "ACCEPT"
        return m

    def _multiplier(self, m: Module):
        """Multiply by a few bits per cycle, highest bits first."""
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
