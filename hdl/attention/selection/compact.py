"""Compact sparsity engine: predictions in, kept blocks out, one value at a time."""

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig, BlockRule
from ....spec.formats import RHO_FRACTION, unsigned_bits
from ...lib.scratchpad import Scratchpad
from ..visible import keys_of_first_row, keys_of_next_row
from .compact_select import BlockChoice
from .compact_statistics import BlockMeasure
from .kept_blocks import KeptBlocks
from .pipelined import sparsity_engine_signature

__all__ = ["CompactSparsityEngine"]


class CompactSparsityEngine(wiring.Component):
    """Same streams and results as :class:`~thresher.hdl.attention.selection.pipelined.SparsityEngine`.

    The engine measures a row while it selects the blocks of the row before. A head begins after the decision on the
    head before.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        super().__init__(sparsity_engine_signature(config))

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.measure = measure = BlockMeasure(config)
        m.submodules.choice = choice = BlockChoice(config)
        m.submodules.kept_blocks = kept_blocks = KeptBlocks(config)
        connect(m, flipped(self.i_predictions), measure.i_predictions)
        connect(m, measure.o_rows, choice.i_rows)
        connect(m, flipped(self.i_list), kept_blocks.i_head)
        connect(m, kept_blocks.o_rows, flipped(self.o_rows))
        connect(m, kept_blocks.o_blocks, flipped(self.o_blocks))
        for name, writer, reader in (
            ("store", measure.store, choice.store),
            ("mask", choice.mask, kept_blocks.mask),
            ("row", choice.row, kept_blocks.row),
        ):
            memory = Scratchpad(address_bits=len(writer.address), layout=writer.data.shape())
            m.submodules[f"{name}_memory"] = memory
            connect(m, writer, memory.write)
            connect(m, memory.read, reader)
        self._heads(m, measure, choice)
        return m

    def _heads(self, m: Module, measure: BlockMeasure, choice: BlockChoice) -> None:
        """Serve one head at a time, from its acceptance to its decision."""
        config = self._config
        busy = Signal()
        begin = Signal()
        slot = Signal()
        key_length = Signal(config.length_bits)
        blocks = Signal(unsigned_bits(config.blocks))
        causal = Signal(int(config.causal))
        rho = Signal(signed(RHO_FRACTION + 1))
        threshold = Signal(config.head_sum_bits)
        head = self.i_head.payload
        decision = self.o_decisions
        m.d.comb += [
            self.i_head.ready.eq(~busy),
            begin.eq(self.i_head.valid & ~busy),
            measure.begin.eq(begin),
            choice.begin.eq(begin),
            choice.slot.eq(slot),
            choice.causal.eq(causal),
            choice.rho.eq(rho),
            decision.payload.slot.eq(slot),
            decision.payload.pruned.eq(measure.head_sum < threshold),
            decision.payload.kept_blocks.eq(choice.kept),
        ]
        if config.block_rule is BlockRule.PROBABILITY:
            m.d.comb += [
                measure.score_multiplier.eq(head.score_multiplier),
                measure.score_shift.eq(head.score_shift),
            ]
        else:
            m.d.comb += measure.negative.eq(rho < 0)
        stages = {"measured": (measure, measure.ends_row), "chosen": (choice, choice.ends_row)}
        for name, (stage, ends_row) in stages.items():
            keys, row_blocks = key_length, blocks
            if config.causal:
                keys, row_blocks = self._row(m, begin, key_length, ends_row, name)
            if stage is choice:
                m.d.comb += choice.keys.eq(keys)
            if stage is choice or config.block_rule is BlockRule.THRESHOLD:
                m.d.comb += stage.blocks.eq(row_blocks)
        with m.If(begin):
            m.d.sync += [
                busy.eq(1),
                slot.eq(head.slot),
                key_length.eq(head.key_length),
                blocks.eq((head.key_length + (config.block - 1)) >> exact_log2(config.block)),
                causal.eq(head.causal),
                rho.eq(head.rho),
                threshold.eq(head.head_threshold),
            ]
        with m.If(choice.finished):
            m.d.sync += decision.valid.eq(1)
        with m.If(decision.valid & decision.ready):
            m.d.sync += [decision.valid.eq(0), busy.eq(0)]

    def _row(self, m: Module, begin, key_length, ends_row, name: str) -> tuple[Signal, Signal]:
        """Keys and blocks that the current block row of a stage sees."""
        config = self._config
        keys = Signal(config.length_bits, name=f"{name}_keys")
        blocks = Signal(unsigned_bits(config.blocks), name=f"{name}_blocks")
        m.d.comb += blocks.eq((keys + (config.block - 1)) >> exact_log2(config.block))
        with m.If(begin):
            m.d.sync += keys.eq(keys_of_first_row(config, self.i_head.payload))
        with m.Elif(ends_row):
            m.d.sync += keys.eq(keys_of_next_row(config, key_length, keys))
        return keys, blocks
