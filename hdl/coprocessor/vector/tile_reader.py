"""The tiles of x and y, read together."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.program import WORD_BYTES
from ...lib.pipeline import delay
from .tile_memory import READ_CYCLES, TileMemory
from .tile_streams import TileWrite, operands_layout, place_layout, spot_members

__all__ = ["TileReader"]


class TileReader(wiring.Component):
    """Two tile memories that read the same place: a pipeline that stalls with its output.

    Members
    -------
    write_x, write_y : In(TileWrite)
    i_places : In(stream(place_layout))
    o_operands : Out(stream(operands_layout))
    busy : Out(1)
        Asserted while words are in the pipeline.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__(
            {
                "write_x": In(TileWrite(config)),
                "write_y": In(TileWrite(config)),
                "i_places": In(stream.Signature(place_layout(config))),
                "o_operands": Out(stream.Signature(operands_layout())),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        place, operands = self.i_places.payload, self.o_operands.payload
        advance = Signal()
        m.submodules.x = x = TileMemory(self._config)
        m.submodules.y = y = TileMemory(self._config)
        connect(m, flipped(self.write_x), x.write)
        connect(m, flipped(self.write_y), y.write)
        for memory in (x, y):
            m.d.comb += memory.read.enable.eq(advance)
            m.d.comb += [getattr(memory.read, name).eq(place[name]) for name in spot_members(self._config)]
        marks = {}
        for name in ("kept", "first", "last", "final"):
            marks[name] = delay(m, place[name], READ_CYCLES, enable=advance, name=f"held_{name}")[-1]
        valid = delay(m, self.i_places.valid, READ_CYCLES, enable=advance, name="held_valid")
        m.d.comb += [
            advance.eq(~self.o_operands.valid | self.o_operands.ready),
            self.i_places.ready.eq(advance),
            self.busy.eq(self.o_operands.valid | Cat(valid[1:]).any()),
        ]
        with m.If(advance):
            m.d.sync += [self.o_operands.valid.eq(valid[-1]), operands.y.eq(y.read.data)]
            m.d.sync += [operands[name].eq(marks[name]) for name in ("first", "last", "final")]
            m.d.sync += [operands.x[i].eq(Mux(marks["kept"][i], x.read.data[i], 0)) for i in range(WORD_BYTES)]
        return m
