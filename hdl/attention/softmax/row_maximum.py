"""Maxima of each query row, computed while scores arrive."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ....spec.formats import unsigned_bits
from ...lib.arithmetic import maximum
from ...lib.pipeline import index_bits

__all__ = ["RowMaximum", "row_maximum_layout", "score_block_layout"]


def score_block_layout(config: AttentionConfig) -> data.StructLayout:
    """Scores of one kept block, [query row][key].

    ``key_valid`` marks the keys that are seen, for each query in a causal core and for all of them otherwise.
    ``key_block`` is the block's place along the keys. ``last`` marks
    the last kept block of the block row.
    """
    return data.StructLayout(
        {
            "scores": data.ArrayLayout(data.ArrayLayout(signed(config.score_bits), config.block), config.block),
            "key_valid": data.ArrayLayout(config.block, config.key_masks),
            "key_block": unsigned_bits(config.blocks - 1),
            "last": 1,
        }
    )


def row_maximum_layout(config: AttentionConfig) -> data.StructLayout:
    """A complete block row: the number of its blocks, and the largest valid score of each query row."""
    return data.StructLayout(
        {
            "count": unsigned_bits(config.blocks),
            "maximum": data.ArrayLayout(signed(config.score_bits), config.block),
        }
    )


class RowMaximum(wiring.Component):
    """Largest valid score of each query row over the blocks of a block row.

    A tree finds the maximum over a block's keys, then a running maximum follows. Throughput is one block per cycle.

    Attributes
    ----------
    latency : int
        Cycles from the last block to the result.

    Members
    -------
    i : In(stream(score_block_layout))
        Always ready.
    o : Out(stream(row_maximum_layout))
        Must always be ready.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self.latency = index_bits(config.block) + 2
        super().__init__(
            {
                "i": In(stream.Signature(score_block_layout(config))),
                "o": Out(stream.Signature(row_maximum_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        block = self.i.payload
        lowest = -(1 << (config.score_bits - 1))
        rows = [
            [Mux(block.key_valid[i % config.key_masks][j], score, lowest) for j, score in enumerate(block.scores[i])]
            for i in range(config.block)
        ]
        valid, last = self.i.valid, block.last
        level = 0
        while level == 0 or len(rows[0]) > 1:
            if level:
                rows = [[maximum(a, b) for a, b in zip(row[::2], row[1::2], strict=True)] for row in rows]
            level += 1
            held = Signal(
                data.ArrayLayout(data.ArrayLayout(signed(config.score_bits), len(rows[0])), config.block),
                name=f"largest_{level}",
            )
            held_valid, held_last = Signal(name=f"valid_{level}"), Signal(name=f"last_{level}")
            m.d.sync += [held_valid.eq(valid), held_last.eq(last)]
            m.d.sync += [held[i][j].eq(value) for i, row in enumerate(rows) for j, value in enumerate(row)]
            rows, valid, last = [list(row) for row in held], held_valid, held_last
        self._run(m, [row[0] for row in rows], valid, last)
        m.d.comb += self.i.ready.eq(1)
        return m

    def _run(self, m: Module, largest: list, valid: Signal, last: Signal) -> None:
        """Running maximum and count over a block row."""
        out = self.o.payload
        first = Signal(init=1)
        m.d.sync += self.o.valid.eq(valid & last)
        with m.If(valid):
            m.d.sync += [first.eq(last), out.count.eq(Mux(first, 1, out.count + 1))]
            m.d.sync += [
                running.eq(Mux(first, value, maximum(value, running)))
                for running, value in zip(out.maximum, largest, strict=True)
            ]
