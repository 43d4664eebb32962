"""Passes over the blocks of a complete block row."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ....spec.formats import SCORE_MULTIPLIER_BITS, SCORE_SHIFT_BITS, unsigned_bits
from ..selection.block_select import pruned_keys_layout
from .row_maximum import row_maximum_layout

__all__ = ["RowWalker", "row_context_layout", "softmax_row_layout", "step_layout"]


def softmax_row_layout(config: AttentionConfig) -> data.StructLayout:
    """A block row as announced to the softmax.

    ``background`` is the score of pruned positions, ``chunks`` the number of passes of weights (1 or more), and
    ``slot`` a tag that results carry.
    """
    return data.StructLayout(
        {
            "background": signed(config.score_bits),
            "pruned_keys": pruned_keys_layout(config),
            "chunks": unsigned_bits(config.chunks),
            "score_multiplier": SCORE_MULTIPLIER_BITS,
            "score_shift": SCORE_SHIFT_BITS,
            "slot": 1,
        }
    )


def row_context_layout(config: AttentionConfig) -> data.StructLayout:
    """A complete block row.

    ``filled`` is set if the row has pruned positions that take part in the softmax. The maximum then includes their
    score. In a causal core it has a bit for each query.
    """
    layouts = (softmax_row_layout(config), row_maximum_layout(config))
    members = {name: shape for layout in layouts for name, shape in layout.members.items()}
    return data.StructLayout({**members, "filled": config.key_masks})


def step_layout(config: AttentionConfig) -> data.StructLayout:
    """One step of a pass.

    ``background`` marks the score of the pruned positions, in place of a block. ``adds`` tells that the block enters
    the sums, ``emits`` that its weights are sent. ``first`` and ``last`` mark the ends of a pass. ``last_pass`` marks
    the last pass over the row.
    """
    return data.StructLayout(
        {
            "row": row_context_layout(config),
            "background": 1,
            "adds": 1,
            "emits": 1,
            "first": 1,
            "last": 1,
            "last_pass": 1,
            "chunk": unsigned_bits(config.chunks - 1),
        }
    )


class RowWalker(wiring.Component):
    """Walks the ring of scores, one block row after another, without lost cycles.

    Parameters
    ----------
    config : AttentionConfig
    entries : int
        Size of the ring, a power of two.
    adds, emits : bool
        Purpose of the passes. With ``adds``, the first pass forms the sums, and it begins with the background if the
        row is filled. With ``emits``, there are ``chunks`` passes, otherwise one.

    Members
    -------
    i : In(stream(row_context_layout))
    o : Out(stream(step_layout))
    address : Out
        Address of the step's block in the ring.
    """

    def __init__(self, config: AttentionConfig, *, entries: int, adds: bool, emits: bool):
        self._adds, self._emits = adds, emits
        super().__init__(
            {
                "i": In(stream.Signature(row_context_layout(config))),
                "o": Out(stream.Signature(step_layout(config))),
                "address": Out(range(entries)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        step = self.o.payload
        row = Signal.like(self.i.payload)
        base = Signal.like(self.address)
        blocks_left = Signal.like(row.count)
        passes_left = Signal.like(row.chunks)
        background = Signal()
        first = Signal()
        ends_row = Signal()
        # Registers next to the counters hold the results of comparisons, so that no comparison is on a path to other
        # registers.
        last_block = Signal()
        first_pass = Signal()
        last_pass = Signal()
        chunk = Signal.like(step.chunk)
        m.d.comb += [
            step.row.eq(row),
            step.background.eq(background),
            step.first.eq(first),
            step.chunk.eq(chunk),
            step.adds.eq(~background & first_pass if self._adds else 0),
            step.emits.eq(~background if self._emits else 0),
            step.last.eq(~background & last_block),
            step.last_pass.eq(last_pass),
            ends_row.eq(step.last & step.last_pass),
            self.i.ready.eq(~self.o.valid | (self.o.ready & ends_row)),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += background.eq(0)
            with m.If(~background):
                m.d.sync += [
                    first.eq(step.last),
                    blocks_left.eq(blocks_left - 1),
                    last_block.eq(blocks_left == 2),
                    self.address.eq(self.address + 1),
                ]
            with m.If(step.last):
                m.d.sync += [
                    blocks_left.eq(row.count),
                    last_block.eq(row.count == 1),
                    self.address.eq(base),
                    chunk.eq(chunk + 1),
                    first_pass.eq(0),
                    passes_left.eq(passes_left - 1),
                    last_pass.eq(passes_left == 2),
                ]
            with m.If(ends_row):
                # The next row begins behind this one.
                m.d.sync += [self.o.valid.eq(0), base.eq(self.address + 1), self.address.eq(self.address + 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.o.valid.eq(1),
                row.eq(self.i.payload),
                blocks_left.eq(self.i.payload.count),
                last_block.eq(self.i.payload.count == 1),
                passes_left.eq(self.i.payload.chunks),
                last_pass.eq(self.i.payload.chunks == 1 if self._emits else 1),
                chunk.eq(0),
                first_pass.eq(1),
                first.eq(1),
                background.eq(self.i.payload.filled.any() if self._adds else 0),
            ]
        return m
