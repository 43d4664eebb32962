"""NORMALISE: leads tiles through the vector unit."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.formats import unsigned_bits
from ....spec.program import WORD_BYTES
from ....spec.vector import CHANNEL_SHIFT_MAX
from ...lib.packets import framed_layout
from ...lib.pipeline import index_bits
from ...vector.unit import VectorUnit
from ...vector.vector_streams import command_layout
from ..memory_streams import word_layout
from .tile_streams import TileWrite, operands_layout, place_layout

__all__ = ["Normaliser", "tile_size_layout"]


def tile_size_layout(config: CoprocessorConfig) -> data.StructLayout:
    """Channels of a tile, and its groups of 8 tokens. ``last`` marks the last tile of a command."""
    return data.StructLayout(
        {
            "channels": unsigned_bits(config.vector.max_channels),
            "groups": unsigned_bits(config.tile // WORD_BYTES),
            "last": 1,
        }
    )


class _Steps(wiring.Component):
    """Channel after channel of each group, ``passes`` times.

    Members
    -------
    i_tile : In(stream(tile_size_layout))
        Accepted after the last step.
    step : In(1)
        Asserted to go on; only while ``i_tile.valid`` is asserted.
    channel, group : Out
    last : Out(1)
        The last channel of a pass.
    final : Out(1)
        The last step of the tile.
    """

    def __init__(self, config: CoprocessorConfig, *, passes: int):
        self._passes = passes
        size = tile_size_layout(config)
        super().__init__(
            {
                "i_tile": In(stream.Signature(size)),
                "step": In(1),
                "channel": Out(size["channels"].shape),
                "group": Out(size["groups"].shape),
                "last": Out(1),
                "final": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tile = self.i_tile.payload
        last_pass = Signal(init=self._passes == 1)
        ends = Signal()
        m.d.comb += [
            self.last.eq(self.channel + 1 == tile.channels),
            ends.eq(self.step & self.last & last_pass),
            self.final.eq(self.last & last_pass & (self.group + 1 == tile.groups)),
            self.i_tile.ready.eq(self.step & self.final),
        ]
        with m.If(self.step):
            m.d.sync += self.channel.eq(Mux(self.last, 0, self.channel + 1))
        if self._passes == 2:
            with m.If(self.step & self.last):
                m.d.sync += last_pass.eq(~last_pass)
        with m.If(ends):
            m.d.sync += self.group.eq(Mux(self.i_tile.ready, 0, self.group + 1))
        return m


class Normaliser(wiring.Component):
    """The vector unit, with a command for all tiles of an instruction.

    The parameters of an instruction are read once. The results of a tile replace x.

    Members
    -------
    i_command : In(stream(command_layout))
    i_parameters : In(stream(framed_layout(word_layout)))
        One word per channel.
    illegal : Out(1)
        Asserted if a shift of a channel is too large. It is complete before the first result of a command, and stays
        until the next command.
    i_tile : In(stream(tile_size_layout))
        Accepted when all results of the tile are written.
    o_places : Out(stream(place_layout))
        Operands of the tile; each group twice.
    i_operands : In(stream(operands_layout))
    write : Out(TileWrite)
        Results.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__(
            {
                "i_command": In(stream.Signature(command_layout(config.vector))),
                "i_parameters": In(stream.Signature(framed_layout(word_layout()))),
                "illegal": Out(1),
                "i_tile": In(stream.Signature(tile_size_layout(config))),
                "o_places": Out(stream.Signature(place_layout(config))),
                "i_operands": In(stream.Signature(operands_layout())),
                "write": Out(TileWrite(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = VectorUnit(self._config.vector)
        connect(m, flipped(self.i_command), unit.i_command)
        self._parameters(m, unit)
        m.submodules.operands = operands = _Steps(self._config, passes=2)
        m.submodules.results = results = _Steps(self._config, passes=1)
        offered = Signal()  # all operands of the tile are on their way
        given = Signal()
        m.d.comb += [
            operands.i_tile.payload.eq(self.i_tile.payload),
            results.i_tile.payload.eq(self.i_tile.payload),
            self.o_places.valid.eq(self.i_tile.valid & ~offered),
            operands.i_tile.valid.eq(self.o_places.valid),
            operands.step.eq(self.o_places.valid & self.o_places.ready),
            self.o_places.payload.channel.eq(operands.channel),
            self.o_places.payload.token.eq(operands.group << index_bits(WORD_BYTES)),
            Value.cast(self.o_places.payload.kept).eq(-1),
            self.o_places.payload.final.eq(self.i_tile.payload.last & operands.final),
            unit.o_data.ready.eq(1),
            unit.o_statistics.ready.eq(1),
            given.eq(unit.o_data.valid),
            results.i_tile.valid.eq(self.i_tile.valid),
            results.step.eq(given),
            self.i_tile.ready.eq(results.i_tile.ready),
            self.write.enable.eq(given),
            self.write.channel.eq(results.channel),
            self.write.token.eq(results.group << index_bits(WORD_BYTES)),
            self.write.data.as_value().eq(unit.o_data.payload.as_value()),
        ]
        # Both streams get the same beats. Each takes a beat when it can, so that neither waits for the other's ready.
        taken = Signal(2)
        takes = []
        for i, (port, name) in enumerate(((unit.i_x, "x"), (unit.i_y, "y"))):
            m.d.comb += [
                Value.cast(port.payload.data).eq(self.i_operands.payload[name].as_value()),
                port.payload.last.eq(self.i_operands.payload.final),
                port.valid.eq(self.i_operands.valid & ~taken[i]),
            ]
            takes.append(taken[i] | port.ready)
        m.d.comb += self.i_operands.ready.eq(Cat(takes).all())
        with m.If(self.i_operands.valid):
            m.d.sync += taken.eq(Mux(self.i_operands.ready, 0, Cat(takes)))
        with m.If(operands.i_tile.ready):
            m.d.sync += offered.eq(1)
        with m.If(self.i_tile.ready):
            m.d.sync += offered.eq(0)
        return m

    def _parameters(self, m: Module, unit: VectorUnit) -> None:
        """Take the fields of a parameter out of its word, and check its shifts."""
        word, fields = self.i_parameters.payload.data, unit.i_parameters.payload.data
        m.d.comb += [
            unit.i_parameters.valid.eq(self.i_parameters.valid),
            self.i_parameters.ready.eq(unit.i_parameters.ready),
            unit.i_parameters.payload.last.eq(self.i_parameters.payload.last),
            fields.x_shift.eq(word[0]),
            fields.y_shift.eq(word[1]),
            fields.gain.eq(word.as_value()[16:32]),
            fields.bias.eq(word.as_value()[32:64]),
        ]
        with m.If(self.i_command.valid & self.i_command.ready):
            m.d.sync += self.illegal.eq(0)
        with m.Elif(self.i_parameters.valid & self.i_parameters.ready):
            m.d.sync += self.illegal.eq(self.illegal | (word[0] > CHANNEL_SHIFT_MAX) | (word[1] > CHANNEL_SHIFT_MAX))
