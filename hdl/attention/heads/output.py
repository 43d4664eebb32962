"""Output of the core: results in row order, zeros for pruned heads, statistics for every head."""

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_command import CommandError
from ....spec.attention_config import AttentionConfig
from ....spec.formats import CYCLE_BITS, INT8_BITS
from ...lib.arithmetic import popcount
from ...lib.packets import packet_error
from ...lib.pipeline import delay, index_bits
from ...lib.scratchpad import BLOCK_RAM
from ...lib.streams import nonzero
from ..head_streams import output_layout, statistics_layout
from ..normalise.pipelined import output_words_layout
from .table import finish_layout

__all__ = ["OutputBuffer"]

BANKS = 2
"""Block rows in the buffer: one fills while the other leaves."""


class OutputBuffer(wiring.Component):
    """Collects the words of a block row, which arrive chunk by chunk, and sends the block row by rows.

    Members
    -------
    i_head : In(stream(finish_layout))
    i_words : In(stream(output_words_layout))
    o_data : Out(stream(output_layout))
    last : Out(1)
        Asserted with the last payload of ``o_data`` of a head.
    o_statistics : Out(stream(statistics_layout))
    release : Out(1)
        Asserted for one cycle when the head's statistics are accepted; i.e. the head's slot is free.
    now : In(32)
        Cycles since reset.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        super().__init__(
            {
                "i_head": In(stream.Signature(finish_layout(config))),
                "i_words": In(stream.Signature(output_words_layout(config))),
                "o_data": Out(stream.Signature(output_layout(config))),
                "last": Out(1),
                "o_statistics": Out(stream.Signature(statistics_layout(config))),
                "release": Out(1),
                "now": In(CYCLE_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        b = config.block
        head = Signal(finish_layout(config))
        expected = Signal()  # further block rows of this head will arrive
        filled = Signal()
        emptied = Signal()
        bank_free = nonzero(m, init=BANKS, limit=BANKS, up=emptied, down=filled, name="bank_free")
        row_ready = nonzero(m, init=0, limit=BANKS, up=filled, down=emptied, name="row_ready")

        groups = config.lanes // config.output_lanes
        chunk_bits = index_bits(config.chunks)
        word_bits = INT8_BITS * config.output_lanes
        memory = Memory(
            shape=data.ArrayLayout(unsigned(word_bits), groups),
            depth=BANKS << (exact_log2(b) + chunk_bits),
            init=[],
            attrs=BLOCK_RAM if config.compact else {},
        )
        m.submodules.memory = memory
        write = memory.write_port(granularity=1)
        read = memory.read_port(domain="sync" if config.compact else "comb")
        saturations = self._collect(m, head, expected, write, filled, bank_free)

        # Output of rows.
        bank = Signal(1)
        query = Signal(index_bits(b))
        chunk = Signal(chunk_bits)
        rows_left = Signal(config.length_bits)
        last_beat = chunk == head.last_chunk
        last_row = rows_left == 1
        sent = Signal()
        place = Cat(chunk, query, bank)
        following = Signal(len(chunk) + len(query) + len(bank))
        m.d.comb += [
            following.eq(place),
            # Block RAM needs the address one cycle ahead. This is safe: the word that completes a block row is never
            # the first one to leave.
            read.addr.eq(following if config.compact else place),
            sent.eq(self.o_data.valid & self.o_data.ready),
            self.last.eq(last_beat & last_row),
            emptied.eq(sent & ~head.pruned & last_beat & (last_row | (query == b - 1))),
        ]
        m.d.comb += Value.cast(self.o_data.payload).eq(Mux(head.pruned, 0, Value.cast(read.data)))
        with m.If(sent):
            m.d.comb += following[:chunk_bits].eq(Mux(last_beat, 0, chunk + 1))
            with m.If(last_beat):
                m.d.comb += following[chunk_bits:-1].eq(Mux(last_row, 0, query + 1))
                m.d.sync += rows_left.eq(rows_left - 1)
        with m.If(emptied):
            m.d.comb += following[-1].eq(bank + 1)
        m.d.sync += place.eq(following)

        statistics = self.o_statistics.payload
        m.d.comb += [
            statistics.error.eq(packet_error(head.error, head.fault, CommandError)),
            statistics.pruned.eq(head.pruned),
            statistics.kept_blocks.eq(head.kept_blocks),
            statistics.saturations.eq(saturations),
        ]
        with m.FSM(name="output"):
            with m.State("HEAD"):
                m.d.comb += self.i_head.ready.eq(1)
                m.d.sync += [
                    head.eq(self.i_head.payload),
                    rows_left.eq(self.i_head.payload.head.query_length),
                    saturations.eq(0),
                    statistics.cycles.eq(self.now - self.i_head.payload.accepted),
                ]
                with m.If(self.i_head.valid):
                    m.d.sync += expected.eq(
                        ~self.i_head.payload.pruned & (self.i_head.payload.error == CommandError.NONE)
                    )
                    m.next = "ROWS"
                    with m.If(self.i_head.payload.error != CommandError.NONE):
                        m.next = "REFUSED"
            with m.State("ROWS"):
                m.d.sync += statistics.cycles.eq(statistics.cycles + 1)
                m.d.comb += self.o_data.valid.eq(head.pruned | row_ready)
                with m.If(sent & self.last):
                    m.next = "STATISTICS"
            with m.State("REFUSED"):
                m.d.sync += statistics.cycles.eq(statistics.cycles + 1)
                m.next = "STATISTICS"
            with m.State("STATISTICS"):
                m.d.comb += [self.o_statistics.valid.eq(1), self.release.eq(self.o_statistics.ready)]
                with m.If(self.o_statistics.ready):
                    m.next = "HEAD"
        return m

    def _collect(self, m: Module, head, expected, write, filled, bank_free) -> Signal:
        """Write words into the bank that fills, by columns, query rows and chunks, and count the clipped values."""
        config = self._config
        groups = config.lanes // config.output_lanes
        saturations = Signal(config.saturation_bits)
        bank = Signal(1)
        group = Signal(index_bits(groups))
        query = Signal(index_bits(config.block))
        chunk = Signal(index_bits(config.chunks))
        row = Signal(config.length_bits)  # first row of the block row
        taken = Signal()
        last_query = query == config.block - 1
        # Registered comparisons. They are in time, because a block row has at least two words.
        last_group = Signal(init=groups == 1)
        last_chunk = Signal()
        more = Signal()
        m.d.sync += [last_chunk.eq(chunk == head.last_chunk), more.eq(head.head.query_length > row + config.block)]
        # Words of the next head may arrive while the last rows of this head leave.
        m.d.comb += [
            self.i_words.ready.eq(expected & bank_free),
            taken.eq(self.i_words.valid & self.i_words.ready),
            filled.eq(taken & last_group & last_query & last_chunk),
        ]
        # A register before LUT RAM, whose cells may be far apart. The word that completes a block row may be this late,
        # because it is never the first one to leave.
        enables, address = Cat(taken & (group == i) for i in range(groups)), Cat(chunk, query, bank)
        values = Value.cast(self.i_words.payload.values)
        word = delay(m, Cat(enables, address, values), 0 if config.compact else 1, enable=1, name="word")[-1]
        m.d.comb += [write.en.eq(word[:groups]), write.addr.eq(word[groups:])]
        m.d.comb += [Value.cast(write.data[i]).eq(word[-len(values) :]) for i in range(groups)]
        with m.If(taken):
            m.d.sync += [
                group.eq(Mux(last_group, 0, group + 1)),
                last_group.eq(group == groups - 2 if groups > 1 else 1),
            ]
            with m.If(last_group):
                m.d.sync += query.eq(query + 1)
                with m.If(last_query):
                    m.d.sync += chunk.eq(Mux(last_chunk, 0, chunk + 1))
            with m.If(row + query < head.head.query_length):
                m.d.sync += saturations.eq(saturations + popcount(self.i_words.payload.saturated))
        with m.If(filled):
            m.d.sync += [
                bank.eq(bank + 1),
                row.eq(row + config.block),
                expected.eq(more),
            ]
        with m.If(self.i_head.ready):
            m.d.sync += row.eq(0)
        return saturations
