"""Compact block statistics: predictions reduced to importances, one value per cycle."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig, BlockRule, Importance
from ....spec.formats import LEVEL_NEAR, SCORE_MULTIPLIER_BITS, SCORE_SHIFT_BITS, signed_bits, unsigned_bits
from ...lib.arithmetic import chosen_product
from ...lib.pipeline import delay, index_bits
from ...lib.scratchpad import WritePort
from ..head_streams import predictions_layout
from .level_factor import LevelFactor
from .level_threshold import block_levels_layout, levels_layout

LEVEL_LATENCY = 2
"""Cycles from a prediction to its level."""

__all__ = ["BlockMeasure", "measured_row_layout", "stored_block_layout"]


def _scaled_bits(config: AttentionConfig) -> int:
    """Bits of a row's sum of importances, and of an importance times the row's block count."""
    peak = config.importance_peak * config.blocks
    return signed_bits(-peak, peak)


def stored_block_layout(config: AttentionConfig) -> data.StructLayout:
    """Stored data of a block: its levels, or its importance times the row's block count; and ΣII of the positions
    inside."""
    peak = config.prediction_peak * config.block**2
    if config.block_rule is BlockRule.PROBABILITY:
        rank = block_levels_layout(config).members
    else:
        rank = {"scaled": signed(_scaled_bits(config))}
    return data.StructLayout(rank | {"total": signed(signed_bits(-peak, peak))})


def measured_row_layout(config: AttentionConfig) -> data.StructLayout:
    """A complete block row.

    ``extreme`` is the largest scaled importance for ρ ≥ 0, and the smallest for ρ < 0. With the rule ``probability``,
    ``largest`` is the largest level of each query.
    """
    if config.block_rule is BlockRule.PROBABILITY:
        rank = {"largest": levels_layout(config)}
    else:
        rank = {"extreme": signed(_scaled_bits(config)), "importance_sum": signed(_scaled_bits(config))}
    return data.StructLayout(rank | {"queries": unsigned_bits(config.block), "last_row": 1, "bank": 1})


class BlockMeasure(wiring.Component):
    """Importance and total of each block, extreme and sum of each row, and Σ|II| of the head.

    Members
    -------
    begin : In(1)
        Strobe: the predictions of a head follow.
    blocks : In, negative : In(1)
        The blocks that the current row sees, and whether ρ is negative. They must not change while the row is measured.
    score_multiplier, score_shift : In
        Of the head, with ``begin``. Only with the rule ``probability``.
    i_predictions : In(stream(predictions_layout))
        A beat takes ``block²`` cycles per block inside the sequence.
    store : Out(WritePort)
        Blocks, at address (block, bank) from the lowest bits up.
    o_rows : Out(stream(measured_row_layout))
        Back-pressure stalls the predictions before the next row is complete.
    head_sum : Out
        Σ|II|, final with the head's last row.
    ends_row : Out(1)
        Strobe: the row's last block is stored; i.e. the next row may be taken for the current one.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self._block_bits = index_bits(config.groups * config.predictor_blocks)
        self._probability = config.block_rule is BlockRule.PROBABILITY
        members = {
            "begin": In(1),
            "i_predictions": In(stream.Signature(predictions_layout(config))),
            "store": Out(WritePort(address_bits=self._block_bits + 1, layout=stored_block_layout(config))),
            "o_rows": Out(stream.Signature(measured_row_layout(config))),
            "head_sum": Out(config.head_sum_bits),
            "ends_row": Out(1),
        }
        if self._probability:
            members |= {"score_multiplier": In(SCORE_MULTIPLIER_BITS), "score_shift": In(SCORE_SHIFT_BITS)}
        else:
            members |= {"blocks": In(unsigned_bits(config.blocks)), "negative": In(1)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        tag, value = self._walk(m)
        level = near = None
        if self._probability:
            level, near = self._level(m, tag, value)
            tag = delay(m, tag, LEVEL_LATENCY, enable=1, name="levelled")[-1]
            value = delay(m, value, LEVEL_LATENCY, enable=1, name="value")[-1]
        rank, total = self._reduce(m, tag, value, level, near)
        done = delay(m, tag, 1, enable=1, name="reduced")[1]
        scaled = None
        if not self._probability:
            # A cycle for the product, whose adders follow each other.
            scaled = Signal(signed(_scaled_bits(self._config)))
            blocks = Cat(self.blocks, 0).as_signed()
            m.d.sync += scaled.eq(chosen_product(m, rank, blocks, name="scaled_product"))
            done, rank, total = (
                delay(m, each, 1, enable=1, name=name)[1]
                for each, name in ((done, "multiplied"), (rank, "rank"), (total, "total"))
            )
        self._complete(m, done, rank, scaled, total)
        return m

    def _level(self, m: Module, tag, value: Signal) -> tuple[Signal, Signal]:
        """The level of a prediction, and whether the prediction is near that of the key before.

        The head's factor is known before its first prediction is chosen.
        """
        m.submodules.factor = factor = LevelFactor(self._config)
        scale = factor.scale
        scaled = Signal(signed(len(value) + len(scale.factor)))
        level = Signal(signed(self._config.level_bits))
        before = Signal(data.ArrayLayout(value.shape(), self._config.block))
        distance = Signal(len(value) + 1)
        near = Signal()
        other = before[tag.query]
        limit = (scale.shift - LEVEL_NEAR).as_unsigned()[: len(scale.shift)]
        with m.If(tag.step):
            m.d.sync += other.eq(value)
        m.d.comb += [
            factor.load.eq(self.begin),
            factor.score_multiplier.eq(self.score_multiplier),
            factor.score_shift.eq(self.score_shift),
        ]
        m.d.sync += [
            scaled.eq(chosen_product(m, value, Cat(scale.factor, 0).as_signed(), name="level_product")),
            level.eq(scaled >> scale.shift),
            distance.eq(Mux(value > other, value - other, other - value)),
            near.eq((distance >> limit) == 0),
        ]
        return level, near

    def _walk(self, m: Module):
        """Visit one prediction per cycle. Returns a tag and the prediction, which is zero outside the sequence."""
        config = self._config
        b = config.block
        query = Signal(exact_log2(b))
        key = Signal(exact_log2(b))
        part = Signal(index_bits(config.predictor_blocks))  # block within the beat
        active = Signal()
        step = Signal()
        last = Signal()
        last_part = Signal()
        pending = Signal()  # all predictions of a row are taken, but the row is not accepted
        tag = Signal(
            data.StructLayout(
                {
                    "step": 1,
                    "inside": 1,
                    "first": 1,
                    "first_key": 1,
                    "last": 1,
                    "last_group": 1,
                    "last_row": 1,
                    "query": len(query),
                    "queries": b,
                }
            )
        )
        beat = self.i_predictions.payload
        # A block is inside the sequence if its first key is.
        parts = [beat.key_valid[-1][i * b] for i in range(1, config.predictor_blocks)]
        seen = beat.key_valid[query] if config.causal else beat.key_valid[0]
        m.d.comb += [
            # The first block of a row is complete only after the row before is accepted.
            step.eq(active & self.i_predictions.valid & ~(pending & last)),
            last.eq(Cat(query, key).all()),
            last_part.eq(~Cat(*parts, 0).bit_select(part, 1)),
            self.i_predictions.ready.eq(step & last & last_part),
            tag.step.eq(step),
            tag.first.eq(~Cat(query, key).any()),
            tag.first_key.eq(key == 0),
            tag.query.eq(query),
            tag.last.eq(step & last),
            tag.last_group.eq(beat.last_group & last_part),
            tag.last_row.eq(beat.last_row),
            tag.queries.eq(beat.query_valid),
            tag.inside.eq(beat.query_valid.bit_select(query, 1) & seen.bit_select(Cat(key, part), 1)),
        ]
        with m.If(self.o_rows.valid & self.o_rows.ready):
            m.d.sync += pending.eq(0)
        with m.If(step & last & last_part & beat.last_group):
            m.d.sync += pending.eq(1)
        with m.If(step):
            m.d.sync += Cat(query, key).eq(Cat(query, key) + 1)
            with m.If(last):
                m.d.sync += part.eq(Mux(last_part, 0, part + 1))
        with m.If(self.i_predictions.ready & beat.last_group & beat.last_row):
            m.d.sync += active.eq(0)
        with m.If(self.begin):
            m.d.sync += active.eq(1)
        value = Signal(signed(config.prediction_bits))
        m.d.sync += value.eq(beat.ii[query][Cat(key, part)])
        with m.If(~tag.inside):
            m.d.sync += value.eq(0)
        return delay(m, tag, 1, enable=1, name="chosen")[1], value

    def _reduce(self, m: Module, tag, value: Signal, level: Signal | None, near: Signal | None):
        """Importance or levels, and total of the block, and Σ|II| of the head."""
        config = self._config
        layout = stored_block_layout(config)
        total = Signal(layout["total"].shape)
        importance = Signal(signed(config.importance_bits))
        found = Signal(block_levels_layout(config))
        sign = value[-1]
        # |x| is ~x + 1 for a negative x. The one enters the adder as its carry.
        magnitude = Cat(sign, (value ^ sign.replicate(len(value)))[:-1])

        def add_magnitude(before):
            return (Cat(sign, before) + magnitude)[1:]

        with m.If(tag.step):
            m.d.sync += [
                total.eq(Mux(tag.first, value, total + value)),
                self.head_sum.eq(add_magnitude(self.head_sum)),
            ]
            if level is not None:
                largest, pairs = found.levels[tag.query], found.near[tag.query]
                with m.If(tag.first_key | (tag.inside & (level > largest))):
                    m.d.sync += largest.eq(self._or_lowest(tag, level))
                m.d.sync += pairs.eq(Mux(tag.first_key, 0, pairs + (tag.inside & near)))
            elif config.importance is Importance.MAX:
                with m.If(tag.first | (tag.inside & (value > importance))):
                    m.d.sync += importance.eq(self._or_lowest(tag, value))
            elif config.importance is Importance.ABS_SUM:
                m.d.sync += importance.eq(add_magnitude(Mux(tag.first, 0, importance)))
        if config.importance is Importance.SUM:
            m.d.comb += importance.eq(total)
        with m.If(self.begin):
            m.d.sync += self.head_sum.eq(0)
        return importance if level is None else found, total

    def _or_lowest(self, tag, value: Signal):
        """The value, or the lowest number for a position that is not seen.

        In a causal core, the first position of a block may be such a one; in others, it never is.
        """
        return Mux(tag.inside, value, -(1 << (len(value) - 1))) if self._config.causal else value

    def _complete(self, m: Module, done, rank, scaled: Signal | None, total: Signal) -> None:
        """Store the blocks, and update the statistics of their row."""
        row = self.o_rows.payload
        block = Signal(self._block_bits)
        first = Signal(init=1)
        m.d.comb += [
            self.ends_row.eq(done.last & done.last_group),
            self.store.enable.eq(done.last),
            self.store.address.eq(Cat(block, row.bank)),
            self.store.data.total.eq(total),
        ]
        with m.If(done.last):
            m.d.sync += [
                block.eq(Mux(done.last_group, 0, block + 1)),
                first.eq(done.last_group),
                row.queries.eq(sum(done.queries[1:], done.queries[0])),
                row.last_row.eq(done.last_row),
                self.o_rows.valid.eq(done.last_group),
            ]
        if scaled is None:
            m.d.comb += [self.store.data[name].eq(rank[name]) for name in ("levels", "near")]
            for largest, level in zip(row.largest, rank.levels, strict=True):
                with m.If(done.last & (first | (level > largest))):
                    m.d.sync += largest.eq(level)
        else:
            m.d.comb += self.store.data.scaled.eq(scaled)
            with m.If(done.last):
                m.d.sync += row.importance_sum.eq(Mux(first, rank, row.importance_sum + rank))
                with m.If(first | ((scaled > row.extreme) ^ self.negative)):
                    m.d.sync += row.extreme.eq(scaled)
        with m.If(self.o_rows.valid & self.o_rows.ready):
            m.d.sync += [self.o_rows.valid.eq(0), row.bank.eq(~row.bank)]
