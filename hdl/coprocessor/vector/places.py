"""Places of the words of an order, in the order of the memory."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.program import WORD_BYTES, Layout
from .tile_streams import Target, channel_bits, order_layout, place_layout

__all__ = ["TilePlaces", "kept_bytes"]


def kept_bytes(left: Value) -> Value:
    """Which bytes of a word there are, if ``left`` bytes are left."""
    return Cat(left > i for i in range(WORD_BYTES))


class TilePlaces(wiring.Component):
    """Gives a place for each word of an order.

    =========  ====================================================
    TILES      channel after channel; in a channel, 8 tokens at a time
    ROWS       segment after segment, token after token; in a row, 8 channels at a time
    GATHER     first the indices, two in a word; then like ROWS with one segment
    =========  ====================================================

    Members
    -------
    i_order : In(stream(order_layout))
        Accepted when all places of the order before have left.
    o_places : Out(stream(place_layout))
    busy : Out(1)
        Asserted while places are left.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__(
            {
                "i_order": In(stream.Signature(order_layout(config))),
                "o_places": Out(stream.Signature(place_layout(config))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        new, place = self.i_order.payload, self.o_places.payload
        order = Signal.like(new)
        by_row = Signal()
        indices = Signal()
        words_left = Signal.like(new.words)  # of a channel or a row
        lines_left = Signal.like(new.count)  # channels, or rows of a segment
        segment_left = Signal.like(new.channels)  # channels from the first one of the segment on
        first_channel = Signal(channel_bits(self._config))
        left = Signal(max(len(new.channels), len(new.tokens)))  # bytes of a channel or a row
        last = Signal()
        last_line = Signal()
        last_segment = Signal()
        move = Signal()
        m.d.comb += [
            self.i_order.ready.eq(~self.busy),
            self.o_places.valid.eq(self.busy),
            last.eq(words_left == 1),
            last_line.eq(lines_left == 1),
            last_segment.eq(~by_row | (segment_left <= order.segment)),
            move.eq(self.busy & self.o_places.ready),
            place.target.eq(Mux(indices, Target.INDEX, order.target)),
            place.by_row.eq(by_row),
            Value.cast(place.kept).eq(kept_bytes(left)),
            place.last.eq(last),
            place.final.eq(last & last_line & last_segment & ~indices),
        ]
        rows = Signal()
        m.d.comb += rows.eq(new.layout != Layout.TILES)
        with m.If(self.i_order.valid & self.i_order.ready):
            m.d.sync += [
                order.eq(new),
                self.busy.eq(1),
                by_row.eq(rows),
                indices.eq(new.layout == Layout.GATHER),
                words_left.eq(Mux(new.layout == Layout.GATHER, (new.tokens + 1) >> 1, new.words)),
                lines_left.eq(new.count),
                segment_left.eq(new.channels),
                left.eq(Mux(rows, new.channels, new.tokens)),
                first_channel.eq(0),
                place.channel.eq(0),
                place.token.eq(0),
                place.first.eq(1),
            ]
        with m.If(move):
            m.d.sync += [words_left.eq(words_left - 1), place.first.eq(last)]
            with m.If(~indices):
                self._next_word(m, by_row, left)
            with m.If(last):
                m.d.sync += words_left.eq(order.words)
                with m.If(indices):
                    m.d.sync += indices.eq(0)
                with m.Else():
                    m.d.sync += left.eq(Mux(by_row, segment_left, order.tokens))
                    self._next_line(m, by_row, first_channel)
                    m.d.sync += lines_left.eq(lines_left - 1)
                    with m.If(last_line):
                        m.d.sync += [
                            lines_left.eq(order.count),
                            first_channel.eq(first_channel + order.segment),
                            segment_left.eq(segment_left - order.segment),
                            place.channel.eq(first_channel + order.segment),
                            place.token.eq(0),
                            left.eq(segment_left - order.segment),
                        ]
            with m.If(place.final):
                m.d.sync += self.busy.eq(0)
        return m

    def _next_word(self, m: Module, by_row: Signal, left: Signal) -> None:
        """Go on by 8 bytes in a channel or a row."""
        place = self.o_places.payload
        m.d.sync += left.eq(Mux(left > WORD_BYTES, left - WORD_BYTES, 0))
        with m.If(by_row):
            m.d.sync += place.channel.eq(place.channel + WORD_BYTES)
        with m.Else():
            m.d.sync += place.token.eq(place.token + WORD_BYTES)

    def _next_line(self, m: Module, by_row: Signal, first_channel: Signal) -> None:
        """Go on to the next channel, or to the next token's row."""
        place = self.o_places.payload
        with m.If(by_row):
            m.d.sync += [place.token.eq(place.token + 1), place.channel.eq(first_channel)]
        with m.Else():
            m.d.sync += [place.channel.eq(place.channel + 1), place.token.eq(0)]
