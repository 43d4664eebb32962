"""Column sums of V over the keys that each query sees, for causal cores."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig
from ....spec.formats import unsigned_bits
from ...lib.pipeline import index_bits
from ...lib.scratchpad import Scratchpad
from ..array import completed_layout
from ..head_streams import head_layout
from .loader import value_beat_layout
from .value_sums import running_sums

__all__ = ["QuerySums"]


class QuerySums(wiring.Component):
    """ΣV of each column, over the keys that each query of the head in each slot sees.

    The sums that run along while V loads pass through those of every query. A memory keeps them. All queries of a head
    that is not causal share the sums over all keys.

    Members
    -------
    beat : In(value_beat_layout)
    heads : In(ArrayLayout(head_layout, 2)), last_chunk : In(ArrayLayout(…, 2))
        The head in each slot, and its last column chunk.
    completed : In(completed_layout)
        Strobe: the array completes the accumulators of a block row and chunk in this cycle.
    sums : Out(ArrayLayout(ArrayLayout(signed(value_sum_bits), lanes), block))
        The sums of these accumulators, from the next cycle to the next strobe.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        sums = data.ArrayLayout(signed(config.value_sum_bits), config.lanes)
        super().__init__(
            {
                "beat": In(value_beat_layout(config)),
                "heads": In(data.ArrayLayout(head_layout(config), 2)),
                "last_chunk": In(data.ArrayLayout(unsigned_bits(config.chunks - 1), 2)),
                "completed": In(completed_layout(config)),
                "sums": Out(data.ArrayLayout(sums, config.block)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.memory = memory = Scratchpad(
            address_bits=index_bits(config.chunks) + index_bits(config.blocks) + 1,
            layout=self.sums.shape(),
            write_layout=data.ArrayLayout(config.lanes * config.value_sum_bits, config.block),
            granules=config.block,
        )
        self._write(m, memory.write)
        self._read(m, memory.read)
        return m

    def _write(self, m: Module, port) -> None:
        """Keep the sums of a query when its own key arrives, and at the places behind it, as the loader does."""
        config = self._config
        inner = exact_log2(config.block)
        beat, sums = running_sums(m, config, self.beat)
        head = self.heads[beat.slot]
        query = Signal(signed(config.length_bits + 1))  # negative for keys before the first query
        held = Signal.like(beat)
        held_sums = Signal.like(sums)
        m.d.sync += [
            query.eq(beat.row - (head.key_length - head.query_length)),
            held.eq(beat),
            held_sums.eq(sums),
        ]
        causal = self.heads[held.slot].causal
        row = query[inner : inner + index_bits(config.blocks)]
        m.d.comb += port.address.eq(Cat(held.chunk, Mux(causal, row, 0)[: len(row)], held.slot))
        for i in range(config.block):
            here = ~causal | ((query >= 0) & (query[:inner] <= i))
            m.d.comb += [port.data[i].eq(held_sums), port.enable[i].eq(held.valid & here)]

    def _read(self, m: Module, port) -> None:
        """Count the block rows of a head."""
        config = self._config
        inner = exact_log2(config.block)
        place = self.completed
        head = self.heads[place.slot]
        row = Signal(index_bits(config.blocks))
        m.d.comb += [
            port.address.eq(Cat(place.chunk, Mux(head.causal, row, 0)[: len(row)], place.slot)),
            port.enable.eq(place.valid),
            Value.cast(self.sums).eq(port.data),
        ]
        with m.If(place.valid & (place.chunk == self.last_chunk[place.slot])):
            last = row == (head.query_length - 1)[inner:]
            m.d.sync += row.eq(Mux(last, 0, row + 1))
