"""Rows of W to their engines, pass after pass, and the order in which their results are to leave."""

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ...spec.formats import INT8_BITS, INT8_MIN, unsigned_bits
from ...spec.spmm_command import SpmmError
from ...spec.spmm_config import SpmmConfig
from ..activation import TableWrite
from ..common.pipeline import index_bits
from ..common.streams import StreamRegister, nonzero
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

    An engine is so far away that it cannot be asked for room in the cycle of a row: its rows are counted here.

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
    o_rows : Out(stream(assigned_row_layout, always_ready)) × rows
    left : In(rows)
        High for a cycle when an engine has one row less.
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
                "o_rows": Out(stream.Signature(assigned_row_layout(config), always_ready=True)).array(config.rows),
                "left": In(config.rows),
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
        command = Signal(command_layout(config))
        error = Signal.like(self.i_command.payload.error)
        passes = Signal(unsigned_bits(config.max_tokens))
        slot = Signal()
        tail = Signal()
        last_pass = Signal.like(passes)
        # Each in the cycle after what it is made of; the states below leave the time.
        per_pass = Mux(command.spread, config.spread_tokens, config.lanes)
        m.d.sync += [
            command.eq(self.i_command.payload.command),
            error.eq(self.i_command.payload.error),
            last_pass.eq(pass_count(config, command) - 1),
            tail.eq(passes == last_pass),
            self.bank_columns.eq(bank_columns(config, command.columns)),
            self.tail_tokens.eq(((command.tokens - 1) & (per_pass - 1)) + 1),
        ]
        m.d.comb += [getattr(self, name).eq(command[name]) for name in ("format", "spread", "activation")]
        m.submodules.order = order = StreamRegister(order_layout(config))
        connect(m, order.o, flipped(self.o_order))
        sending, done = Signal(), Signal()
        fetched = self._dispatch(m, command, order.i, sending, slot, tail, done)
        idle, dispatched = self._track(m, slot, fetched)
        with m.FSM():
            with m.State("IDLE"), m.If(self.i_command.valid):
                m.next = "LIMITS"
            with m.State("LIMITS"):
                m.next = "BEGIN"
            with m.State("BEGIN"):
                with m.If(error != SpmmError.NONE):
                    m.d.comb += [
                        order.i.valid.eq(1),
                        order.i.payload.error.eq(error),
                        order.i.payload.end.eq(1),
                        self.i_command.ready.eq(order.i.ready),
                    ]
                    with m.If(order.i.ready):
                        m.next = "IDLE"
                with m.Elif(command.load_table):
                    m.next = "TABLE"
                with m.Else():
                    m.next = "PASS"
            with m.State("TABLE"):
                self._load_table(m)
            with m.State("PASS"), m.If(self.loaded[slot] & ~dispatched[slot]):
                m.next = "ROWS"
            with m.State("ROWS"):
                m.d.comb += sending.eq(1)
                with m.If(done):
                    m.d.sync += [dispatched[slot].eq(1), slot.eq(~slot), passes.eq(passes + 1)]
                    m.next = "PASS"
                    with m.If(tail):
                        m.d.sync += passes.eq(0)
                        m.next = "DRAIN"
            with m.State("DRAIN"), m.If(idle):
                m.d.comb += self.i_command.ready.eq(1)
                m.next = "IDLE"
        return m

    def _track(self, m: Module, slot: Signal, fetched: Signal) -> tuple[Signal, Signal]:
        """Rows inside, by slot; a slot whose rows were all dispatched and drained is released."""
        config = self._config
        idle = Signal()
        dispatched = Signal(data.ArrayLayout(unsigned(1), 2))
        m.d.comb += idle.eq(~dispatched[0] & ~dispatched[1])
        for i in range(2):
            some = nonzero(
                m,
                init=0,
                # The engines' queues and the stages on either side, generously.
                limit=2 * ROWS_AHEAD * config.rows + 32,
                up=fetched & (slot == i),
                down=self.drained & (self.drained_slot == i),
                name=f"inside_{i}",
            )
            # The loader forgets the slot in the cycle in which its mark here goes.
            m.d.sync += self.release[i].eq(dispatched[i] & ~some & ~self.release[i])
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

    def _dispatch(self, m: Module, command, order, sending: Signal, slot: Signal, tail: Signal, done: Signal) -> Signal:
        """One row, or one for every engine: fetched into a register, and sent from there to engines that have room.
        High when it is fetched, ``done`` with the pass's last."""
        config = self._config
        left = Signal.like(command.rows)  # rows of the pass
        place = Signal(unsigned_bits(config.rows - 1))  # in the beat
        fetch, last = Signal(), Signal()
        valid, sent = Signal(), Signal()
        chosen = Signal.like(self.i_rows.payload[0])
        m.d.comb += [
            chosen.eq(self.i_rows.payload[place if config.rows > 1 else 0]),
            last.eq(Mux(command.spread, left <= config.rows, left == 1)),
            fetch.eq(sending & self.i_rows.valid & (~valid | sent)),
            done.eq(fetch & last),
            self.i_rows.ready.eq(fetch & (last | command.spread | (place == config.rows - 1))),
        ]
        with m.If(~sending):
            m.d.sync += left.eq(command.rows)
        with m.If(fetch):
            m.d.sync += [left.eq(left - Mux(command.spread, config.rows, 1)), place.eq(place + 1)]
            with m.If(self.i_rows.ready):
                m.d.sync += place.eq(0)
        targets = Signal(config.rows)
        held = Signal.like(order.payload, name="held_order")
        rows = [Signal.like(port.payload, name=f"row_{i}") for i, port in enumerate(self.o_rows)]
        with m.If(fetch):
            m.d.sync += [
                targets.eq(Mux(command.spread, -1, 1 << chosen.engine)),
                held.engine.eq(Mux(command.spread, 0, chosen.engine)),
                held.last_beat.eq(
                    Mux(
                        tail & ~command.spread,
                        (self.tail_tokens - 1) >> index_bits(config.drain_lanes),
                        Mux(command.spread, 0, config.beats_per_row - 1),
                    )
                ),
                held.end.eq(last & tail),
            ]
            for i, row in enumerate(rows):
                m.d.sync += [
                    row.slot.eq(slot),
                    row.tail.eq(tail),
                    row.present.eq(~command.spread | (left > i)),
                    row.row.eq(Mux(command.spread, Cat(self.i_rows.payload[i]), Cat(chosen))),
                ]
        with m.If(sent | ~valid):
            m.d.sync += valid.eq(fetch)
        room = Signal(config.rows)
        for i, port in enumerate(self.o_rows):
            goes = sent & targets[i]
            some = nonzero(m, init=ROWS_AHEAD, limit=ROWS_AHEAD, up=self.left[i], down=goes, name=f"room_{i}")
            m.d.comb += [room[i].eq(some), port.valid.eq(goes), port.payload.eq(rows[i])]
        m.d.comb += [
            order.valid.eq(valid & (~targets | room).all()),
            order.payload.eq(held),
            sent.eq(order.valid & order.ready & valid),
        ]
        return fetch
