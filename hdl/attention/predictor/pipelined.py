"""Pipelined predictor: products of nibbles, ahead of the PE array."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig
from ...lib.arithmetic import AdderTree
from ...lib.pipeline import delay, index_bits
from ...lib.scratchpad import ReadPort
from ...lib.streams import StreamFIFO, nonzero
from ..head_streams import head_layout, predictions_layout
from ..visible import hidden_keys, keys_of_first_row, keys_of_next_row
from .query_tables import GROUPED, QueryTables, group_count, nibbles_layout, query_row_layout, sum_bits

__all__ = ["Predictor", "nibble_address_bits", "predictor_signature"]

BEATS_IN_FLIGHT = 16
"""Limit of beats in flight between the walk and the consumer: more than the registers in both directions need, and the
depth of a LUT RAM."""

TO_QUEUE = 3
"""Registers between the sums and the result queue."""


def nibble_address_bits(config: AttentionConfig, rows: int) -> int:
    """Address bits of a nibble scratchpad of ``rows`` words per chunk and slot."""
    return index_bits(config.predictor_chunks) + index_bits(rows) + 1


def _walked_layout(config: AttentionConfig) -> data.StructLayout:
    """A head, and in a causal core the keys that its first block row sees."""
    return data.StructLayout({"head": head_layout(config), "keys": config.length_bits if config.causal else 0})


def predictor_signature(config: AttentionConfig) -> wiring.Signature:
    """Heads in, predictions out, and the read ports of the scratchpads; see :class:`Predictor`."""

    def port(words: int, rows: int) -> wiring.Signature:
        return ReadPort(address_bits=nibble_address_bits(config, words), layout=nibbles_layout(config, rows))

    return wiring.Signature(
        {
            "i_head": In(stream.Signature(head_layout(config))),
            "q_read": In(port(config.blocks, config.block)),
            "k_read": In(port(config.groups, config.predictor_keys)),
            "o_predictions": Out(stream.Signature(predictions_layout(config))),
        }
    )


class Predictor(wiring.Component):
    """II = QI·KIᵀ of each head, ``block`` query rows against ``predictor_keys`` keys at a time.

    A block row takes ceil(Lk / predictor_keys) · ceil(d / predictor_lanes) cycles, but at least eight cycles per chunk:
    :class:`QueryTables` fills the tables of a block row while the predictor works on the block row before it. After a
    pause, a head waits until the tables of its first block row are full.

        heads ─┬─ rows ── query tables ─┐
               └─ walk ── keys ─────────┴─ lookups ── adder trees ── sums over chunks ── result queue

    Members
    -------
    i_head : In(stream(head_layout))
        Heads whose integer parts are in the scratchpads.
    q_read, k_read : In(ReadPort)
        Addresses are (chunk, block row or key group, slot) from the lowest bits up.
    o_predictions : Out(stream(predictions_layout))
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        super().__init__(predictor_signature(config))

    def elaborate(self, platform):
        m = Module()
        m.submodules.tables = tables = QueryTables(
            self._config, lookups=self._config.predictor_keys * self._config.integer_bits
        )
        connect(m, tables.q_read, flipped(self.q_read))
        heads = self._prepare(m, tables)
        begun = Signal()
        left = Signal()
        room = nonzero(m, init=BEATS_IN_FLIGHT, limit=BEATS_IN_FLIGHT, up=left, down=begun, name="room")
        tag = self._sequence(m, room, heads, tables)
        # The pipeline behind the walk never stalls: a beat begins only when the result queue has room for it. An
        # enable would have to reach every register of the predictor.
        predictions = predictions_layout(self._config)
        m.submodules.results = results = StreamFIFO(predictions, depth=BEATS_IN_FLIGHT, counted=True)
        connect(m, results.o, flipped(self.o_predictions))
        computed = Signal(data.StructLayout({"valid": 1, "beat": predictions}))
        valid = Signal()
        m.d.comb += computed.valid.eq(valid)
        self._compute(m, tag, tables, valid, computed.beat)
        # The queue stands next to the sparsity engine, far away on the chip.
        arrived = delay(m, computed, TO_QUEUE, enable=1, name="computed")[-1]
        m.d.comb += [
            results.i.valid.eq(arrived.valid),
            results.i.payload.eq(arrived.beat),
            begun.eq(tag.valid & tag.last_chunk),
        ]
        m.d.sync += left.eq(results.o.valid & results.o.ready)
        return m

    def _prepare(self, m: Module, tables: QueryTables) -> StreamFIFO:
        """Send block rows to the tables, ahead of the walk, and heads to the walk."""
        config = self._config
        lanes = config.predictor_lanes
        m.submodules.heads = heads = StreamFIFO(_walked_layout(config), depth=2)
        row = Signal(query_row_layout(config))
        active = Signal()
        rows_left = Signal(config.length_bits)
        new = self.i_head.payload
        m.d.comb += [
            self.i_head.ready.eq(~active & heads.i.ready),
            heads.i.valid.eq(self.i_head.valid & ~active),
            heads.i.payload.head.eq(new),
            heads.i.payload.keys.eq(keys_of_first_row(config, new)),
            tables.i_rows.valid.eq(active),
            tables.i_rows.payload.eq(row),
        ]
        with m.If(self.i_head.valid & self.i_head.ready):
            m.d.sync += [
                active.eq(1),
                row.slot.eq(new.slot),
                row.row.eq(0),
                row.last_chunk.eq((new.head_dim - 1) // lanes if config.predictor_chunks > 1 else 0),
                rows_left.eq(new.query_length),
            ]
        with m.If(active & tables.i_rows.ready):
            m.d.sync += [row.row.eq(row.row + 1), rows_left.eq(rows_left - config.block)]
            with m.If(rows_left <= config.block):
                m.d.sync += active.eq(0)
        return heads

    def _sequence(self, m: Module, room, heads: StreamFIFO, tables: QueryTables):
        """Walk chunks, key groups and block rows. The returned tag belongs to the addresses of the same cycle."""
        config = self._config
        b, keys, lanes = config.block, config.predictor_keys, config.predictor_lanes
        head = Signal(head_layout(config))
        active = Signal()
        half = Signal()
        chunk = Signal(index_bits(config.predictor_chunks))
        group = Signal(index_bits(config.groups))
        dims_left = Signal(config.head_dim_bits)
        keys_left = Signal(config.length_bits)
        next_keys = Signal(config.length_bits if config.causal else 0)  # of the next block row
        queries_left = Signal(config.length_bits)
        # Registers next to the counters hold the results of comparisons, so that no comparison is on the path to the
        # memories.
        last_chunk, last_group, last_row = (Signal(name=f"last_{x}") for x in ("chunk", "group", "row"))
        step = Signal()
        m.d.comb += [
            step.eq(active & room & tables.filled.bit_select(half, 1)),
            # The next head follows in the next cycle.
            heads.o.ready.eq(~active | (step & last_chunk & last_group & last_row)),
            self.k_read.address.eq(Cat(chunk, group, head.slot)),
            self.k_read.enable.eq(1),
            # Safe at this point: the last lookup comes two cycles later, and the first sum of the next block row comes
            # later still.
            tables.release.eq(Mux(step & last_chunk & last_group, Cat(~half, half), 0)),
        ]
        with m.If(step):
            m.d.sync += [
                chunk.eq(chunk + 1),
                dims_left.eq(dims_left - lanes),
                last_chunk.eq(dims_left <= 2 * lanes),
            ]
            with m.If(last_chunk):
                m.d.sync += [
                    chunk.eq(0),
                    dims_left.eq(head.head_dim),
                    last_chunk.eq(head.head_dim <= lanes),
                    group.eq(group + 1),
                    keys_left.eq(keys_left - keys),
                    last_group.eq(keys_left <= 2 * keys),
                ]
                with m.If(last_group):
                    row_keys = next_keys if config.causal else head.key_length
                    m.d.sync += [
                        group.eq(0),
                        half.eq(~half),
                        keys_left.eq(row_keys),
                        last_group.eq(row_keys <= keys),
                        next_keys.eq(keys_of_next_row(config, head.key_length, next_keys)),
                        queries_left.eq(queries_left - b),
                        last_row.eq(queries_left <= 2 * b),
                    ]
        with m.If(heads.o.ready):
            new = heads.o.payload.head
            row_keys = heads.o.payload.keys if config.causal else new.key_length
            m.d.sync += [
                active.eq(heads.o.valid),
                head.eq(new),
                dims_left.eq(new.head_dim),
                last_chunk.eq(new.head_dim <= lanes),
                keys_left.eq(row_keys),
                last_group.eq(row_keys <= keys),
                next_keys.eq(keys_of_next_row(config, new.key_length, row_keys)),
                queries_left.eq(new.query_length),
                last_row.eq(new.query_length <= b),
            ]
        tag = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "chunk": len(chunk),
                    "half": 1,
                    "last_chunk": 1,
                    "query_valid": b,
                    "key_valid": predictions_layout(config)["key_valid"].shape,
                    "last_group": 1,
                    "last_row": 1,
                }
            )
        )
        m.d.comb += [
            tag.valid.eq(step),
            tag.chunk.eq(chunk),
            tag.half.eq(half),
            tag.last_chunk.eq(last_chunk),
            tag.last_group.eq(last_group),
            tag.last_row.eq(last_row),
        ]
        m.d.comb += [tag.query_valid[i].eq(queries_left > i) for i in range(b)]
        last_query = Mux(last_row, (queries_left - 1).as_unsigned()[: exact_log2(b)], b - 1)
        for mask, hidden in zip(tag.key_valid, hidden_keys(config, head.causal, last_query), strict=True):
            m.d.comb += [mask[j].eq(keys_left > hidden + j) for j in range(keys)]
        return tag

    def _compute(self, m: Module, tag, tables: QueryTables, valid: Signal, beat) -> None:
        """Look up, add in trees and sum over chunks. The keys follow their addresses by one cycle."""
        config = self._config
        trees = {}
        keys = delay(m, self.k_read.data, 1, enable=1, name="keys")[1]
        for j in range(config.predictor_keys):
            for bit in range(config.integer_bits):
                self._look_up(m, keys, tables, trees, j, bit)
        # Pipeline stages: scratchpad, register of its data, lookup, tree, joined bits.
        before_sum = 4 + trees[0, 0, 0].latency
        tags = delay(m, tag, before_sum + 1, enable=1, name="tag")
        m.d.comb += [tables.half.eq(tags[2].half), tables.chunk.eq(tags[2].chunk)]
        first_chunk = tags[before_sum].chunk == 0
        for i in range(config.block):
            for j in range(config.predictor_keys):
                bits = [trees[i, j, bit].total << bit for bit in range(config.integer_bits)]
                ii = beat.ii[i][j]
                joined, total = (
                    Signal.like(ii, name=f"{name}_{i}_{j}", reset_less=True) for name in ("joined", "total")
                )
                m.d.sync += [
                    joined.eq(sum(bits[:-1], Const(0, 1)) - bits[-1]),
                    total.eq(joined + Mux(first_chunk, 0, total)),
                ]
                m.d.comb += ii.eq(total)
        names = ("query_valid", "key_valid", "last_group", "last_row")
        m.d.comb += [beat[name].eq(tags[-1][name]) for name in names]
        m.d.sync += valid.eq(tags[before_sum].valid & tags[before_sum].last_chunk)

    def _look_up(self, m: Module, keys, tables: QueryTables, trees: dict, j: int, bit: int) -> None:
        """Sums of the queries' columns where one bit of a key is set: registers, then adder trees."""
        config = self._config
        lookup = j * config.integer_bits + bit
        for group in range(group_count(config)):
            columns = range(group * GROUPED, min((group + 1) * GROUPED, config.predictor_lanes))
            m.d.comb += tables.bits[lookup][group].eq(Cat(keys[j][column][bit] for column in columns))
        for i in range(config.block):
            tree = AdderTree(count=group_count(config), width=sum_bits(config))
            m.submodules[f"tree_{i}_{j}_{bit}"] = trees[i, j, bit] = tree
            m.d.comb += tree.enable.eq(1)
            for group in range(group_count(config)):
                found = Signal.like(tree.operands[group], name=f"found_{i}_{j}_{bit}_{group}", reset_less=True)
                m.d.sync += found.eq(tables.sums[lookup][group][i])
                m.d.comb += tree.operands[group].eq(found)
