"""The predictor: an array of nibble products that runs ahead of the main array."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..spec.config import AttentionConfig
from .common.arithmetic import AdderTree, masked_product
from .common.pipeline import delay, index_bits
from .common.scratchpad import ReadPort
from .interface import head_layout, predictions_layout

__all__ = ["Predictor", "nibble_address_bits"]


def nibble_address_bits(config: AttentionConfig, rows: int) -> int:
    """Address bits of a nibble scratchpad of ``rows`` words per chunk and slot."""
    return index_bits(config.predictor_chunks) + index_bits(rows) + 1


class Predictor(wiring.Component):
    """II = QI·KIᵀ of one head after another: ``block`` query rows against ``predictor_keys`` keys at a time.

    A block row takes ceil(Lk / predictor_keys) · ceil(d / predictor_lanes) cycles, a head one more than its rows.

    Members
    -------
    i_head : In(stream(head_layout))
        Its integer parts must be in the scratchpads.
    q_read, k_read : In(ReadPort)
        Addresses are (chunk, block row or key group, slot) from the lowest bits up.
    o_predictions : Out(stream(predictions_layout))
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        nibbles = data.ArrayLayout(signed(config.integer_bits), config.predictor_lanes)
        super().__init__(
            {
                "i_head": In(stream.Signature(head_layout(config))),
                "q_read": In(
                    ReadPort(
                        address_bits=nibble_address_bits(config, config.blocks),
                        layout=data.ArrayLayout(nibbles, config.block),
                    )
                ),
                "k_read": In(
                    ReadPort(
                        address_bits=nibble_address_bits(config, config.groups),
                        layout=data.ArrayLayout(nibbles, config.predictor_keys),
                    )
                ),
                "o_predictions": Out(stream.Signature(predictions_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        enable = Signal()
        m.d.comb += [
            enable.eq(~self.o_predictions.valid | self.o_predictions.ready),
            self.q_read.enable.eq(enable),
            self.k_read.enable.eq(enable),
        ]
        self._compute(m, enable, self._sequence(m, enable))
        return m

    def _sequence(self, m: Module, enable: Signal):
        """Walk chunks, key groups and block rows; the returned tag goes with the addresses."""
        config = self._config
        b, keys, lanes = config.block, config.predictor_keys, config.predictor_lanes
        head = Signal(head_layout(config))
        active = Signal()
        chunk = Signal(index_bits(config.predictor_chunks))
        group = Signal(index_bits(config.groups))
        row = Signal(index_bits(config.blocks))
        dims_left = Signal(config.head_dim_bits)
        keys_left = Signal(config.length_bits)
        queries_left = Signal(config.length_bits)
        last_chunk, last_group, last_row = (Signal(name=f"last_{x}") for x in ("chunk", "group", "row"))
        m.d.comb += [
            self.i_head.ready.eq(~active),
            last_chunk.eq(dims_left <= lanes),
            last_group.eq(keys_left <= keys),
            last_row.eq(queries_left <= b),
            self.q_read.address.eq(chunk | (row << len(chunk)) | (head.slot << (len(chunk) + len(row)))),
            self.k_read.address.eq(chunk | (group << len(chunk)) | (head.slot << (len(chunk) + len(group)))),
        ]
        with m.If(self.i_head.ready & self.i_head.valid):
            m.d.sync += [
                head.eq(self.i_head.payload),
                active.eq(1),
                dims_left.eq(self.i_head.payload.head_dim),
                keys_left.eq(self.i_head.payload.key_length),
                queries_left.eq(self.i_head.payload.query_length),
            ]
        with m.Elif(active & enable):
            m.d.sync += [chunk.eq(chunk + 1), dims_left.eq(dims_left - lanes)]
            with m.If(last_chunk):
                m.d.sync += [
                    chunk.eq(0),
                    dims_left.eq(head.head_dim),
                    group.eq(group + 1),
                    keys_left.eq(keys_left - keys),
                ]
                with m.If(last_group):
                    m.d.sync += [
                        group.eq(0),
                        keys_left.eq(head.key_length),
                        row.eq(row + 1),
                        queries_left.eq(queries_left - b),
                    ]
                    with m.If(last_row):
                        m.d.sync += [row.eq(0), active.eq(0)]
        tag = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "first_chunk": 1,
                    "last_chunk": 1,
                    "query_valid": b,
                    "key_valid": keys,
                    "last_group": 1,
                    "last_row": 1,
                }
            )
        )
        m.d.comb += [
            tag.valid.eq(active),
            tag.first_chunk.eq(chunk == 0),
            tag.last_chunk.eq(last_chunk),
            tag.last_group.eq(last_group),
            tag.last_row.eq(last_row),
        ]
        m.d.comb += [tag.query_valid[i].eq(queries_left > i) for i in range(b)]
        m.d.comb += [tag.key_valid[j].eq(keys_left > j) for j in range(keys)]
        return tag

    def _compute(self, m: Module, enable: Signal, tag) -> None:
        """Products, adder trees, and sums over chunks, behind the scratchpads' one cycle."""
        config = self._config
        product_bits = 2 * config.integer_bits
        trees = {}
        for i in range(config.block):
            for j in range(config.predictor_keys):
                tree = AdderTree(count=config.predictor_lanes, width=product_bits)
                m.submodules[f"tree_{i}_{j}"] = trees[i, j] = tree
                m.d.comb += tree.enable.eq(enable)
                with m.If(enable):
                    m.d.sync += [
                        register.eq(masked_product(q, k))
                        for register, q, k in zip(
                            self._products(m, i, j, tree), self.q_read.data[i], self.k_read.data[j], strict=True
                        )
                    ]
        latency = 2 + trees[0, 0].latency  # scratchpad, products, tree
        tags = delay(m, tag, latency + 1, enable=enable, name="tag")
        out = self.o_predictions
        for (i, j), tree in trees.items():
            ii = out.payload.ii[i][j]
            total = Signal.like(ii, name=f"total_{i}_{j}")
            with m.If(enable):
                m.d.sync += total.eq(tree.total + Mux(tags[latency].first_chunk, 0, total))
            m.d.comb += ii.eq(total)
        m.d.comb += [
            out.valid.eq(tags[-1].valid & tags[-1].last_chunk),
            out.payload.query_valid.eq(tags[-1].query_valid),
            out.payload.key_valid.eq(tags[-1].key_valid),
            out.payload.last_group.eq(tags[-1].last_group),
            out.payload.last_row.eq(tags[-1].last_row),
        ]

    def _products(self, m: Module, i: int, j: int, tree: AdderTree) -> list[Signal]:
        """Registers in front of a tree."""
        registers = [
            Signal(signed(2 * self._config.integer_bits), name=f"product_{i}_{j}_{lane}")
            for lane in range(self._config.predictor_lanes)
        ]
        m.d.comb += [tree.operands[lane].eq(register) for lane, register in enumerate(registers)]
        return registers
