"""Compact predictor: one small multiplier per product of nibbles, no tables."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig
from ...lib.arithmetic import AdderTree, chosen_product
from ...lib.pipeline import delay, index_bits
from ..head_streams import predictions_layout
from ..visible import hidden_keys, keys_of_first_row, keys_of_next_row
from .pipelined import predictor_signature

__all__ = ["CompactPredictor"]


class CompactPredictor(wiring.Component):
    """II = QI·KIᵀ of each head, behind the interface of the pipelined predictor.

    A block row takes ceil(Lk / predictor_keys) · ceil(d / predictor_lanes) cycles.

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
        enable = Signal()
        m.d.comb += [
            enable.eq(~self.o_predictions.valid | self.o_predictions.ready),
            self.q_read.enable.eq(enable),
            self.k_read.enable.eq(enable),
        ]
        self._multiply(m, enable, self._walk(m, enable))
        return m

    def _walk(self, m: Module, enable: Signal) -> Signal:
        """Walk chunks, key groups and block rows. The returned tag belongs to the addresses of the same cycle."""
        config = self._config
        b, keys = config.block, config.predictor_keys
        chunk, last_chunk = (Signal(index_bits(config.predictor_chunks), name=name) for name in ("chunk", "last_chunk"))
        group = Signal(index_bits(config.groups))
        row = Signal(index_bits(config.blocks))
        last_key, last_query = (Signal(index_bits(config.max_length), name=name) for name in ("last_key", "last_query"))
        causal = Signal(int(config.causal))
        key_length = Signal(config.length_bits if config.causal else 0)
        slot = Signal()
        active = Signal()
        tag = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "first_chunk": 1,
                    "last_chunk": 1,
                    "query_valid": b,
                    "key_valid": predictions_layout(config)["key_valid"].shape,
                    "last_group": 1,
                    "last_row": 1,
                }
            )
        )
        m.d.comb += [
            self.q_read.address.eq(Cat(chunk, row, slot)),
            self.k_read.address.eq(Cat(chunk, group, slot)),
            tag.valid.eq(active),
            tag.first_chunk.eq(chunk == 0),
            tag.last_chunk.eq(chunk == last_chunk),
            tag.last_group.eq(group == last_key >> exact_log2(keys)),
            tag.last_row.eq(row == last_query >> exact_log2(b)),
            tag.query_valid[0].eq(1),
            *(tag.query_valid[i].eq(~tag.last_row | (last_query[: exact_log2(b)] >= i)) for i in range(1, b)),
            self.i_head.ready.eq(~active),
        ]
        if config.causal:
            # Keys behind the first one of the group, of the last query; the other queries see fewer.
            last = Mux(tag.last_row, last_query[: exact_log2(b)], b - 1)
            behind = last_key - (group << exact_log2(keys))
            for mask, hidden in zip(tag.key_valid, hidden_keys(config, causal, last), strict=True):
                m.d.comb += [mask[j].eq(behind >= hidden + j) for j in range(keys)]
        else:
            m.d.comb += tag.key_valid[0][0].eq(1)
            for j in range(1, keys):
                m.d.comb += tag.key_valid[0][j].eq(~tag.last_group | (last_key[: exact_log2(keys)] >= j))
        with m.If(active & enable):
            m.d.sync += chunk.eq(chunk + 1)
            with m.If(tag.last_chunk):
                m.d.sync += [chunk.eq(0), group.eq(group + 1)]
                with m.If(tag.last_group):
                    m.d.sync += [group.eq(0), row.eq(row + 1)]
                    if config.causal:
                        m.d.sync += last_key.eq(keys_of_next_row(config, key_length, last_key + 1) - 1)
                    with m.If(tag.last_row):
                        m.d.sync += active.eq(0)
        new = self.i_head.payload
        with m.If(self.i_head.valid & self.i_head.ready):
            m.d.sync += [
                active.eq(1),
                row.eq(0),
                slot.eq(new.slot),
                last_chunk.eq((new.head_dim - 1) // config.predictor_lanes if config.predictor_chunks > 1 else 0),
                last_key.eq(keys_of_first_row(config, new) - 1),
                causal.eq(new.causal),
                key_length.eq(new.key_length),
                last_query.eq(new.query_length - 1),
            ]
        return tag

    def _multiply(self, m: Module, enable: Signal, tag) -> None:
        """Multiply, add in trees and sum over chunks. The data follow the addresses by one cycle."""
        config = self._config
        lanes, bits = config.predictor_lanes, config.integer_bits
        out = self.o_predictions
        latency = index_bits(lanes)
        tags = delay(m, tag, 3 + latency, enable=enable, name="tag")
        for i in range(config.block):
            for j in range(config.predictor_keys):
                m.submodules[f"tree_{i}_{j}"] = tree = AdderTree(count=lanes, width=2 * bits)
                total = Signal(signed(config.prediction_bits), name=f"total_{i}_{j}")
                m.d.comb += [tree.enable.eq(enable), out.payload.ii[i][j].eq(total)]
                for lane in range(lanes):
                    product = Signal(signed(2 * bits), name=f"product_{i}_{j}_{lane}")
                    left, right = self.q_read.data[i][lane], self.k_read.data[j][lane]
                    chosen = chosen_product(m, left, right, name=f"chosen_{i}_{j}_{lane}")
                    m.d.comb += tree.operands[lane].eq(product)
                    with m.If(enable):
                        m.d.sync += product.eq(chosen)
                with m.If(enable):
                    # The choice follows the sum, because iCE40 can merge it into the adder's LUTs.
                    m.d.sync += total.eq(Mux(tags[2 + latency].first_chunk, tree.total, tree.total + total))
        last = tags[-1]
        m.d.comb += [
            out.valid.eq(last.valid & last.last_chunk),
            out.payload.query_valid.eq(last.query_valid),
            out.payload.key_valid.eq(last.key_valid),
            out.payload.last_group.eq(last.last_group),
            out.payload.last_row.eq(last.last_row),
        ]
