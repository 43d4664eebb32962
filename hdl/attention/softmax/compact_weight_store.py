"""Weights of block rows, sent to the PE array once per chunk of V's columns."""

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig
from ....spec.formats import unsigned_bits
from ...lib.pipeline import index_bits
from ...lib.scratchpad import BLOCK_RAM, WritePort
from .pipelined import weight_block_layout

__all__ = ["WeightStore", "stored_row_layout", "stored_weights_layout"]


def stored_weights_layout(config: AttentionConfig) -> data.ArrayLayout:
    """Weights of a block minus the background, row by row, in two's complement."""
    return data.ArrayLayout(unsigned(config.weight_bits + 1), config.block**2)


def stored_row_layout(config: AttentionConfig, entries: int) -> data.StructLayout:
    """A block row with complete weights: their addresses, and the number of passes minus one."""
    return data.StructLayout(
        {
            "base": index_bits(entries),
            "end": index_bits(entries),
            "last_chunk": unsigned_bits(config.chunks - 1),
            "slot": 1,
        }
    )


class WeightStore(wiring.Component):
    """Memory of weights, and the passes over its block rows.

    Parameters
    ----------
    config : AttentionConfig
    entries : int
        Capacity in blocks, a power of two.

    Members
    -------
    write : In(WritePort)
        One granule per weight of a block.
    place : In(WritePort)
        The key block of each entry.
    i : In(stream(stored_row_layout))
    o : Out(stream(weight_block_layout))
    freed : Out(1)
        Strobe: the last read of an entry; i.e. the entry is free.
    """

    def __init__(self, config: AttentionConfig, *, entries: int):
        self._config = config
        self._entries = entries
        bits = index_bits(entries)
        weights = WritePort(address_bits=bits, layout=stored_weights_layout(config), granules=config.block**2)
        places = WritePort(address_bits=bits, layout=unsigned_bits(config.blocks - 1))
        super().__init__(
            {
                "write": In(weights),
                "place": In(places),
                "i": In(stream.Signature(stored_row_layout(config, entries))),
                "o": Out(stream.Signature(weight_block_layout(config))),
                "freed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        row = Signal.like(self.i.payload)
        active = Signal()
        address = Signal.like(row.base)
        chunk = Signal.like(row.last_chunk)
        advance = Signal()
        last = Signal()
        last_pass = Signal()
        out = self.o.payload
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            last.eq(address == row.end),
            last_pass.eq(chunk == row.last_chunk),
            self.freed.eq(advance & active & last_pass),
            self.i.ready.eq(~active),
        ]
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(active),
                out.first.eq(address == row.base),
                out.last.eq(last),
                out.chunk.eq(chunk),
                out.slot.eq(row.slot),
            ]
            with m.If(active):
                m.d.sync += address.eq(Mux(last, row.base, address + 1))
                with m.If(last):
                    m.d.sync += chunk.eq(chunk + 1)
                    with m.If(last_pass):
                        m.d.sync += active.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [row.eq(self.i.payload), address.eq(self.i.payload.base), chunk.eq(0), active.eq(1)]
        self._memories(m, address, advance)
        return m

    def _memories(self, m: Module, address: Signal, advance: Signal) -> None:
        """The memories' outputs hold while the array stalls, so they serve as the output register."""
        out = self.o.payload
        for name, writer, shape in (
            ("weights", self.write, stored_weights_layout(self._config)),
            ("places", self.place, data.ArrayLayout(unsigned(len(self.place.data)), 1)),
        ):
            memory = Memory(shape=shape, depth=self._entries, init=[], attrs=BLOCK_RAM)
            m.submodules[name] = memory
            write = memory.write_port(granularity=1)
            read = memory.read_port()
            m.d.comb += [
                write.addr.eq(writer.address),
                write.en.eq(writer.enable),
                write.data.eq(writer.data),
                read.addr.eq(address),
                read.en.eq(advance),
            ]
            if name == "places":
                m.d.comb += out.key_block.eq(read.data[0])
            else:
                bits = exact_log2(self._config.block)
                m.d.comb += [
                    out.weights[i >> bits][i & (self._config.block - 1)].eq(value) for i, value in enumerate(read.data)
                ]
