"""Smallest kept levels of a block row, for the rule ``probability``."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ....spec.formats import LEVEL_WEIGHT_BITS, unsigned_bits
from ...lib.pipeline import delay
from ...lib.scratchpad import ReadPort
from ...lib.streams import StreamFIFO
from .block_statistics import block_address_bits, row_statistics_layout, stored_levels_layout
from .group_walk import walk_groups
from .level_threshold import LevelThreshold, level_weight, weight_sums_layout
from .row_threshold import row_threshold_layout

__all__ = ["RowCutoff"]

BITS_PER_CYCLE = 3
SUMMED_ROWS = 2
"""Rows from the first of their weights to their threshold: one is compared while the next is summed."""


def _summed_layout(config: AttentionConfig) -> data.StructLayout:
    """A block row, and the sum of the weights of each query."""
    return data.StructLayout(
        {"row": row_statistics_layout(config), "totals": weight_sums_layout(config)["totals"].shape}
    )


class RowCutoff(wiring.Component):
    """Sums the weights of a row's blocks for each query, one beat of blocks per cycle, and finds the thresholds.

        i ── levels ── weights, sums ── queue ── thresholds ── o

    Attributes
    ----------
    interval : int
        Fewest cycles between rows. A row of more beats of blocks takes a cycle for each.

    Members
    -------
    i : In(stream(row_statistics_layout))
    levels : In(ReadPort)
        The rows' levels, at address (group, bank).
    o : Out(stream(row_threshold_layout))
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self._threshold = LevelThreshold(config, bits_per_cycle=BITS_PER_CYCLE)
        self.interval = self._threshold.interval
        super().__init__(
            {
                "i": In(stream.Signature(row_statistics_layout(config))),
                "levels": In(ReadPort(address_bits=block_address_bits(config), layout=stored_levels_layout(config))),
                "o": Out(stream.Signature(row_threshold_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.threshold = threshold = self._threshold
        m.submodules.summed = summed = StreamFIFO(_summed_layout(self._config), depth=SUMMED_ROWS)
        started = Signal(range(SUMMED_ROWS + 1))
        m.d.sync += started.eq(started + (self.i.valid & self.i.ready) - (summed.o.valid & summed.o.ready))
        self._sum(m, started != SUMMED_ROWS, summed.i)
        row = Signal(row_statistics_layout(self._config))
        known, sums = summed.o.payload.row, threshold.i.payload
        m.d.comb += [
            threshold.i.valid.eq(summed.o.valid),
            summed.o.ready.eq(threshold.i.ready),
            sums.totals.eq(summed.o.payload.totals),
            *(sums[name].eq(known[name]) for name in ("largest", "cutoff", "queries")),
            self.o.valid.eq(threshold.o.valid),
            threshold.o.ready.eq(self.o.ready),
            self.o.payload.row.eq(row),
            self.o.payload.threshold.eq(threshold.o.payload),
        ]
        with m.If(threshold.i.ready):
            m.d.sync += row.eq(known)
        return m

    def _sum(self, m: Module, may_start, summed: stream.Interface) -> None:
        """Stages of a beat: read, subtract, shift, add. The limit of started rows leaves room for each sum."""
        config = self._config
        tag = walk_groups(m, config, self.i, lambda row: row, self.levels, may_start)
        _, _, read, subtracted, shifted, added = delay(m, tag, 5, enable=1, name="tag")
        levels = Signal(stored_levels_layout(config))
        m.d.sync += levels.eq(self.levels.data)
        totals = Signal(summed.payload.totals.shape())
        for query in range(config.block):
            weights = []
            for block in range(config.predictor_blocks):
                below = Signal(config.level_bits, name=f"below_{query}_{block}")
                near = Signal.like(levels[block].near[query], name=f"near_{query}_{block}")
                weight = Signal(unsigned_bits(config.block << LEVEL_WEIGHT_BITS), name=f"weight_{query}_{block}")
                inside = subtracted.inside[query % config.key_masks][block] != 0
                m.d.sync += [
                    below.eq(read.row.largest[query] - levels[block].levels[query]),
                    near.eq(levels[block].near[query]),
                    weight.eq(Mux(inside, level_weight(below, near), 0)),
                ]
                weights.append(weight)
            with m.If(shifted.valid):
                m.d.sync += totals[query].eq(sum(weights[1:], weights[0]) + Mux(shifted.first, 0, totals[query]))
        m.d.comb += [
            summed.valid.eq(added.valid & added.last),
            summed.payload.row.eq(added.row),
            summed.payload.totals.eq(totals),
        ]
