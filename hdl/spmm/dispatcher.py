"""Dispatcher: rows of W to their engines, pass by pass, and the order of their results."""

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import INT8_BITS, INT8_MIN, unsigned_bits
from ...spec.spmm_command import SpmmError
from ...spec.spmm_config import SpmmConfig
from ..lib.pipeline import index_bits
from ..lib.streams import PingPong, nonzero
from .activation import TableWrite
from .product_streams import command_layout, rows_layout, table_layout
from .row_engine import ROWS_AHEAD, assigned_row_layout
from .tile_loader import bank_columns, pass_count

__all__ = ["Dispatcher", "checked_command_layout", "order_layout"]


def checked_command_layout(config: SpmmConfig) -> data.StructLayout:
    """A command, and the reason to reject it."""
    return data.StructLayout({"error": unsigned_bits(max(SpmmError)), "command": command_layout(config)})


def order_layout(config: SpmmConfig) -> data.StructLayout:
    """The next entry to leave: ``last_beat`` + 1 beats of an engine, or an ``error`` without beats.

    ``end`` marks the last entry of a product.
    """
    return data.StructLayout(
        {
            "engine": unsigned_bits(config.rows - 1),
            "last_beat": unsigned_bits(config.beats_per_row - 1),
            "end": 1,
            "error": unsigned_bits(max(SpmmError)),
        }
    )


class Dispatcher(wiring.Component):
    """Dispatches one row per cycle. In spread products, it dispatches one row to every engine at once.

    A product begins after all rows of the product before are drained. The engines are far away, so their ``ready`` is
    too late for the cycle of a row. The dispatcher counts their rows instead.

    Members
    -------
    i_command : In(stream(checked_command_layout))
        Accepted after its product is drained.
    i_rows : In(stream(rows_layout))
    i_table : In(stream(table_layout))
    loaded : In(2)
        Bit s is asserted while half s of the tile memory holds the tokens of a pass.
    release : Out(2)
        Bit s is asserted for one cycle when half s is no longer needed.
    drained : In(1)
        Asserted when a row has left the drain. In spread products, when a row of every engine has.
    drained_slot : In(1)
        Half of the tile memory with the tokens of that row.
    o_rows : Out(stream(assigned_row_layout, always_ready)) × rows
    left : In(rows)
        Bit i is asserted for one cycle when engine i has one row less.
    o_order : Out(stream(order_layout, always_ready))
    order_left : In(1)
        Asserted for one cycle when an entry has left the list of ``rows * result_rows`` entries.
    format, spread, activation, bank_columns, tail_tokens : Out
        Of the current product. ``tail_tokens`` is the number of tokens of its last pass.
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
                "o_order": Out(stream.Signature(order_layout(config), always_ready=True)),
                "order_left": In(1),
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
        # Each register is one cycle later than its operands. The states below leave time for that.
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
        listed = Signal()  # ``o_order`` is valid in the next cycle
        m.d.sync += self.o_order.valid.eq(listed)
        places = config.rows * config.result_rows
        room = nonzero(m, init=places, limit=places, up=self.order_left, down=listed, name="order_room")
        sending = Signal()
        done = Signal()
        fetch, last = self._dispatch(m, command, room, sending, slot, tail)
        m.d.comb += listed.eq(fetch)
        m.d.sync += done.eq(fetch & last)
        with m.If(fetch & last):
            m.d.sync += sending.eq(0)
        idle, dispatched = self._track(m, slot, fetch)
        with m.FSM():
            with m.State("IDLE"), m.If(self.i_command.valid):
                m.next = "LIMITS"
            with m.State("LIMITS"):
                m.next = "BEGIN"
            with m.State("BEGIN"):
                with m.If(error != SpmmError.NONE):
                    m.d.sync += [self.o_order.payload.error.eq(error), self.o_order.payload.end.eq(1)]
                    m.d.comb += [listed.eq(room), self.i_command.ready.eq(room)]
                    with m.If(room):
                        m.next = "IDLE"
                with m.Elif(command.load_table):
                    m.next = "TABLE"
                with m.Else():
                    m.next = "PASS"
            with m.State("TABLE"):
                self._load_table(m)
            with m.State("PASS"), m.If(self.loaded[slot] & ~dispatched[slot]):
                m.d.sync += sending.eq(1)
                m.next = "ROWS"
            with m.State("ROWS"), m.If(done):
                m.d.sync += [dispatched[slot].eq(1), slot.eq(~slot), passes.eq(passes + 1)]
                m.next = "PASS"
                with m.If(tail):
                    m.d.sync += passes.eq(0)
                    m.next = "DRAIN"
            with m.State("DRAIN"), m.If(idle):
                m.d.comb += self.i_command.ready.eq(1)
                m.next = "IDLE"
        return m

    def _track(self, m: Module, slot: Signal, fetch: Signal) -> tuple[Signal, Signal]:
        """Count the rows in flight per slot, and release a slot when all its rows are dispatched and drained."""
        config = self._config
        idle = Signal()
        dispatched = Signal(data.ArrayLayout(unsigned(1), 2))
        m.d.comb += idle.eq(~dispatched[0] & ~dispatched[1])
        for i in range(2):
            some = nonzero(
                m,
                init=0,
                # More than the engines' queues and the stages on both sides hold.
                limit=2 * ROWS_AHEAD * config.rows + 32,
                up=fetch & (slot == i),
                down=self.drained & (self.drained_slot == i),
                name=f"inside_{i}",
            )
            # The loader clears ``loaded`` in the cycle in which ``dispatched`` is cleared here.
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

    def _dispatch(self, m: Module, command, listable: Signal, sending: Signal, slot: Signal, tail: Signal):
        """Dispatch one row, or one for every engine, when there is room.

        Returns whether a row is fetched in this cycle, and whether it is the last of the pass. The registers behind
        never stall.
        """
        config = self._config
        fetch = Signal()
        last = Signal()
        room = Signal(config.rows)
        room_for_beat = Signal()
        rows, left = self._choose(m, command, sending, room_for_beat)
        chosen = rows.payload.row
        engines = rows.payload.engines
        m.d.comb += [
            last.eq(Mux(command.spread, left <= config.rows, rows.payload.last)),
            room_for_beat.eq(sending & listable & room.all()),
            fetch.eq(
                Mux(
                    command.spread,
                    self.i_rows.valid & room_for_beat,
                    rows.valid & sending & listable & (room & engines).any(),
                )
            ),
            rows.ready.eq(fetch),
        ]
        order = self.o_order.payload
        last_beat = Mux(tail, (self.tail_tokens - 1) >> index_bits(config.drain_lanes), config.beats_per_row - 1)
        m.d.sync += [
            order.engine.eq(Mux(command.spread, 0, chosen.engine)),
            order.last_beat.eq(Mux(command.spread, 0, last_beat)),
            order.end.eq(last & tail),
            order.error.eq(SpmmError.NONE),
        ]
        for i, port in enumerate(self.o_rows):
            goes = fetch & (command.spread | engines[i])
            some = nonzero(m, init=ROWS_AHEAD, limit=ROWS_AHEAD, up=self.left[i], down=goes, name=f"room_{i}")
            row = port.payload
            m.d.comb += room[i].eq(some)
            m.d.sync += [
                port.valid.eq(goes),
                row.slot.eq(slot),
                row.tail.eq(tail),
                row.present.eq(~command.spread | (left > i)),
                row.row.eq(Mux(command.spread, Cat(self.i_rows.payload[i]), Cat(chosen))),
            ]
        return fetch, last

    def _choose(self, m: Module, command, sending: Signal, room_for_beat: Signal):
        """Take rows out of their beats. ``i_rows.ready`` does not depend on ``i_rows.valid``.

        Returns a stream of rows with their engine as a one-hot code and a flag for the last row of the pass, and the
        number of rows left in the pass. In spread products, :meth:`_dispatch` takes whole beats instead.
        """
        config = self._config
        left = Signal.like(command.rows)
        place = Signal(unsigned_bits(config.rows - 1))  # within the beat
        row = self.i_rows.payload[place if config.rows > 1 else 0]
        all_chosen = Signal()
        last = Signal()
        choosing = Signal()
        m.submodules.chosen = chosen = PingPong(
            data.StructLayout({"row": rows_layout(config).elem_shape, "engines": config.rows, "last": 1})
        )
        m.d.comb += [
            last.eq(left == 1),
            choosing.eq(sending & ~command.spread & ~all_chosen),
            chosen.i.valid.eq(choosing & self.i_rows.valid),
            self.i_rows.ready.eq(
                Mux(
                    command.spread,
                    room_for_beat,
                    choosing & chosen.i.ready & (last | (place == config.rows - 1)),
                )
            ),
            chosen.i.payload.row.eq(row),
            chosen.i.payload.engines.eq(Cat(row.engine == i for i in range(config.rows))),
            chosen.i.payload.last.eq(last),
        ]
        with m.If(~sending):
            m.d.sync += [left.eq(command.rows), all_chosen.eq(0)]
        with m.If(command.spread), m.If(self.i_rows.valid & self.i_rows.ready):
            m.d.sync += left.eq(left - config.rows)
        with m.Elif(chosen.i.valid & chosen.i.ready):
            m.d.sync += [
                left.eq(left - 1),
                all_chosen.eq(last),
                place.eq(Mux(self.i_rows.ready, 0, place + 1)),
            ]
        return chosen.o, left
