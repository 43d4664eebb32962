"""SUM: adds the tokens of each channel."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.formats import INT8_BITS, INT8_MAX, INT8_PEAK, signed_bits
from ....spec.program import WORD_BYTES
from ....spec.vector import MAX_TOKENS
from .tile_streams import TileWrite, operands_layout

__all__ = ["TokenSums"]

SUM_BITS = signed_bits(-INT8_PEAK * MAX_TOKENS, INT8_MAX * MAX_TOKENS)


class TokenSums(wiring.Component):
    """Adds x to the sums of the tiles before, which lie in the tile of y.

    The sum of a channel is a number of 64 bits. It lies in the word of the first 8 tokens of the channel.

    Members
    -------
    i_operands : In(stream(operands_layout, always_ready))
        Channel after channel, as in the layout TILES.
    first_tile : In(1)
        Whether there are no sums yet.
    write : Out(TileWrite)
        The sums, into the tile of y.
    busy : Out(1)
        Asserted while operands are in the pipeline.
    """

    def __init__(self, config: CoprocessorConfig):
        super().__init__(
            {
                "i_operands": In(stream.Signature(operands_layout(), always_ready=True)),
                "first_tile": In(1),
                "write": Out(TileWrite(config)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        operands = self.i_operands.payload
        total = Signal(signed(SUM_BITS))
        base = Signal(signed(SUM_BITS))
        partial = Signal(signed(INT8_BITS + WORD_BYTES.bit_length() - 1))
        held = {name: Signal(name=f"held_{name}") for name in ("valid", "first", "last", "final")}
        begin = Signal()
        m.d.sync += [
            held["valid"].eq(self.i_operands.valid),
            *(held[name].eq(operands[name]) for name in ("first", "last", "final")),
            partial.eq(sum(operands.x[i].as_signed() for i in range(WORD_BYTES))),
            base.eq(Mux(self.first_tile, 0, operands.y.as_value()[:SUM_BITS].as_signed())),
        ]
        with m.If(held["valid"]):
            m.d.sync += total.eq(Mux(held["first"], base, total) + partial)
        m.d.sync += [self.write.enable.eq(held["valid"] & held["last"]), begin.eq(held["valid"] & held["final"])]
        with m.If(self.write.enable):
            m.d.sync += self.write.channel.eq(Mux(begin, 0, self.write.channel + 1))
        m.d.comb += [
            self.write.data.as_value().eq(total),
            self.busy.eq(held["valid"] | self.write.enable),
        ]
        return m
