"""Pipelined block selection: block mask, background and head decision."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig, BlockRule, Fill
from ....spec.formats import signed_bits, unsigned_bits
from ...lib.arithmetic import masked_product, popcount
from ...lib.divider import Divider
from ...lib.pipeline import delay, index_bits
from ...lib.scratchpad import ReadPort, WritePort
from ...lib.streams import StreamFIFO
from .block_statistics import (
    BANKS,
    block_address_bits,
    row_statistics_layout,
    stored_blocks_layout,
    stored_levels_layout,
)
from .group_walk import walk_groups
from .row_cutoff import RowCutoff
from .row_threshold import RowThreshold

__all__ = [
    "BlockSelect",
    "decision_layout",
    "mask_address_bits",
    "mask_word_bits",
    "pruned_keys_layout",
    "pruned_positions",
    "row_address_bits",
    "row_selection_layout",
]

QUOTIENT_BITS_PER_CYCLE = 2
"""Chained subtractions per cycle. With one, the divisions of the backgrounds limit short sequences; three limit the
clock."""

ROWS_IN_FLIGHT = 2
"""Rows in flight from the start of their selection to their background: one row divides while the next is selected."""


def mask_word_bits(config: AttentionConfig) -> int:
    """Blocks per word of the mask memory."""
    return max(config.predictor_blocks, min(16, 1 << index_bits(config.blocks)))


def mask_address_bits(config: AttentionConfig) -> int:
    """Address bits of the mask memory: (word, block row, slot) from the lowest bits up."""
    return index_bits(-(-config.blocks // mask_word_bits(config))) + row_address_bits(config)


def row_address_bits(config: AttentionConfig) -> int:
    """Address bits of the row memory: (block row, slot) from the lowest bits up."""
    return index_bits(config.blocks) + 1


def row_selection_layout(config: AttentionConfig) -> data.StructLayout:
    """The decision on a block row: the numbers of kept blocks and pruned keys, and the score of pruned positions.

    In a causal core, each query has its own number of pruned keys. The last one is 0 if and only if no block is pruned.
    """
    return data.StructLayout(
        {
            "kept": unsigned_bits(config.blocks),
            "background": signed(config.score_bits),
            "pruned_keys": pruned_keys_layout(config),
        }
    )


def pruned_keys_layout(config: AttentionConfig) -> data.ArrayLayout:
    """Number of keys that a query sees in pruned blocks: one per query in a causal core, otherwise one for all."""
    return data.ArrayLayout(config.length_bits, config.key_masks)


def pruned_positions(config: AttentionConfig, pruned_keys, queries) -> Value:
    """Number of pruned positions of a block row with ``queries`` queries inside the sequence."""
    if not config.causal:
        return masked_product(pruned_keys[0], queries)
    counted = [Mux(queries > i, keys, 0) for i, keys in enumerate(pruned_keys)]
    return sum(counted[1:], counted[0])


def decision_layout(config: AttentionConfig) -> data.StructLayout:
    """The decision on a head. ``kept_blocks`` counts the blocks of the block mask, even if the head is pruned."""
    return data.StructLayout({"slot": 1, "pruned": 1, "kept_blocks": config.kept_bits})


def _sums_layout(config: AttentionConfig) -> data.StructLayout:
    """Sums over the compared blocks of a row."""
    peak = config.max_length * config.block * config.prediction_peak
    return data.StructLayout(
        {
            "kept": unsigned_bits(config.blocks),
            "pruned_keys": pruned_keys_layout(config),
            "pruned_total": signed(signed_bits(-peak, peak)),
        }
    )


def _finished_layout(config: AttentionConfig) -> data.StructLayout:
    statistics = row_statistics_layout(config).members
    return data.StructLayout(
        {name: statistics[name] for name in ("slot", "row", "last_row", "pruned")}
        | {"positions": unsigned_bits(config.max_length * config.block)}
        | _sums_layout(config).members
    )


class BlockSelect(wiring.Component):
    """Compares every block of a row with the row's threshold, one prediction beat per cycle.

    Members
    -------
    i_rows : In(stream(row_statistics_layout))
    store : In(ReadPort)
        The rows' blocks, at address (group, bank).
    levels : In(ReadPort)
        The levels of these blocks, in a memory of their own. Only with the rule ``probability``.
    release : Out(1)
        Asserted for one cycle with the last read of a row's bank.
    mask, row : Out(WritePort)
        Block mask and row selection.
    o_heads : Out(stream(decision_layout))
        Offered after mask and rows of the head are written.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        bits = block_address_bits(config)
        members = {
            "i_rows": In(stream.Signature(row_statistics_layout(config), always_ready=True)),
            "store": In(ReadPort(address_bits=bits, layout=stored_blocks_layout(config))),
            "release": Out(1),
            "mask": Out(WritePort(address_bits=mask_address_bits(config), layout=mask_word_bits(config))),
            "row": Out(WritePort(address_bits=row_address_bits(config), layout=row_selection_layout(config))),
            "o_heads": Out(stream.Signature(decision_layout(config))),
        }
        if config.block_rule is BlockRule.PROBABILITY:
            members["levels"] = In(ReadPort(address_bits=bits, layout=stored_levels_layout(config)))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        # The queue holds every row in flight, so it is never full when a row arrives.
        m.submodules.rows = rows = StreamFIFO(row_statistics_layout(self._config), depth=BANKS)
        m.submodules.finished = finished = StreamFIFO(_finished_layout(self._config), depth=ROWS_IN_FLIGHT)
        m.d.comb += [rows.i.payload.eq(self.i_rows.payload), rows.i.valid.eq(self.i_rows.valid)]
        m.submodules.threshold = threshold = self._threshold(m)
        connect(m, rows.o, threshold.i)
        prepared = threshold.o
        may_start = Signal()
        tag = walk_groups(m, self._config, prepared, lambda each: each.row, self.store, may_start)
        m.d.comb += self.release.eq(tag.valid & tag.last)
        self._compare(m, tag, finished.i)
        under_way = Signal(range(ROWS_IN_FLIGHT + 1))
        m.d.sync += under_way.eq(under_way + (prepared.valid & prepared.ready) - (finished.o.valid & finished.o.ready))
        m.d.comb += may_start.eq(under_way != ROWS_IN_FLIGHT)
        self._finish(m, finished.o)
        return m

    def _threshold(self, m: Module) -> RowThreshold | RowCutoff:
        """The rule's thresholds."""
        if self._config.block_rule is BlockRule.THRESHOLD:
            return RowThreshold(self._config)
        cutoff = RowCutoff(self._config)
        connect(m, cutoff.levels, flipped(self.levels))
        return cutoff

    def _compare(self, m: Module, tag, finished: stream.Interface) -> None:
        """Collect the mask bits of a beat in mask words, and add up the row's pruned positions.

        Stages of a beat: read, compare, write the mask and sum the blocks, add to the sums of the row.
        """
        config = self._config
        count = config.predictor_blocks
        read, compared, added = delay(m, tag, 4, enable=1, name="tag")[2:]
        blocks, judged = (Signal(stored_blocks_layout(config), name=name) for name in ("blocks", "judged"))
        keep = Signal(count)
        pruned = Signal(count)
        m.d.sync += [blocks.eq(self.store.data), judged.eq(blocks)]
        for i in range(count):
            reaches = self._reaches(blocks[i], read.row.threshold, [keys[i] for keys in read.inside])
            inside = read.valid & (read.inside[-1][i] != 0)
            m.d.sync += [keep[i].eq(inside & reaches), pruned[i].eq(inside & ~reaches)]
        self._write_mask(m, compared, keep)

        sums = _sums_layout(config)
        beat, row = Signal(sums, name="beat_sums"), Signal(sums, name="row_sums")
        m.d.sync += [
            beat.kept.eq(popcount(keep)),
            *(
                total.eq(sum(Mux(pruned[i], inside[i], 0) for i in range(count)))
                for total, inside in zip(beat.pruned_keys, compared.inside, strict=True)
            ),
            beat.pruned_total.eq(sum(Mux(pruned[i], judged[i].total, 0) for i in range(count))),
        ]
        with m.If(added.valid):
            for new, total in (
                *zip(beat.pruned_keys, row.pruned_keys, strict=True),
                *((beat[name], row[name]) for name in ("kept", "pruned_total")),
            ):
                m.d.sync += total.eq(new + Mux(added.first, 0, total))
        self._hand_over(m, added, row, finished)

    def _reaches(self, block, threshold, inside: list):
        """Whether a block is kept, if it is inside the sequence. ``inside`` has the numbers of keys that are seen."""
        if self._config.block_rule is BlockRule.THRESHOLD:
            return block.importance >= threshold
        reached = [level >= least for level, least in zip(block.levels, threshold, strict=True)]
        if self._config.causal:
            reached = [each & (keys != 0) for each, keys in zip(reached, inside, strict=True)]
        return Cat(reached).any()

    def _hand_over(self, m: Module, tag, sums, finished: stream.Interface) -> None:
        """Pass a complete row to the division of its background. The limit of rows in flight leaves room for it."""
        summed, handed = delay(m, tag, 2, enable=1, name="summed")[1:]
        out = finished.payload
        m.d.sync += [
            *(out[name].eq(sums[name]) for name in sums.shape().members),
            out.positions.eq(pruned_positions(self._config, sums.pruned_keys, summed.row.row.queries)),
        ]
        m.d.comb += [out[name].eq(handed.row.row[name]) for name in ("slot", "row", "last_row", "pruned")]
        m.d.comb += finished.valid.eq(handed.valid & handed.last)

    def _write_mask(self, m: Module, tag, keep: Signal) -> None:
        config = self._config
        word = Signal(mask_word_bits(config))
        joined = Signal.like(word)
        beats = mask_word_bits(config) // config.predictor_blocks
        place_bits = exact_log2(beats)
        place = tag.group[:place_bits]
        complete = tag.last | (place == beats - 1)
        m.d.comb += [
            joined.eq(word | (keep << (place * config.predictor_blocks))),
            self.mask.enable.eq(tag.valid & complete),
            self.mask.address.eq(Cat(tag.group[place_bits:], tag.row.row.row, tag.row.row.slot)),
            self.mask.data.eq(joined),
        ]
        with m.If(tag.valid):
            m.d.sync += word.eq(Mux(complete, 0, joined))

    def _finish(self, m: Module, finished: stream.Interface) -> None:
        """Compute a row's background, write the row memory and, at the end of a head, offer the decision."""
        config = self._config
        row = finished.payload
        kept = Signal(config.kept_bits)
        total = Signal.like(kept)
        write = Signal()
        free = ~self.o_heads.valid | self.o_heads.ready
        m.d.comb += [
            self.row.address.eq(Cat(row.row, row.slot)),
            self.row.data.kept.eq(row.kept),
            self.row.data.pruned_keys.eq(row.pruned_keys),
            self.row.enable.eq(write),
            finished.ready.eq(write),
            total.eq(kept + row.kept),
        ]
        if config.fill is Fill.BACKGROUND:
            background = self._background(m, finished, free)
            m.d.comb += [
                write.eq(finished.valid & free & ((row.pruned_keys[-1] == 0) | background.valid)),
                background.ready.eq(write),
                self.row.data.background.eq(Mux(row.pruned_keys[-1] == 0, 0, background.payload)),
            ]
        else:
            m.d.comb += write.eq(finished.valid & free)
        with m.If(self.o_heads.ready):
            m.d.sync += self.o_heads.valid.eq(0)
        with m.If(write):
            m.d.sync += kept.eq(Mux(row.last_row, 0, total))
            with m.If(row.last_row):
                m.d.sync += [
                    self.o_heads.valid.eq(1),
                    self.o_heads.payload.slot.eq(row.slot),
                    self.o_heads.payload.pruned.eq(row.pruned),
                    self.o_heads.payload.kept_blocks.eq(total),
                ]

    def _background(self, m: Module, finished: stream.Interface, free) -> stream.Interface:
        """floor(2^2F · ΣII / positions) over a row's pruned positions.

        The divider is unsigned. So positions · 2^k is added before the division and 2^(k+2F) subtracted after it, with
        2^k > |II|.
        """
        config = self._config
        row = finished.payload
        offset = unsigned_bits(config.prediction_peak)
        scale = 2 * config.fraction_bits
        quotient_bits = offset + 1 + scale
        m.submodules.divider = divider = Divider(
            width_d=len(row.positions), width_q=quotient_bits, steps=QUOTIENT_BITS_PER_CYCLE
        )
        asked = Signal()
        wanted = finished.valid & free & (row.pruned_keys[-1] != 0)
        m.d.comb += [
            divider.i.payload.numerator.eq((row.pruned_total + (row.positions << offset)) << scale),
            divider.i.payload.denominator.eq(row.positions),
            divider.i.valid.eq(wanted & ~asked),
        ]
        with m.If(divider.i.valid & divider.i.ready):
            m.d.sync += asked.eq(1)
        with m.If(divider.o.valid & divider.o.ready):
            m.d.sync += asked.eq(0)
        background = stream.Signature(signed(config.score_bits)).create(path=("background",))
        m.d.comb += [
            background.valid.eq(divider.o.valid),
            background.payload.eq(divider.o.payload.quotient - (1 << (offset + scale))),
            divider.o.ready.eq(background.ready),
        ]
        return background
