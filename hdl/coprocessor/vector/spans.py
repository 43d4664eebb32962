"""Contiguous parts of the memory that an order reads or writes."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.memory import INDEX_BYTES
from ....spec.program import WORD_BYTES, Layout
from ...lib.pipeline import index_bits
from ..memory_streams import ADDRESS_BITS, span_layout, word_layout
from .tile_streams import Target, order_layout

__all__ = ["TileSpans"]

BYTE_BITS = index_bits(WORD_BYTES)
INDEX_BITS = 8 * INDEX_BYTES


class TileSpans(wiring.Component):
    """Gives the spans of an order, as long as possible.

    =========  ====================================================
    TILES      one
    ROWS       one per segment, with the rows of all tokens of the tile
    GATHER     one of all indices of the tile, then one per token
    =========  ====================================================

    A product of numbers of words takes a cycle for each bit of the words of a row. The spans of a gathered row are
    computed while the row before is read.

    Members
    -------
    i_order : In(stream(order_layout))
        Accepted when all spans of the order before have left.
    i_indices : In(stream(word_layout))
        Two indices in each word.
    o_reads, o_writes : Out(stream(span_layout))
    busy : Out(1)
        Asserted while spans are left.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__(
            {
                "i_order": In(stream.Signature(order_layout(config))),
                "i_indices": In(stream.Signature(word_layout())),
                "o_reads": Out(stream.Signature(span_layout())),
                "o_writes": Out(stream.Signature(span_layout())),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        order = Signal.like(self.i_order.payload)
        address = Signal(ADDRESS_BITS)
        words = Signal.like(self.o_reads.payload.words)
        send = Signal()
        sent = Signal()
        writes = order.target == Target.STORE
        m.d.comb += [
            self.o_reads.valid.eq(send & ~writes),
            self.o_writes.valid.eq(send & writes),
            self.o_reads.payload.address.eq(address),
            self.o_reads.payload.words.eq(words),
            self.o_writes.payload.eq(self.o_reads.payload),
            sent.eq((self.o_reads.valid & self.o_reads.ready) | (self.o_writes.valid & self.o_writes.ready)),
        ]
        factor = Signal(INDEX_BITS)
        bits = Signal.like(order.words)
        product = Signal(ADDRESS_BITS - BYTE_BITS)
        multiplied = Signal()
        m.d.comb += multiplied.eq(bits == 0)
        m.d.sync += [factor.eq(factor << 1), bits.eq(bits >> 1)]
        with m.If(bits[0]):
            m.d.sync += product.eq(product + factor)

        def multiply(number, count) -> list:
            """Begin a product."""
            return [factor.eq(number), bits.eq(count), product.eq(0)]

        segment_left = Signal.like(order.channels)
        tokens_left = Signal.like(order.tokens)
        upper = Signal()
        last_segment = Signal()
        m.d.comb += last_segment.eq((order.layout == Layout.TILES) | (segment_left <= order.segment))
        with m.FSM(name="spans") as spans:
            with m.State("IDLE"):
                m.d.comb += self.i_order.ready.eq(1)
                new = self.i_order.payload
                m.d.sync += [
                    order.eq(new),
                    address.eq(new.address),
                    segment_left.eq(new.channels),
                    tokens_left.eq(new.tokens),
                    upper.eq(0),
                    *multiply(new.count, new.words),
                ]
                with m.If(self.i_order.valid & (new.layout == Layout.GATHER)):
                    m.d.sync += [address.eq(new.index), words.eq((new.tokens + 1) >> 1)]
                    m.next = "INDICES"
                with m.Elif(self.i_order.valid):
                    m.next = "SIZE"
            with m.State("SIZE"), m.If(multiplied):
                m.d.sync += [words.eq(product), *multiply(order.segment_tokens, order.words)]
                m.next = "SEND"
            with m.State("SEND"):
                # The product goes on meanwhile.
                m.d.comb += send.eq(1)
                with m.If(sent):
                    m.d.sync += segment_left.eq(segment_left - order.segment)
                    m.next = "IDLE"
                    with m.If(~last_segment):
                        m.next = "STRIDE"
            with m.State("STRIDE"), m.If(multiplied):
                m.d.sync += address.eq(address + (product << BYTE_BITS))
                m.next = "SEND"
            with m.State("INDICES"):
                m.d.comb += send.eq(1)
                with m.If(sent):
                    m.d.sync += words.eq(order.words)
                    m.next = "INDEX"
            with m.State("INDEX"), m.If(self.i_indices.valid):
                m.d.comb += self.i_indices.ready.eq(upper | (tokens_left == 1))
                index = self.i_indices.payload.as_value().word_select(upper, INDEX_BITS)
                m.d.sync += [*multiply(index, order.words), upper.eq(~upper)]
                m.next = "ROW"
            with m.State("ROW"), m.If(multiplied):
                m.d.sync += address.eq(order.address + (product << BYTE_BITS))
                m.next = "SEND_ROW"
            with m.State("SEND_ROW"):
                m.d.comb += send.eq(1)
                with m.If(sent):
                    m.d.sync += tokens_left.eq(tokens_left - 1)
                    m.next = "INDEX"
                    with m.If(tokens_left == 1):
                        m.next = "IDLE"
        m.d.comb += self.busy.eq(~spans.ongoing("IDLE"))
        return m
