"""Pipelined block statistics: importance of every block, extremes and sums of every block row."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig, BlockRule, Importance
from ....spec.formats import RHO_FRACTION, signed_bits, unsigned_bits
from ...lib.arithmetic import AdderTree, extreme, maximum, popcount
from ...lib.pipeline import delay, index_bits
from ...lib.scratchpad import WritePort
from ...lib.streams import nonzero
from ..head_streams import head_layout, predictions_layout
from ..visible import keys_of_first_row, keys_of_next_row
from .block_levels import BlockLevels
from .level_factor import LevelFactor
from .level_threshold import block_levels_layout, levels_layout

__all__ = [
    "BANKS",
    "BlockStatistics",
    "block_address_bits",
    "row_statistics_layout",
    "stored_blocks_layout",
    "stored_levels_layout",
]

BANKS = 4
"""Block rows in flight, from their first prediction to the end of their selection. Measuring, thresholding and
selecting overlap; with two banks, one row would wait for another."""


def _sum_bits(config: AttentionConfig, peak: int, count: int) -> int:
    return signed_bits(-peak * count, peak * count)


def block_address_bits(config: AttentionConfig) -> int:
    """Address bits of the block memory: (group, bank) from the lowest bits up."""
    return index_bits(config.groups) + index_bits(BANKS)


def stored_levels_layout(config: AttentionConfig) -> data.ArrayLayout:
    """What the sums need of the blocks of one prediction beat."""
    return data.ArrayLayout(block_levels_layout(config), config.predictor_blocks)


def stored_blocks_layout(config: AttentionConfig) -> data.ArrayLayout:
    """Stored data of the blocks of one prediction beat: importance or levels, and ΣII of the positions inside the
    sequences."""
    peak = config.prediction_peak
    if config.block_rule is BlockRule.PROBABILITY:
        rank = {"levels": levels_layout(config)}
    else:
        rank = {"importance": signed(config.importance_bits)}
    block = data.StructLayout(rank | {"total": signed(_sum_bits(config, peak, config.block**2))})
    return data.ArrayLayout(block, config.predictor_blocks)


def row_statistics_layout(config: AttentionConfig) -> data.StructLayout:
    """A complete block row: the inputs of its threshold, and the bank of its blocks.

    ``extreme`` is the largest importance for ρ ≥ 0 and the smallest importance for ρ < 0. ``magnitude`` is |ρ|·2^8.
    With the rule ``probability``, ``largest`` is the largest level of each query, and ``cutoff`` is (1 + ρ)·2^8.
    ``pruned`` is the decision of the head mask; it is valid in the head's last block row. ``keys`` is the number of
    keys that the block row sees, and ``queries`` the number of its queries inside the sequence.
    """
    if config.block_rule is BlockRule.PROBABILITY:
        rank = {"cutoff": RHO_FRACTION + 1, "largest": levels_layout(config)}
    else:
        rank = {
            "magnitude": RHO_FRACTION + 1,
            "extreme": signed(config.importance_bits),
            "importance_sum": signed(_sum_bits(config, config.importance_peak, config.blocks)),
        }
    return data.StructLayout(
        {
            "bank": index_bits(BANKS),
            "slot": 1,
            "row": index_bits(config.blocks),
            "last_row": 1,
            "pruned": 1,
            "keys": config.length_bits,
            "causal": int(config.causal),
            "queries": unsigned_bits(config.block),
            **rank,
        }
    )


class BlockStatistics(wiring.Component):
    """Reduces predictions to block importances and row statistics, one beat per cycle.

    Members
    -------
    i_head : In(stream(head_layout))
        Accepted before the head's predictions.
    i_predictions : In(stream(predictions_layout))
    store : Out(WritePort)
        Blocks of a beat, at address (group, bank) from the lowest bits up.
    levels : Out(WritePort)
        Levels of these blocks, at the same address. Only with the rule ``probability``.
    o_rows : Out(stream(row_statistics_layout))
        Must always be ready. At most ``BANKS`` rows are in flight.
    release : In(1)
        Asserted for one cycle with the last read of a row's blocks; i.e. the row's bank is free.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        bits = block_address_bits(config)
        members = {
            "i_head": In(stream.Signature(head_layout(config))),
            "i_predictions": In(stream.Signature(predictions_layout(config))),
            "store": Out(WritePort(address_bits=bits, layout=stored_blocks_layout(config))),
            "o_rows": Out(stream.Signature(row_statistics_layout(config), always_ready=True)),
            "release": In(1),
        }
        if config.block_rule is BlockRule.PROBABILITY:
            members["levels"] = Out(WritePort(address_bits=bits, layout=stored_levels_layout(config)))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        accepted = self._accept(m)
        measured = self._measure(m, accepted)
        self._store(m, measured)
        self._accumulate(m, self._combine(m, measured))
        return m

    def _accept(self, m: Module) -> Signal:
        """Accept a beat if its row has a bank. The pipeline behind this point never stalls."""
        config = self._config
        tag_layout = {
            "valid": 1,
            "first_group": 1,
            "bank": index_bits(BANKS),
            "group": index_bits(config.groups),
            "row": index_bits(config.blocks),
            "head": head_layout(config),
            "keys": config.length_bits if config.causal else 0,
            "predictions": predictions_layout(config),
        }
        tag = Signal(data.StructLayout(tag_layout))
        active = Signal()
        row_started = Signal()
        bank_free = nonzero(m, init=BANKS, limit=BANKS, up=self.release, down=tag.first_group, name="bank_free")
        ends = Signal()
        predictions = self.i_predictions
        m.d.comb += [
            self.i_head.ready.eq(~active),
            predictions.ready.eq(active & (row_started | bank_free)),
            tag.valid.eq(predictions.ready & predictions.valid),
            tag.first_group.eq(tag.valid & ~row_started),
            tag.predictions.eq(predictions.payload),
            ends.eq(tag.valid & predictions.payload.last_group),
        ]
        for name in ("bank", "group", "row", "keys", "head"):
            register = Signal(tag_layout[name], name=name)
            m.d.comb += tag[name].eq(register)
            match name:
                case "head":
                    with m.If(~active):
                        m.d.sync += [register.eq(self.i_head.payload), active.eq(self.i_head.valid)]
                case "keys":
                    with m.If(~active):
                        m.d.sync += register.eq(keys_of_first_row(config, self.i_head.payload))
                    with m.Elif(ends):
                        m.d.sync += register.eq(keys_of_next_row(config, tag.head.key_length, register))
                case "group":
                    with m.If(tag.valid):
                        m.d.sync += register.eq(Mux(ends, 0, register + 1))
                case "row":
                    with m.If(ends):
                        m.d.sync += register.eq(Mux(predictions.payload.last_row, 0, register + 1))
                case "bank":
                    with m.If(ends):
                        m.d.sync += register.eq(register + 1)
        with m.If(tag.valid):
            m.d.sync += row_started.eq(~ends)
        with m.If(ends & predictions.payload.last_row):
            m.d.sync += active.eq(0)
        return delay(m, tag, 1, enable=1, name="accepted")[-1]

    def _measure(self, m: Module, tag):
        """Rank and total of each block of the beat: one cycle to mask values outside, one per level of the trees.

        The sum of |II| runs over all blocks of the beat, so its tree may have more levels. Levels may take longer.
        """
        config = self._config
        b, bits = config.block, config.prediction_bits
        blocks = Signal(stored_blocks_layout(config), name="measured_blocks")
        trees = latency = 1 + exact_log2(b**2)
        if config.block_rule is BlockRule.PROBABILITY:
            latency = max(latency, self._levels(m, tag, blocks, latency))
        magnitudes = []
        for block in range(config.predictor_blocks):
            inside = [
                (
                    tag.predictions.query_valid[i] & tag.predictions.key_valid[i % config.key_masks][block * b + j],
                    tag.predictions.ii[i][block * b + j],
                )
                for i in range(b)
                for j in range(b)
            ]
            values = _registers(m, [Mux(valid, ii, 0) for valid, ii in inside], bits, f"value_{block}")
            own = _registers(m, [Mux(valid, Mux(ii < 0, -ii, ii), 0) for valid, ii in inside], bits, f"own_{block}")
            magnitudes += own
            total = _total(m, values, f"total_{block}")
            late = delay(m, total, latency - trees, enable=1, name=f"late_total_{block}")[-1]
            m.d.comb += blocks[block].total.eq(late)
            if config.block_rule is BlockRule.PROBABILITY:
                continue
            match config.importance:
                case Importance.MAX:
                    candidates = [Mux(valid, ii, -config.prediction_peak) for valid, ii in inside]
                    candidates = _registers(m, candidates, bits, f"candidate_{block}")
                    importance = extreme(m, candidates, maximum, name=f"largest_{block}", registered=True)
                case Importance.ABS_SUM:
                    importance = _total(m, own, f"importance_{block}")
                case Importance.SUM:
                    importance = total
            m.d.comb += blocks[block].importance.eq(importance)
        absolute = delay(m, _total(m, magnitudes, "absolute"), latency - trees, enable=1, name="late_absolute")[-1]
        return delay(m, tag, latency, enable=1, name="measured")[-1], blocks, absolute

    def _levels(self, m: Module, tag, blocks, least: int) -> int:
        """Levels of each block of the beat, after ``least`` cycles or more. Returns after how many, and stores them."""
        config = self._config
        b = config.block
        m.submodules.factor = factor = LevelFactor(config)
        m.d.comb += [
            factor.load.eq(1),
            factor.score_multiplier.eq(tag.head.score_multiplier),
            factor.score_shift.eq(tag.head.score_shift),
        ]
        latency = least
        for block in range(config.predictor_blocks):
            m.submodules[f"levels_{block}"] = levels = BlockLevels(config)
            latency = max(least, levels.latency)
            m.d.comb += levels.scale.eq(factor.scale)
            for i in range(b):
                own_keys = tag.predictions.key_valid[i % config.key_masks][block * b : (block + 1) * b]
                m.d.comb += levels.inside[i].eq(tag.predictions.query_valid[i].replicate(b) & own_keys)
                for j in range(b):
                    m.d.comb += levels.ii[i][j].eq(tag.predictions.ii[i][block * b + j])
            found = delay(m, levels.levels, latency - levels.latency, enable=1, name=f"found_{block}")[-1]
            m.d.comb += [self.levels.data[block].eq(found), blocks[block].levels.eq(found.levels)]
        return latency

    def _store(self, m: Module, measured) -> None:
        tag, blocks, _ = measured
        m.d.comb += [
            self.store.enable.eq(tag.valid),
            self.store.address.eq(Cat(tag.group, tag.bank)),
            self.store.data.eq(blocks),
        ]
        if self._config.block_rule is BlockRule.PROBABILITY:
            m.d.comb += [self.levels.enable.eq(self.store.enable), self.levels.address.eq(self.store.address)]

    def _combine(self, m: Module, measured):
        """Reduce the blocks of a beat: one cycle to mask blocks outside, one per level of the trees.

        Returns what the rule needs of a beat: the largest level of each query, or an extreme and a sum of importances.
        """
        tag, blocks, absolute = measured
        count = self._config.predictor_blocks
        valid = [tag.predictions.key_valid[-1][i * self._config.block] for i in range(count)]
        if self._config.block_rule is BlockRule.PROBABILITY:
            beat = self._largest_levels(m, valid, blocks)
        else:
            beat = self._extreme_and_sum(m, tag, valid, blocks)
        absolute = delay(m, absolute, 1, enable=1, name="absolute")[-1]
        levels = exact_log2(count)
        return delay(m, tag, 1 + levels, enable=1, name="combined")[-1], beat, absolute

    def _largest_levels(self, m: Module, valid, blocks) -> list[Value]:
        # A block beyond the sequence repeats block 0, which is always inside, so the largest level does not change.
        largest = []
        for query in range(self._config.block):
            levels = [
                Mux(inside, each.levels[query], blocks[0].levels[query])
                for inside, each in zip(valid, blocks, strict=True)
            ]
            levels = _registers(m, levels, self._config.level_bits, f"candidate_{query}")
            largest.append(extreme(m, levels, maximum, name=f"largest_{query}", registered=True))
        return largest

    def _extreme_and_sum(self, m: Module, tag, valid, blocks) -> tuple[Value, Value]:
        """The smallest importance has the largest complement, so one tree of maxima finds either extreme."""
        bits = self._config.importance_bits
        complement = (tag.head.rho < 0).replicate(bits)
        # As above, a block beyond the sequence repeats block 0.
        candidates = [
            Mux(inside, each.importance, blocks[0].importance) ^ complement
            for inside, each in zip(valid, blocks, strict=True)
        ]
        largest = extreme(m, _registers(m, candidates, bits, "candidate"), maximum, name="largest", registered=True)
        importances = [Mux(inside, each.importance, 0) for inside, each in zip(valid, blocks, strict=True)]
        return largest, _total(m, _registers(m, importances, bits, "importance"), "importance_sum")

    def _accumulate(self, m: Module, combined) -> None:
        """Accumulate over the beats of a row, and Σ|II| over the rows of a head."""
        tag, beat, absolute = combined
        row = self.o_rows.payload
        head_started = Signal()
        head_sum = Signal(self._config.head_sum_bits)
        done = Signal()
        with m.If(tag.valid):
            m.d.sync += [
                head_sum.eq(absolute + Mux(head_started, head_sum, 0)),
                head_started.eq(~(tag.predictions.last_group & tag.predictions.last_row)),
                row.bank.eq(tag.bank),
                row.slot.eq(tag.head.slot),
                row.row.eq(tag.row),
                row.last_row.eq(tag.predictions.last_row),
                row.keys.eq(tag.keys if self._config.causal else tag.head.key_length),
                row.causal.eq(tag.head.causal),
                row.queries.eq(popcount(tag.predictions.query_valid)),
            ]
        m.d.sync += done.eq(tag.valid & tag.predictions.last_group)
        threshold = Signal(self._config.head_sum_bits)
        m.d.sync += threshold.eq(tag.head.head_threshold)
        m.d.comb += [
            row.pruned.eq(head_sum < threshold),
            self.o_rows.valid.eq(done),
        ]
        if self._config.block_rule is BlockRule.PROBABILITY:
            with m.If(tag.valid):
                m.d.sync += row.cutoff.eq(tag.head.rho + (1 << RHO_FRACTION))
                for so_far, largest in zip(row.largest, beat, strict=True):
                    m.d.sync += so_far.eq(Mux(tag.first_group | (largest > so_far), largest, so_far))
            return
        beat_largest, importance_sum = beat
        largest = Signal.like(row.extreme, name="row_largest")
        complement = Signal()
        m.d.comb += row.extreme.eq(largest ^ complement.replicate(len(largest)))
        with m.If(tag.valid):
            m.d.sync += [
                largest.eq(Mux(tag.first_group | (beat_largest > largest), beat_largest, largest)),
                complement.eq(tag.head.rho < 0),
                row.importance_sum.eq(importance_sum + Mux(tag.first_group, 0, row.importance_sum)),
                row.magnitude.eq(Mux(tag.head.rho < 0, -tag.head.rho, tag.head.rho)),
            ]


def _registers(m: Module, values: list, width: int, name: str) -> list[Signal]:
    registers = [Signal(signed(width), name=f"{name}_{i}") for i in range(len(values))]
    m.d.sync += [register.eq(value) for register, value in zip(registers, values, strict=True)]
    return registers


def _total(m: Module, values: list[Signal], name: str) -> Value:
    """Sum of values of equal width. Each level of the tree takes one cycle."""
    m.submodules[name] = tree = AdderTree(count=len(values), width=len(values[0]))
    m.d.comb += [tree.enable.eq(1), *(tree.operands[i].eq(value) for i, value in enumerate(values))]
    return tree.total
