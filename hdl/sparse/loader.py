"""X into the tile memories, pass after pass."""

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import unsigned_bits
from ...spec.spmm_config import SpmmConfig
from ..common.pipeline import index_bits
from .interface import command_layout, input_layout
from .tile_memory import TileWrite

__all__ = ["Loader", "bank_columns", "pass_count"]


def bank_columns(config: SpmmConfig, columns):
    """ceil(columns / banks)."""
    return (columns + (config.banks - 1)) >> index_bits(config.banks)


def pass_count(config: SpmmConfig, command):
    """Passes over the tokens of a command."""

    def over(tokens: int):
        return (command.tokens + (tokens - 1)) >> index_bits(tokens)

    return Mux(command.spread, over(config.spread_tokens), over(config.lanes))


class Loader(wiring.Component):
    """Fills one slot after the other, each as soon as it is free.

    Members
    -------
    i_command : In(stream(command_layout))
        Taken with its last beat of X.
    i_inputs : In(stream(input_layout))
    release : In(2)
        High for a cycle when a slot's tokens are no longer needed.
    loaded : Out(2)
        Slots that hold the tokens of a pass.
    write : Out(TileWrite)
    """

    def __init__(self, config: SpmmConfig):
        self._config = config
        super().__init__(
            {
                "i_command": In(stream.Signature(command_layout(config))),
                "i_inputs": In(stream.Signature(input_layout(config))),
                "release": In(2),
                "loaded": Out(data.ArrayLayout(unsigned(1), 2)),
                "write": Out(TileWrite(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        command = self.i_command.payload
        slot = Signal()
        column = Signal(config.column_bits)
        last_column = Signal.like(column)
        done_passes = Signal(unsigned_bits(config.max_tokens))
        take, last = Signal(), Signal()
        m.d.comb += [
            last_column.eq(Mux(command.spread, bank_columns(config, command.columns), command.columns) - 1),
            take.eq(self.i_inputs.valid & self.i_inputs.ready),
            last.eq(take & (column == last_column)),
            self.i_inputs.ready.eq(self.i_command.valid & ~self.loaded[slot]),
            self.i_command.ready.eq(last & (done_passes + 1 == pass_count(config, command))),
        ]
        m.d.sync += [
            self.write.enable.eq(take),
            self.write.slot.eq(slot),
            self.write.column.eq(column),
            self.write.data.eq(self.i_inputs.payload),
        ]
        for i in range(2):
            with m.If(self.release[i]):
                m.d.sync += self.loaded[i].eq(0)
        with m.If(take):
            m.d.sync += column.eq(column + 1)
        with m.If(last):
            m.d.sync += [
                self.loaded[slot].eq(1),
                slot.eq(~slot),
                column.eq(0),
                done_passes.eq(Mux(self.i_command.ready, 0, done_passes + 1)),
            ]
        return m
