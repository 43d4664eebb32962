"""Spans of the tiles of a tensor in the layout TILES."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.formats import unsigned_bits
from ....spec.program import PRODUCT_FIELDS, WORD_BYTES
from ..memory_streams import ADDRESS_BITS, span_layout

__all__ = ["TensorTiles", "tensor_layout", "tile_layout"]

SIZE_BITS = PRODUCT_FIELDS["rows"][0]
"""Bits of the sizes of a tensor."""


def tensor_layout() -> data.StructLayout:
    """A tensor in the layout TILES: its address, channels and tokens."""
    return data.StructLayout({"address": ADDRESS_BITS, "channels": SIZE_BITS, "tokens": SIZE_BITS})


def tile_layout(config: CoprocessorConfig) -> data.StructLayout:
    """A tile: its channels, and the words of each channel. ``last`` marks the last tile of a tensor."""
    return data.StructLayout({"channels": SIZE_BITS, "words": unsigned_bits(config.tile // WORD_BYTES), "last": 1})


class TensorTiles(wiring.Component):
    """Divides a tensor into tiles, and gives the span of each.

    Parameters
    ----------
    config : CoprocessorConfig

    Members
    -------
    i_tensor : In(stream(tensor_layout))
        With at least one channel and token. Accepted with its last tile.
    o_spans : Out(stream(span_layout))
    o_tiles : Out(stream(tile_layout))
        One per span.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__(
            {
                "i_tensor": In(stream.Signature(tensor_layout())),
                "o_spans": Out(stream.Signature(span_layout())),
                "o_tiles": Out(stream.Signature(tile_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, tensor = self._config, self.i_tensor.payload
        step_words, tile_words = config.tile_step // WORD_BYTES, config.tile // WORD_BYTES
        left = Signal(SIZE_BITS)  # tokens of this tile and those after it
        address = Signal(ADDRESS_BITS)
        last = Signal()
        words = Signal(unsigned_bits(tile_words))
        size = Signal(self.o_spans.payload.words.shape())
        tail = ((left + (config.tile_step - 1)) >> exact_log2(config.tile_step)) * step_words
        with m.If(self.o_spans.ready):
            m.d.sync += self.o_spans.valid.eq(0)
        with m.If(self.o_tiles.ready):
            m.d.sync += self.o_tiles.valid.eq(0)
        with m.FSM(name="tiles"):
            with m.State("TENSOR"), m.If(self.i_tensor.valid):
                m.d.sync += [left.eq(tensor.tokens), address.eq(tensor.address)]
                m.next = "TILE"
            with m.State("TILE"):
                m.d.sync += [last.eq(left <= config.tile), words.eq(Mux(left <= config.tile, tail, tile_words))]
                m.next = "SIZE"
            with m.State("SIZE"):
                m.d.sync += size.eq(tensor.channels * words)
                m.next = "GIVE"
            with m.State("GIVE"), m.If(~self.o_spans.valid & ~self.o_tiles.valid):
                m.d.sync += [
                    self.o_spans.valid.eq(1),
                    self.o_spans.payload.address.eq(address),
                    self.o_spans.payload.words.eq(size),
                    self.o_tiles.valid.eq(1),
                    self.o_tiles.payload.channels.eq(tensor.channels),
                    self.o_tiles.payload.words.eq(words),
                    self.o_tiles.payload.last.eq(last),
                    address.eq(address + size * WORD_BYTES),
                    left.eq(left - config.tile),
                ]
                m.d.comb += self.i_tensor.ready.eq(last)
                with m.If(last):
                    m.next = "TENSOR"
                with m.Else():
                    m.next = "TILE"
        return m
