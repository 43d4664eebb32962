"""Products of nibbles without multipliers: sums of a few query nibbles, looked up by the bits of the keys."""

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig
from ....spec.formats import ceil_div
from ...lib.pipeline import delay, index_bits
from ...lib.scratchpad import ReadPort

__all__ = ["GROUPED", "QueryTables", "group_count", "query_row_layout", "sum_bits"]

GROUPED = 3
"""Neighbouring columns that share a table: two block rows of 2^3 sums just fill a LUT RAM of 16 words."""


def group_count(config: AttentionConfig) -> int:
    """Tables along ``predictor_lanes``; the last may have columns to spare."""
    return ceil_div(config.predictor_lanes, GROUPED)


def sum_bits(config: AttentionConfig) -> int:
    """Bits of a sum of up to ``GROUPED`` signed nibbles."""
    return config.integer_bits + index_bits(GROUPED)


def query_row_layout(config: AttentionConfig) -> data.StructLayout:
    """A block row of queries, and the chunks of its head."""
    return data.StructLayout(
        {
            "slot": 1,
            "row": unsigned(index_bits(config.blocks)),
            "last_chunk": unsigned(index_bits(config.predictor_chunks)),
        }
    )


def nibbles_layout(config: AttentionConfig, rows: int) -> data.ArrayLayout:
    """A scratchpad's word: integer parts of ``rows`` rows, ``predictor_lanes`` deep."""
    return data.ArrayLayout(data.ArrayLayout(signed(config.integer_bits), config.predictor_lanes), rows)


class QueryTables(wiring.Component):
    """Distributed arithmetic: Σ q·k = Σ_b ±2^b · Σ q·(bit b of k), and the inner sum over three columns is one of eight
    numbers that depend on q alone. They are written once per block row, while the row before is worked on.

    Parameters
    ----------
    config : AttentionConfig
    lookups : int
        Numbers of keys times bits that are looked up at the same time.

    Attributes
    ----------
    row_cycles : int
        Cycles per chunk to fill the tables of a row.

    Members
    -------
    i_rows : In(stream(query_row_layout))
    q_read : In(ReadPort)
        Addresses are (chunk, block row, slot) from the lowest bits up.
    filled : Out(2)
        Halves whose tables are complete.
    release : In(2)
        High for a cycle when a half is no longer needed. Rows take the halves by turns.
    half, chunk : In
        What is looked up.
    bits : In(ArrayLayout(ArrayLayout(3, groups), lookups))
        Bits of a key's columns.
    sums : Out
        For each lookup, group and query of the block row the sum, in the same cycle.
    """

    row_cycles = 1 << GROUPED

    def __init__(self, config: AttentionConfig, *, lookups: int):
        self._config = config
        self._lookups = lookups
        groups = group_count(config)
        sums = data.ArrayLayout(signed(sum_bits(config)), config.block)
        chunk = index_bits(config.predictor_chunks)
        super().__init__(
            {
                "i_rows": In(stream.Signature(query_row_layout(config))),
                "q_read": In(
                    ReadPort(
                        address_bits=chunk + index_bits(config.blocks) + 1,
                        layout=nibbles_layout(config, config.block),
                    )
                ),
                "filled": Out(2),
                "release": In(2),
                "half": In(1),
                "chunk": In(chunk),
                "bits": In(data.ArrayLayout(data.ArrayLayout(unsigned(GROUPED), groups), lookups)),
                "sums": Out(data.ArrayLayout(data.ArrayLayout(sums, groups), lookups)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        row = Signal(query_row_layout(self._config))
        half, filling = Signal(), Signal()
        chunk = Signal.like(self.chunk)
        entry = Signal(GROUPED)
        last = Signal()  # known a cycle ahead
        ending = entry == (1 << GROUPED) - 2
        m.d.sync += last.eq(filling & ending & (chunk == row.last_chunk))
        # The next row may begin in the cycle after the last entry of this one.
        free, target = Signal(), Signal()
        m.d.comb += [
            target.eq(half ^ last),
            free.eq((~filling | last) & ~self.filled.bit_select(target, 1)),
            self.i_rows.ready.eq(free),
        ]
        take = self.i_rows.valid & free
        following = Signal(query_row_layout(self._config))
        m.d.comb += following.eq(Mux(take, self.i_rows.payload, row))
        # Block memory is far away and slow to answer, and the tables lie far apart: a register before and behind it,
        # and one behind the sums.
        m.d.comb += self.q_read.enable.eq(1)
        with m.If(take | (filling & entry.all())):
            m.d.sync += self.q_read.address.eq(
                Cat(Mux(take, 0, chunk + 1)[: len(chunk)], following.row, following.slot)
            )
        with m.If(filling):
            m.d.sync += entry.eq(entry + 1)
            with m.If(entry.all()):
                m.d.sync += chunk.eq(chunk + 1)
        with m.If(last):
            m.d.sync += [filling.eq(0), half.eq(~half)]
        with m.If(take):
            m.d.sync += [row.eq(self.i_rows.payload), filling.eq(1), chunk.eq(0)]
        step = Signal(data.StructLayout({"valid": 1, "last": 1, "entry": GROUPED, "chunk": len(chunk), "half": 1}))
        m.d.comb += [
            step.valid.eq(filling),
            step.last.eq(last),
            step.entry.eq(entry),
            step.chunk.eq(chunk),
            step.half.eq(half),
        ]
        _, addressed, read, summed = delay(m, step, 3, enable=1, name="step")
        words = Signal.like(self.q_read.data, name="words")
        m.d.sync += words.eq(self.q_read.data)
        for i in range(2):
            # The first lookup comes two cycles after the decision for it, the last sum two cycles after this.
            with m.If(addressed.last & (addressed.half == i)):
                m.d.sync += self.filled[i].eq(1)
            with m.Elif(self.release[i]):
                m.d.sync += self.filled[i].eq(0)
        for group in range(group_count(self._config)):
            self._table(m, group, words, read, summed)
        return m

    def _table(self, m: Module, group: int, words, read, summed) -> None:
        """Eight sums per chunk and half, for all queries of the block row."""
        config = self._config
        place = Cat(summed.chunk, summed.half)
        columns = range(group * GROUPED, min((group + 1) * GROUPED, config.predictor_lanes))
        shape = data.ArrayLayout(unsigned(sum_bits(config)), config.block)
        sums = Signal(shape, name=f"sums_{group}")
        for query in range(config.block):
            chosen = [Mux(read.entry[i], words[query][column], 0) for i, column in enumerate(columns)]
            m.d.sync += sums[query].eq(sum(chosen[1:], chosen[0]))
        for lookup in range(self._lookups):
            # A copy for each lookup, as LUT RAM has one read port: a memory of many is more than Yosys can map.
            memory = Memory(shape=shape, depth=1 << (GROUPED + len(place)), init=[])
            m.submodules[f"table_{group}_{lookup}"] = memory
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(summed.valid),
                write.addr.eq(Cat(summed.entry, place)),
                write.data.eq(sums),
                read.addr.eq(Cat(self.bits[lookup][group], self.chunk, self.half)),
            ]
            for query in range(config.block):
                m.d.comb += self.sums[lookup][group][query].eq(read.data[query])
