"""Products of nibbles without multipliers: the bits of the keys look up sums of query nibbles."""

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
"""Neighbouring columns per table. The 2^3 sums of two block rows exactly fill a LUT RAM of 16 words."""


def group_count(config: AttentionConfig) -> int:
    """Tables along ``predictor_lanes``; the last table may have unused columns."""
    return ceil_div(config.predictor_lanes, GROUPED)


def sum_bits(config: AttentionConfig) -> int:
    """Bits of a sum of up to ``GROUPED`` signed nibbles."""
    return config.integer_bits + index_bits(GROUPED)


def query_row_layout(config: AttentionConfig) -> data.StructLayout:
    """A block row of queries, and its head's last chunk."""
    return data.StructLayout(
        {
            "slot": 1,
            "row": unsigned(index_bits(config.blocks)),
            "last_chunk": unsigned(index_bits(config.predictor_chunks)),
        }
    )


def nibbles_layout(config: AttentionConfig, rows: int) -> data.ArrayLayout:
    """A word of a nibble scratchpad: integer parts of ``rows`` rows and ``predictor_lanes`` columns."""
    return data.ArrayLayout(data.ArrayLayout(signed(config.integer_bits), config.predictor_lanes), rows)


class QueryTables(wiring.Component):
    """Distributed arithmetic: Σ q·k = Σ_b ±2^b · Σ q·(bit b of k).

    The inner sum over three columns is one of eight numbers, and these depend on q alone. The tables hold these numbers
    for two block rows, in two halves: one half is read while the other fills.

    Parameters
    ----------
    config : AttentionConfig
    lookups : int
        Lookups per cycle: keys times bits.

    Attributes
    ----------
    row_cycles : int
        Cycles per chunk to fill the tables of a block row.

    Members
    -------
    i_rows : In(stream(query_row_layout))
        Block rows to fill. They use the halves in turn.
    q_read : In(ReadPort)
        Addresses are (chunk, block row, slot) from the lowest bits up.
    filled : Out(2)
        Bit h is asserted while the tables of half h are complete; i.e. half h may be read.
    release : In(2)
        Bit h is asserted for one cycle when half h is no longer needed.
    half, chunk : In
        Select the tables to read.
    bits : In(ArrayLayout(ArrayLayout(3, groups), lookups))
        Bits of a key's columns.
    sums : Out
        Sum of each lookup, group and query of the block row, in the same cycle.
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
        half = Signal()
        filling = Signal()
        chunk = Signal.like(self.chunk)
        entry = Signal(GROUPED)
        last = Signal()  # computed one cycle ahead
        ending = entry == (1 << GROUPED) - 2
        m.d.sync += last.eq(filling & ending & (chunk == row.last_chunk))
        # The next block row may begin in the cycle after the last entry of this one.
        free = Signal()
        target = Signal()
        m.d.comb += [
            target.eq(half ^ last),
            free.eq((~filling | last) & ~self.filled.bit_select(target, 1)),
            self.i_rows.ready.eq(free),
        ]
        take = self.i_rows.valid & free
        following = Signal(query_row_layout(self._config))
        m.d.comb += following.eq(Mux(take, self.i_rows.payload, row))
        # Block RAM is slow and far away, and the tables are far apart. So registers stand before and behind the RAM,
        # and behind the sums.
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
        words = Signal.like(self.q_read.data, name="words", reset_less=True)
        m.d.sync += words.eq(self.q_read.data)
        for i in range(2):
            # Asserted before the last entry is written: the first lookup follows two cycles after the decision for it,
            # the last write two cycles after this point.
            with m.If(addressed.last & (addressed.half == i)):
                m.d.sync += self.filled[i].eq(1)
            with m.Elif(self.release[i]):
                m.d.sync += self.filled[i].eq(0)
        for group in range(group_count(self._config)):
            self._table(m, group, words, read, summed)
        return m

    def _table(self, m: Module, group: int, words, read, summed) -> None:
        """Write the eight sums per chunk and half, for every query of the block row."""
        config = self._config
        place = Cat(summed.chunk, summed.half)
        columns = range(group * GROUPED, min((group + 1) * GROUPED, config.predictor_lanes))
        shape = data.ArrayLayout(unsigned(sum_bits(config)), config.block)
        sums = Signal(shape, name=f"sums_{group}", reset_less=True)
        for query in range(config.block):
            chosen = [Mux(read.entry[i], words[query][column], 0) for i, column in enumerate(columns)]
            m.d.sync += sums[query].eq(sum(chosen[1:], chosen[0]))
        for lookup in range(self._lookups):
            # One copy per lookup, because LUT RAM has one read port. Yosys cannot map a memory with many read ports.
            memory = Memory(shape=shape, depth=1 << (GROUPED + len(place)), init=[])
            m.submodules[f"table_{group}_{lookup}"] = memory
            write = memory.write_port()
            read = memory.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(summed.valid),
                write.addr.eq(Cat(summed.entry, place)),
                write.data.eq(sums),
                read.addr.eq(Cat(self.bits[lookup][group], self.chunk, self.half)),
            ]
            for query in range(config.block):
                m.d.comb += self.sums[lookup][group][query].eq(read.data[query])
