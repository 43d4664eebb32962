"""Loads X into the tile memories, pass by pass."""

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ...spec.formats import unsigned_bits
from ...spec.spmm_config import SpmmConfig
from ..lib.packets import PacketReceiver, fault_layout, framed_layout
from ..lib.pipeline import index_bits
from .product_streams import command_layout, input_layout
from .tile_memory import TileWrite

__all__ = ["TileLoader", "bank_columns", "load_layout", "pass_count"]


def bank_columns(config: SpmmConfig, columns):
    """ceil(columns / banks)."""
    return (columns + (config.banks - 1)) >> index_bits(config.banks)


def pass_count(config: SpmmConfig, command):
    """Passes over the tokens of a command."""

    def over(tokens: int):
        return (command.tokens + (tokens - 1)) >> index_bits(tokens)

    return Mux(command.spread, over(config.spread_tokens), over(config.lanes))


def load_layout(config: SpmmConfig) -> data.StructLayout:
    """A command whose X comes next. If it is ``rejected``, X is dropped."""
    return data.StructLayout({"rejected": 1, "command": command_layout(config)})


class TileLoader(wiring.Component):
    """Fills the two slots in turn, each as soon as it is free.

    Members
    -------
    i_command : In(stream(load_layout))
        Accepted after its last beat of X.
    i_inputs : In(stream(framed_layout(input_layout)))
    release : In(2)
        Bit s is asserted for one cycle when the tokens in slot s are no longer needed.
    loaded : Out(2)
        Bit s is asserted while slot s holds the tokens of a pass.
    faults : Out(fault_layout) × 2
        While slot s holds the last pass of a product: what is wrong with the packet of its X.
    write : Out(TileWrite)
    """

    def __init__(self, config: SpmmConfig):
        self._config = config
        super().__init__(
            {
                "i_command": In(stream.Signature(load_layout(config))),
                "i_inputs": In(stream.Signature(framed_layout(input_layout(config)))),
                "release": In(2),
                "loaded": Out(data.ArrayLayout(unsigned(1), 2)),
                "faults": Out(data.ArrayLayout(fault_layout(), 2)),
                "write": Out(TileWrite(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        command = self.i_command.payload.command
        m.submodules.packet = packet = PacketReceiver(input_layout(config))
        connect(m, flipped(self.i_inputs), packet.i)
        slot = Signal()
        column = Signal(config.column_bits)
        columns = Signal(unsigned_bits(config.max_columns))
        left = Signal.like(columns)  # columns left in the pass
        passes = Signal(unsigned_bits(config.max_tokens))  # passes left, with the current one
        # Comparisons and conditions come from registers.
        ready = Signal()
        loading = Signal()
        begin = Signal()
        last_column = Signal()
        last_pass = Signal()
        take = Signal()
        last = Signal()
        written_last = Signal()
        free = Signal(2)  # free in the next cycle, unless this cycle fills the slot
        m.d.comb += [
            packet.o.ready.eq(ready),
            packet.final.eq(last_column & last_pass),
            take.eq(packet.o.valid & ready),
            last.eq(take & last_column),
            free.eq(~Cat(self.loaded) | self.release),
            self.write.column.eq(column),
        ]
        m.d.sync += [
            ready.eq((begin | (loading & ~(last & last_pass))) & free.bit_select(slot ^ last, 1)),
            columns.eq(Mux(command.spread, bank_columns(config, command.columns), command.columns)),
            self.write.enable.eq(take),
            self.write.slot.eq(slot),
            self.write.data.eq(Mux(packet.made_up, 0, packet.o.payload)),
            written_last.eq(last_column),
        ]
        with m.If(self.write.enable):
            m.d.sync += column.eq(Mux(written_last, 0, column + 1))
        for i in range(2):
            with m.If(self.release[i]):
                m.d.sync += self.loaded[i].eq(0)
        with m.If(take):
            m.d.sync += [left.eq(left - 1), last_column.eq(left == 2)]
        with m.If(last):
            m.d.sync += [
                self.loaded[slot].eq(1),
                self.faults[slot].eq(packet.fault),
                slot.eq(~slot),
                left.eq(columns),
                last_column.eq(columns == 1),
                passes.eq(passes - 1),
                last_pass.eq(passes == 2),
            ]
        with m.FSM():
            with m.State("IDLE"), m.If(self.i_command.valid):
                m.next = "LIMITS"
            with m.State("LIMITS"):
                m.d.sync += passes.eq(pass_count(config, command))
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.sync += [left.eq(columns), last_column.eq(columns == 1), last_pass.eq(passes == 1)]
                with m.If(~self.i_command.payload.rejected):
                    m.d.comb += begin.eq(1)
                    m.next = "LOAD"
                with m.Elif(~packet.dropping):
                    m.d.comb += packet.drop.eq(1)
                    m.next = "END"
            with m.State("LOAD"):
                m.d.comb += loading.eq(1)
                with m.If(last & last_pass):
                    m.next = "END"
            with m.State("END"):
                m.d.comb += self.i_command.ready.eq(1)
                m.next = "IDLE"
        return m
