"""Queue of announced block rows, and which of them have all their scores."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ....spec.formats import unsigned_bits
from ...lib.pipeline import index_bits
from ...lib.scratchpad import BLOCK_RAM
from .row_walker import softmax_row_layout

__all__ = ["ROWS_AHEAD", "RowQueue", "waiting_row_layout"]

ROWS_AHEAD = 4
"""Block rows that may wait for their scores or their turn."""


def waiting_row_layout(config: AttentionConfig) -> data.StructLayout:
    """A waiting block row, in as few bits as possible: block RAM comes in words of 16 bits."""
    members = dict(softmax_row_layout(config).members)
    del members["chunks"]
    return data.StructLayout(members | {"last_chunk": unsigned_bits(config.chunks - 1)})


class RowQueue(wiring.Component):
    """Queue of block rows in block RAM. It offers a row after the row's last scores have arrived.

    Members
    -------
    i : In(stream(softmax_row_layout))
    arrived : In(1)
        Strobe: the last scores of the next incomplete row have arrived.
    valid : Out(1), row : Out(waiting_row_layout)
        The first row, once it is complete.
    release : In(1)
        Strobe: remove the first row. It is undefined to assert it while ``valid`` is low.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(softmax_row_layout(config))),
                "arrived": In(1),
                "valid": Out(1),
                "row": Out(waiting_row_layout(config)),
                "release": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        memory = Memory(shape=waiting_row_layout(self._config), depth=ROWS_AHEAD, init=[], attrs=BLOCK_RAM)
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        # One bit more than an address distinguishes full from empty.
        told, complete, first = (
            Signal(unsigned(index_bits(ROWS_AHEAD) + 1), name=name) for name in ("told", "complete", "first")
        )
        payload = self.i.payload
        m.d.comb += [
            self.i.ready.eq((told ^ first) != ROWS_AHEAD),
            write.en.eq(self.i.valid & self.i.ready),
            write.addr.eq(told),
            read.addr.eq(first),
            self.row.eq(read.data),
            write.data.last_chunk.eq(payload.chunks - 1),
        ]
        m.d.comb += [write.data[name].eq(payload[name]) for name in write.data.shape().members if name != "last_chunk"]
        with m.If(write.en):
            m.d.sync += told.eq(told + 1)
        with m.If(self.arrived):
            m.d.sync += complete.eq(complete + 1)
        # The memory's data follow the address by one cycle.
        m.d.sync += self.valid.eq((complete != first) & ~self.release)
        with m.If(self.release):
            m.d.sync += first.eq(first + 1)
        return m
