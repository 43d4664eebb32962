"""Leads the words of the memory to where they belong."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.memory import INDEX_BYTES
from ....spec.program import VECTOR_FIELDS
from ...lib.packets import framed_layout
from ..memory_streams import WORD_BITS, word_layout
from .tile_streams import Target, TileWrite, place_layout, spot_members

__all__ = ["WordRouter"]

INDEX_BITS = 8 * INDEX_BYTES


class WordRouter(wiring.Component):
    """Joins each word of the memory with its place, and checks indices.

    Members
    -------
    i_places : In(stream(place_layout))
        Places of words that are read.
    i_words : In(stream(word_layout))
    write_x, write_y : Out(TileWrite)
    o_indices : Out(stream(word_layout))
    o_parameters : Out(stream(framed_layout(word_layout)))
        A packet per order.
    x_rows, y_rows, tokens : In
        Of the instruction: every index must be below the rows.
    clear : In(1)
        Asserted before an instruction.
    illegal : Out(1)
        Asserted when an index was too large, one cycle after its word.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__(
            {
                "i_places": In(stream.Signature(place_layout(config))),
                "i_words": In(stream.Signature(word_layout())),
                "write_x": Out(TileWrite(config)),
                "write_y": Out(TileWrite(config)),
                "o_indices": Out(stream.Signature(word_layout())),
                "o_parameters": Out(stream.Signature(framed_layout(word_layout()))),
                "x_rows": In(INDEX_BITS),
                "y_rows": In(INDEX_BITS),
                "tokens": In(VECTOR_FIELDS["tokens"][0]),
                "clear": In(1),
                "illegal": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        place, word = self.i_places.payload, self.i_words.payload
        both = Signal()
        ready = Signal()
        m.d.comb += [
            both.eq(self.i_places.valid & self.i_words.valid),
            self.i_places.ready.eq(self.i_words.valid & ready),
            self.i_words.ready.eq(self.i_places.valid & ready),
        ]
        for port, target in ((self.write_x, Target.X), (self.write_y, Target.Y)):
            m.d.comb += port.enable.eq(both & (place.target == target) & place.kept[0])
            m.d.comb += [getattr(port, name).eq(place[name]) for name in spot_members(self._config)]
            m.d.comb += port.data.eq(word)
        for port, target in ((self.o_indices, Target.INDEX), (self.o_parameters, Target.PARAMETERS)):
            m.d.comb += port.valid.eq(both & (place.target == target))
        m.d.comb += [
            self.o_indices.payload.eq(word),
            self.o_parameters.payload.data.eq(word),
            self.o_parameters.payload.last.eq(place.final),
        ]
        with m.Switch(place.target):
            with m.Case(Target.INDEX):
                m.d.comb += ready.eq(self.o_indices.ready)
            with m.Case(Target.PARAMETERS):
                m.d.comb += ready.eq(self.o_parameters.ready)
            with m.Default():
                m.d.comb += ready.eq(1)
        self._check(m, both)
        return m

    def _check(self, m: Module, both: Signal) -> None:
        """Compare both indices of a word with the number of rows. The last word may hold one index only.

        Words come from a block memory, so they are compared one cycle later.
        """
        place = self.i_places.payload
        word = Signal(WORD_BITS)
        rows = Signal(INDEX_BITS)
        one = Signal()  # index in the word
        checks = Signal()
        found = Signal()
        m.d.sync += [
            word.eq(self.i_words.payload.as_value()),
            rows.eq(Mux(place.target == Target.CHECK_X, self.x_rows, self.y_rows)),
            one.eq(place.final & self.tokens[0]),
            checks.eq(both & ((place.target == Target.CHECK_X) | (place.target == Target.CHECK_Y))),
            found.eq(self.illegal & ~self.clear),
        ]
        m.d.comb += self.illegal.eq(
            found | (checks & ((word[:INDEX_BITS] >= rows) | ((word[INDEX_BITS:] >= rows) & ~one)))
        )
