"""Pipelined sparsity engine: predictions in, kept blocks out."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ....spec.attention_config import AttentionConfig, BlockRule
from ...lib.scratchpad import Scratchpad
from ..head_streams import head_layout, predictions_layout
from .block_select import BlockSelect, decision_layout
from .block_statistics import BlockStatistics
from .kept_blocks import KeptBlocks, kept_block_layout, kept_row_layout

__all__ = ["SparsityEngine", "sparsity_engine_signature"]


def sparsity_engine_signature(config: AttentionConfig) -> wiring.Signature:
    """Streams of the engine; see :class:`SparsityEngine`."""
    return wiring.Signature(
        {
            "i_head": In(stream.Signature(head_layout(config))),
            "i_predictions": In(stream.Signature(predictions_layout(config))),
            "o_decisions": Out(stream.Signature(decision_layout(config))),
            "i_list": In(stream.Signature(head_layout(config))),
            "o_rows": Out(stream.Signature(kept_row_layout(config))),
            "o_blocks": Out(stream.Signature(kept_block_layout(config))),
        }
    )


class SparsityEngine(wiring.Component):
    """Selects the blocks of one head while it lists the kept blocks of the head before.

    Every head passes twice. First, the engine measures the head's predictions and stores its mask: ``i_head`` and
    ``i_predictions`` in, ``o_decisions`` out. Later, if the head is not pruned, the engine lists its kept blocks:
    ``i_list`` in, ``o_rows`` and ``o_blocks`` out. The two passes may serve different heads, in different slots.

        i_predictions ── statistics ── block memory ── threshold, select ── o_decisions
                                                              │
                                                    mask and row memories
                                                              │
                                               i_list ── kept blocks ── o_rows, o_blocks

    Members
    -------
    i_head, i_list : In(stream(head_layout))
    i_predictions : In(stream(predictions_layout))
    o_decisions : Out(stream(decision_layout))
    o_rows : Out(stream(kept_row_layout))
    o_blocks : Out(stream(kept_block_layout))
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        super().__init__(sparsity_engine_signature(config))

    def elaborate(self, platform):
        m = Module()
        m.submodules.statistics = statistics = BlockStatistics(self._config)
        m.submodules.select = select = BlockSelect(self._config)
        m.submodules.kept_blocks = kept_blocks = KeptBlocks(self._config)
        connect(m, flipped(self.i_head), statistics.i_head)
        connect(m, flipped(self.i_predictions), statistics.i_predictions)
        connect(m, statistics.o_rows, select.i_rows)
        m.d.comb += statistics.release.eq(select.release)
        connect(m, select.o_heads, flipped(self.o_decisions))
        connect(m, flipped(self.i_list), kept_blocks.i_head)
        connect(m, kept_blocks.o_rows, flipped(self.o_rows))
        connect(m, kept_blocks.o_blocks, flipped(self.o_blocks))
        self._memory(m, "store", statistics.store, select.store)
        if self._config.block_rule is BlockRule.PROBABILITY:
            # A memory of their own, so that one row is summed while another is compared.
            self._memory(m, "level", statistics.levels, select.levels)
        self._memory(m, "mask", select.mask, kept_blocks.mask)
        self._memory(m, "row", select.row, kept_blocks.row)
        return m

    def _memory(self, m: Module, name: str, writer, reader) -> None:
        memory = Scratchpad(address_bits=len(writer.address), layout=writer.data.shape())
        m.submodules[f"{name}_memory"] = memory
        connect(m, writer, memory.write)
        connect(m, memory.read, reader)
