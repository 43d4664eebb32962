"""Rows of W to their engines, pass after pass, and the order in which their results are to leave."""

from amaranth import Array, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import INT8_BITS, INT8_MIN, unsigned_bits
from ...spec.spmm_command import SpmmError
from ...spec.spmm_config import SpmmConfig
from ..activation import TableWrite
from ..common.pipeline import index_bits
from .interface import command_layout, rows_layout, table_layout
from .loader import bank_columns, pass_count
from .row_engine import ROWS_AHEAD, assigned_row_layout

__all__ = ["Dispatcher", "checked_command_layout", "order_layout"]


def checked_command_layout(config: SpmmConfig) -> data.StructLayout:
    """A command and why it is refused."""
    return data.StructLayout({"error": unsigned_bits(max(SpmmError)), "command": command_layout(config)})


def order_layout(config: SpmmConfig) -> data.StructLayout:
    """What leaves next: ``last_beat`` + 1 beats of an engine, ``end`` of their product; or an ``error`` and no beat."""
    return data.StructLayout(
        {
            "engine": unsigned_bits(config.rows - 1),
            "last_beat": unsigned_bits(config.beats_per_row - 1),
            "end": 1,
            "error": unsigned_bits(max(SpmmError)),
        }
    )


class Dispatcher(wiring.Component):
    """A row per cycle or, spread, one for every engine. A product begins when all rows of the one before are drained.

    Members
    -------
    i_command : In(stream(checked_command_layout))
        Taken when its product is drained.
    i_rows : In(stream(rows_layout))
    i_table : In(stream(table_layout))
    loaded : In(2)
        Halves of the tile memory that hold the tokens of a pass.
    release : Out(2)
        High for a cycle when they are no longer needed.
    drained, drained_slot : In(1)
        A row (spread: of every engine) has left the drain.
    o_rows : Out(stream(assigned_row_layout)) × rows
    o_order : Out(stream(order_layout))
    format, spread, activation, bank_columns, tail_tokens : Out
        Of the product under way; ``tail_tokens`` are those of its last pass.
    table : Out(TableWrite)
    """

    def __init__(self, config: SpmmConfig):
        self._config = config
        command = command_layout(config)
        super().__init__(
            {
                "i_command": In(stream.Signature(checked_command_layout(config))),
                "i_rows": In(stream.Signature(rows_layout(config))),
                "i_table": In(stream.Signature(table_layout())),
                "loaded": In(data.ArrayLayout(unsigned(1), 2)),
                "release": Out(data.ArrayLayout(unsigned(1), 2)),
                "drained": In(1),
                "drained_slot": In(1),
                "o_rows": Out(stream.Signature(assigned_row_layout(config))).array(config.rows),
                "o_order": Out(stream.Signature(order_layout(config))),
                **{name: Out(command[name].shape) for name in ("format", "spread", "activation")},
                "bank_columns": Out(unsigned_bits(config.max_bank_columns)),
                "tail_tokens": Out(unsigned_bits(config.lanes)),
                "table": Out(TableWrite()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        command = self.i_command.payload.command
        passes = Signal(unsigned_bits(config.max_tokens))
        slot = Signal()
        tail = Signal()
        last_pass = Signal.like(passes)
        m.d.comb += [self.format.eq(command.format), self.spread.eq(command.spread)]
        m.d.comb += [self.activation.eq(command.activation), tail.eq(passes == last_pass)]
        # Registered in the cycle before they are needed: the command has been there since.
        per_pass = Mux(command.spread, config.spread_tokens, config.lanes)
        m.d.sync += [
            last_pass.eq(pass_count(config, command) - 1),
            self.bank_columns.eq(bank_columns(config, command.columns)),
            self.tail_tokens.eq(((command.tokens - 1) & (per_pass - 1)) + 1),
        ]
        idle, dispatched = self._track(m, slot)
        with m.FSM():
            with m.State("IDLE"), m.If(self.i_command.valid):
                with m.If(self.i_command.payload.error != SpmmError.NONE):
                    m.d.comb += [
                        self.o_order.valid.eq(1),
                        self.o_order.payload.error.eq(self.i_command.payload.error),
                        self.o_order.payload.end.eq(1),
                        self.i_command.ready.eq(self.o_order.ready),
                    ]
                with m.Elif(command.load_table):
                    m.next = "TABLE"
                with m.Else():
                    m.next = "PASS"
            with m.State("TABLE"):
                self._load_table(m)
            with m.State("PASS"), m.If(self.loaded[slot] & ~dispatched[slot]):
                m.next = "ROWS"
            with m.State("ROWS"), m.If(self._dispatch(m, slot, tail)):
                m.d.sync += [dispatched[slot].eq(1), slot.eq(~slot), passes.eq(passes + 1)]
                m.next = "PASS"
                with m.If(tail):
                    m.d.sync += passes.eq(0)
                    m.next = "DRAIN"
            with m.State("DRAIN"), m.If(idle):
                m.d.comb += self.i_command.ready.eq(1)
                m.next = "IDLE"
        return m

    def _track(self, m: Module, slot: Signal) -> tuple[Signal, Signal]:
        """Rows inside, by slot; a slot whose rows were all dispatched and drained is released."""
        config = self._config
        idle = Signal()
        dispatched = Signal(data.ArrayLayout(unsigned(1), 2))
        # The engines' queues and the drain's stages, generously.
        inside = [Signal(range(2 * ROWS_AHEAD * config.rows + 32), name=f"inside_{i}") for i in range(2)]
        m.d.comb += idle.eq((inside[0] == 0) & (inside[1] == 0) & ~dispatched[0] & ~dispatched[1])
        sent = self.o_order.valid & self.o_order.ready & (self.o_order.payload.error == SpmmError.NONE)
        for i, count in enumerate(inside):
            m.d.sync += count.eq(count + (sent & (slot == i)) - (self.drained & (self.drained_slot == i)))
            m.d.comb += self.release[i].eq(dispatched[i] & (count == 0))
            with m.If(self.release[i]):
                m.d.sync += dispatched[i].eq(0)
        return idle, dispatched

    def _load_table(self, m: Module) -> None:
        entry = Signal(INT8_BITS)
        m.d.comb += [
            self.i_table.ready.eq(1),
            self.table.enable.eq(self.i_table.valid),
            self.table.address.eq(entry + INT8_MIN),
            self.table.data.eq(self.i_table.payload[0]),
        ]
        with m.If(self.i_table.valid):
            m.d.sync += entry.eq(entry + 1)
            with m.If(entry.all()):
                m.next = "PASS"

    def _dispatch(self, m: Module, slot: Signal, tail: Signal) -> Signal:
        """One row, or one for every engine; high when it is the pass's last."""
        config = self._config
        command = self.i_command.payload.command
        row = Signal.like(command.rows)  # of those before
        place = Signal(unsigned_bits(config.rows - 1))  # in the beat
        after = Signal(len(row) + index_bits(config.rows) + 1)
        sent, last = Signal(), Signal()
        chosen = Signal.like(self.i_rows.payload[0])
        order = self.o_order.payload
        m.d.comb += [
            chosen.eq(self.i_rows.payload[place if config.rows > 1 else 0]),
            after.eq(row + Mux(self.spread, config.rows, 1)),
            last.eq(after >= command.rows),
            order.last_beat.eq(
                Mux(tail, (self.tail_tokens - 1) >> index_bits(config.drain_lanes), config.beats_per_row - 1)
            ),
            order.engine.eq(chosen.engine),
            order.end.eq(last & tail),
            sent.eq(self.o_order.valid & self.o_order.ready),
            self.i_rows.ready.eq(sent & (last | self.spread | (place == config.rows - 1))),
        ]
        with m.If(self.spread):
            m.d.comb += [order.last_beat.eq(0), order.engine.eq(0)]
        taken = Array(rows.ready for rows in self.o_rows)[chosen.engine]
        if config.banks > 1:
            every = Signal(config.rows)
            m.d.comb += [every[i].eq(rows.ready) for i, rows in enumerate(self.o_rows)]
            taken = Mux(self.spread, every.all(), taken)
        m.d.comb += self.o_order.valid.eq(self.i_rows.valid & taken)
        for i, rows in enumerate(self.o_rows):
            m.d.comb += [
                rows.valid.eq(sent & (self.spread | (chosen.engine == i))),
                rows.payload.slot.eq(slot),
                rows.payload.tail.eq(tail),
                rows.payload.present.eq(1),
                rows.payload.row.eq(chosen),
            ]
            with m.If(self.spread):
                m.d.comb += [
                    rows.payload.row.eq(self.i_rows.payload[i]),
                    rows.payload.present.eq(row + i < command.rows),
                ]
        with m.If(sent):
            m.d.sync += [row.eq(after), place.eq(place + 1)]
            with m.If(self.i_rows.ready):
                m.d.sync += place.eq(0)
            with m.If(last):
                m.d.sync += row.eq(0)
        done = Signal()
        m.d.comb += done.eq(sent & last)
        return done
