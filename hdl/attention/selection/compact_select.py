"""Compact block selection: threshold, mask and background, one block row at a time."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig, BlockRule, Fill
from ....spec.formats import RHO_FRACTION, signed_bits, unsigned_bits
from ...lib.divider import Divider
from ...lib.pipeline import delay, index_bits
from ...lib.scratchpad import ReadPort, WritePort
from ..visible import hidden_keys
from .block_select import mask_address_bits, mask_word_bits, pruned_positions, row_address_bits, row_selection_layout
from .compact_statistics import measured_row_layout, stored_block_layout
from .level_threshold import LevelThreshold, level_weight, levels_layout

__all__ = ["BlockChoice"]

QUOTIENT_BITS_PER_CYCLE = 2


class BlockChoice(wiring.Component):
    """Multiplies by ρ one bit per cycle, compares one block per cycle, and divides for the background.

    S is the sum of a row's n importances. For ρ ≥ 0, n·2^8·Θ is 2^8·S + ρ·(n·max − S). For ρ < 0, it is
    2^8·S + |ρ|·(n·min − S) = 2^8·n·min + (2^8 + ρ)·(S − n·min). The multiplier is the low eight bits of ρ in two's
    complement in both cases.

    With the rule ``probability``, it sums the weights of the blocks first, one block per cycle.

    Members
    -------
    begin : In(1)
        Strobe: the rows of a head follow.
    slot, causal, rho : In
        Of the head. They must not change until ``finished``.
    keys, blocks : In
        Keys and blocks that the current row sees. They must not change until ``ends_row``.
    i_rows : In(stream(measured_row_layout))
        A row is accepted after the row before it is written.
    store : In(ReadPort)
        Blocks, at address (block, bank).
    mask, row : Out(WritePort)
        As in :class:`~thresher.hdl.attention.selection.block_select.BlockSelect`.
    ends_row : Out(1)
        Strobe: the row is written.
    finished : Out(1)
        Strobe: the head's last row was written in the cycle before.
    kept : Out
        Number of the head's kept blocks, valid with ``finished``.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self._block_bits = index_bits(config.groups * config.predictor_blocks)
        super().__init__(
            {
                "begin": In(1),
                "slot": In(1),
                "causal": In(int(config.causal)),
                "keys": In(config.length_bits),
                "blocks": In(unsigned_bits(config.blocks)),
                "rho": In(signed(RHO_FRACTION + 1)),
                "i_rows": In(stream.Signature(measured_row_layout(config))),
                "store": In(ReadPort(address_bits=self._block_bits + 1, layout=stored_block_layout(config))),
                "mask": Out(WritePort(address_bits=mask_address_bits(config), layout=mask_word_bits(config))),
                "row": Out(WritePort(address_bits=row_address_bits(config), layout=row_selection_layout(config))),
                "ends_row": Out(1),
                "finished": Out(1),
                "kept": Out(config.kept_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        bank = Signal()
        last_row = Signal()
        queries = Signal(unsigned_bits(config.block))
        row = Signal(index_bits(config.blocks))
        result = Signal(row_selection_layout(config))
        peak = config.max_length * config.block * config.prediction_peak
        pruned_total = Signal(signed(signed_bits(-peak, peak)))
        m.d.comb += [
            self.row.address.eq(Cat(row, self.slot)),
            self.row.data.eq(result),
        ]
        with m.If(self.i_rows.valid & self.i_rows.ready):
            statistics = self.i_rows.payload
            m.d.sync += [
                bank.eq(statistics.bank),
                last_row.eq(statistics.last_row),
                queries.eq(statistics.queries),
                result.eq(0),
                pruned_total.eq(0),
            ]
        compare = Signal()
        compared = Signal()
        walk = Signal()
        walked = Signal()
        fetched, block = self._walk(m, walk, walked, bank)
        last_block = Signal()
        written = Signal()
        inside = self._inside(m, block, last_block, queries)
        m.d.comb += [last_block.eq(block == self.blocks - 1), self.ends_row.eq(written)]
        if config.block_rule is BlockRule.PROBABILITY:
            reaches, ready = self._levels(m, fetched & ~compare, last_block, queries, inside, written)
        else:
            reaches, ready = self._threshold(m)
        self._compare(m, compare & fetched, reaches, block, inside, row, result, pruned_total, compared)
        m.d.sync += self.finished.eq(0)
        with m.FSM(name="choice"):
            with m.State("IDLE"):
                m.d.comb += self.i_rows.ready.eq(1)
                with m.If(self.i_rows.valid):
                    m.next = "SUM" if config.block_rule is BlockRule.PROBABILITY else "THRESHOLD"
            if config.block_rule is BlockRule.PROBABILITY:
                with m.State("SUM"):
                    m.d.comb += [walk.eq(1), walked.eq(fetched & last_block)]
                    with m.If(walked):
                        m.next = "THRESHOLD"
            with m.State("THRESHOLD"), m.If(ready):
                m.next = "COMPARE"
            with m.State("COMPARE"):
                m.d.comb += [walk.eq(1), compare.eq(1), walked.eq(compared)]
                with m.If(compared):
                    m.next = "BACKGROUND" if config.fill is Fill.BACKGROUND else "WRITE"
            if config.fill is Fill.BACKGROUND:
                with m.State("BACKGROUND"), m.If(self._divide(m, queries, result, pruned_total)):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [self.row.enable.eq(1), written.eq(1)]
                m.d.sync += [self.kept.eq(self.kept + result.kept), row.eq(row + 1), self.finished.eq(last_row)]
                m.next = "IDLE"
        with m.If(self.begin):
            m.d.sync += [row.eq(0), self.kept.eq(0)]
        return m

    def _walk(self, m: Module, walk: Signal, walked: Signal, bank) -> tuple[Signal, Signal]:
        """While ``walk``, read one block per cycle, until ``walked``. Returns whether the memory shows a block, and
        which one."""
        bits = max(self._block_bits, exact_log2(mask_word_bits(self._config)))
        address = Signal(bits)
        block = Signal(bits)
        fetched = Signal()
        m.d.comb += [
            self.store.enable.eq(1),
            self.store.address.eq(Cat(address[: self._block_bits], bank)),
        ]
        m.d.sync += [address.eq(0), fetched.eq(walk & ~walked), block.eq(address)]
        with m.If(walk & ~walked):
            m.d.sync += address.eq(address + 1)
        return fetched, block

    def _inside(self, m: Module, block, last_block, queries) -> list[Value]:
        """Keys of the current block that are seen, for each set of keys."""
        config = self._config
        b, inner = config.block, exact_log2(config.block)
        if not config.causal:
            inside = Signal(unsigned_bits(b))
            m.d.comb += inside.eq(Mux(last_block, ((self.keys - 1)[:inner]) + 1, b))
            return [inside]
        found = []
        for i, hidden in enumerate(hidden_keys(config, self.causal, (queries - 1).as_unsigned()[:inner])):
            seen = Signal(config.length_bits, name=f"seen_{i}")
            inside = Signal(unsigned_bits(b), name=f"inside_{i}")
            m.d.comb += [
                seen.eq(self.keys - hidden),
                inside.eq(Mux(block == seen[inner:], seen[:inner], Mux(block < seen[inner:], b, 0))),
            ]
            found.append(inside)
        return found

    def _levels(self, m: Module, summed, last_block, queries, inside, written) -> tuple[Value, Value]:
        """Whether the fetched block reaches the smallest kept level of a query, and whether these levels are known."""
        config = self._config
        m.submodules.level_threshold = threshold = LevelThreshold(config, bits_per_cycle=1)
        sums = threshold.i.payload
        largest = Signal(levels_layout(config))
        totals = Signal(sums.totals.shape())
        subtracted = Signal()
        m.d.sync += subtracted.eq(summed)
        for query, (total, peak) in enumerate(zip(totals, largest, strict=True)):
            below = Signal(config.level_bits, name=f"below_{query}")
            near = Signal.like(self.store.data.near[query], name=f"near_{query}")
            m.d.sync += [below.eq(peak - self.store.data.levels[query]), near.eq(self.store.data.near[query])]
            seen = delay(m, inside[query] != 0, 1, enable=1, name=f"seen_{query}")[-1] if config.causal else 1
            with m.If(subtracted & seen):
                m.d.sync += total.eq(total + level_weight(below, near))
        with m.If(self.i_rows.valid & self.i_rows.ready):
            m.d.sync += [largest.eq(self.i_rows.payload.largest), totals.eq(0)]
        m.d.comb += [
            threshold.i.valid.eq(delay(m, summed & last_block, 2, enable=1, name="totalled")[-1]),
            sums.totals.eq(totals),
            sums.largest.eq(largest),
            sums.cutoff.eq(self.rho + (1 << RHO_FRACTION)),
            sums.queries.eq(queries),
            threshold.o.ready.eq(written),
        ]
        reaches = [level >= least for level, least in zip(self.store.data.levels, threshold.o.payload, strict=True)]
        if config.causal:
            reaches = [each & (keys != 0) for each, keys in zip(reaches, inside, strict=True)]
        return Cat(reaches).any(), threshold.o.valid

    def _threshold(self, m: Module) -> tuple[Value, Value]:
        """Whether the fetched block reaches the threshold 2^8 · n · Θ, and whether this is known."""
        statistics = self.i_rows.payload
        shape = statistics.extreme.shape()
        base = Signal(shape)
        other = Signal(shape)
        slope = Signal(signed(shape.width + 1))
        product = Signal(signed(shape.width + RHO_FRACTION + 1))
        left = Signal(range(RHO_FRACTION + 1))
        negative = self.rho[-1]
        m.d.comb += [
            base.eq(Mux(negative, statistics.extreme, statistics.importance_sum)),
            other.eq(Mux(negative, statistics.importance_sum, statistics.extreme)),
        ]
        doubled = product << 1
        # The sum is always formed: iCE40 can merge the choice behind it into the adder's LUTs.
        bit = self.rho.bit_select((left - 1)[: (RHO_FRACTION - 1).bit_length()], 1)
        with m.If(self.i_rows.valid & self.i_rows.ready):
            m.d.sync += [slope.eq(other - base), product.eq(base), left.eq(RHO_FRACTION)]
        with m.Elif(left != 0):
            m.d.sync += [product.eq(Mux(bit, doubled + slope, doubled)), left.eq(left - 1)]
        # n·importance ≥ n·Θ, both doubled: 2·n·importance + 1 > 2·floor(n·Θ) + (1 if n·Θ has a fraction).
        doubled_threshold = Cat(product[:RHO_FRACTION].any(), product[RHO_FRACTION:]).as_signed()
        return Cat(1, self.store.data.scaled).as_signed() > doubled_threshold, left == 0

    def _compare(self, m: Module, fetched, reaches, block, inside, row, result, pruned_total, compared) -> None:
        """Compare one block per cycle up to the end of a mask word; then assert ``compared``."""
        config = self._config
        word_bits = mask_word_bits(config)
        keep = Signal()
        exists = Signal()
        word = Signal(word_bits)
        ends_word = block[: exact_log2(word_bits)].all()
        m.d.comb += [
            exists.eq(block < self.blocks),
            keep.eq(exists & reaches),
            compared.eq(fetched & ends_word & (block >= (self.blocks - 1).as_unsigned())),
            self.mask.enable.eq(fetched & ends_word),
            self.mask.address.eq(Cat(block[exact_log2(word_bits) :], row, self.slot)),
            self.mask.data.eq(Cat(word[1:], keep)),
        ]
        with m.If(fetched):
            m.d.sync += word.eq(self.mask.data)
            with m.If(keep):
                m.d.sync += result.kept.eq(result.kept + 1)
            with m.Elif(exists):
                m.d.sync += pruned_total.eq(pruned_total + self.store.data.total)
                m.d.sync += [total.eq(total + keys) for total, keys in zip(result.pruned_keys, inside, strict=True)]

    def _divide(self, m: Module, queries: Signal, result, pruned_total: Signal) -> Signal:
        """floor(2^2F · ΣII / positions) over the row's pruned positions. High when the result is there or not needed.

        The divider is unsigned. So positions · 2^k is added before the division and 2^(k+2F) subtracted after it, with
        2^k > |II|.
        """
        config = self._config
        offset = unsigned_bits(config.prediction_peak)
        scale = 2 * config.fraction_bits
        positions = Signal(unsigned_bits(config.max_length * config.block))
        m.submodules.divider = divider = Divider(
            width_d=len(positions), width_q=offset + 1 + scale, steps=QUOTIENT_BITS_PER_CYCLE
        )
        asked = Signal()
        needed = result.pruned_keys[-1] != 0
        m.d.comb += [
            positions.eq(pruned_positions(config, result.pruned_keys, queries)),
            divider.i.payload.numerator.eq((pruned_total + (positions << offset)) << scale),
            divider.i.payload.denominator.eq(positions),
            divider.i.valid.eq(needed & ~asked),
            divider.o.ready.eq(1),
        ]
        m.d.sync += asked.eq(needed & ~divider.o.valid)
        with m.If(divider.o.valid):
            m.d.sync += result.background.eq(divider.o.payload.quotient - (1 << (offset + scale)))
        return ~needed | divider.o.valid
