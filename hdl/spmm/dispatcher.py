"""Dispatcher: rows of W to their engines, pass by pass, and the order of their results."""

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ...spec.formats import INT8_BITS, INT8_MIN, unsigned_bits
from ...spec.spmm_command import SpmmError
from ...spec.spmm_config import SpmmConfig
from ..lib.packets import PacketReceiver, fault_layout, framed_layout
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
        Accepted after its product is drained and its packets have ended.
    i_rows : In(stream(framed_layout(rows_layout)))
    i_table : In(stream(framed_layout(table_layout)))
    loaded : In(2)
        Bit s is asserted while half s of the tile memory holds the tokens of a pass.
    input_faults : In(fault_layout) × 2
        Of the packet of X, if half s of the tile memory holds the tokens of the last pass.
    release : Out(2)
        Bit s is asserted for one cycle when half s is no longer needed.
    drained : In(1)
        Asserted when a row has left the drain. In spread products, when a row of every engine has.
    drained_slot : In(1)
        Half of the tile memory with the tokens of that row.
    o_rows : Out(stream(assigned_row_layout, always_ready)) × rows
    left : In(rows)
        Bit i is asserted for one cycle when engine i has one row less.
    end : Out(1)
        Asserted for one cycle after the last row of a product.
    ended : In(rows), engine_faults : In(fault_layout) × rows
        Bit i is asserted for one cycle when the packet of engine i has ended.
    o_fault : Out(stream(fault_layout, always_ready))
        Of all packets of a command, when the last one has ended.
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
                "i_rows": In(stream.Signature(framed_layout(rows_layout(config)))),
                "i_table": In(stream.Signature(framed_layout(table_layout()))),
                "loaded": In(data.ArrayLayout(unsigned(1), 2)),
                "input_faults": In(data.ArrayLayout(fault_layout(), 2)),
                "release": Out(data.ArrayLayout(unsigned(1), 2)),
                "drained": In(1),
                "drained_slot": In(1),
                "o_rows": Out(stream.Signature(assigned_row_layout(config), always_ready=True)).array(config.rows),
                "left": In(config.rows),
                "end": Out(1),
                "ended": In(config.rows),
                "engine_faults": In(data.ArrayLayout(fault_layout(), config.rows)),
                "o_fault": Out(stream.Signature(fault_layout(), always_ready=True)),
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
        m.submodules.rows = rows = PacketReceiver(rows_layout(config))
        m.submodules.entries = entries = PacketReceiver(table_layout())
        connect(m, flipped(self.i_rows), rows.i)
        connect(m, flipped(self.i_table), entries.i)
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
        fetch, last = self._dispatch(m, rows, command, room, sending, slot, tail)
        m.d.comb += listed.eq(fetch)
        m.d.sync += done.eq(fetch & last)
        with m.If(fetch & last):
            m.d.sync += sending.eq(0)
        idle, dispatched = self._track(m, slot, fetch)
        ending = Signal()
        closed = self._close(m, rows, entries, ending, inputs_fault=self.input_faults[slot])
        with m.FSM():
            with m.State("IDLE"), m.If(self.i_command.valid):
                m.next = "LIMITS"
            with m.State("LIMITS"):
                m.next = "BEGIN"
            with m.State("BEGIN"):
                with m.If(error != SpmmError.NONE):
                    m.d.sync += [self.o_order.payload.error.eq(error), self.o_order.payload.end.eq(1)]
                    m.d.comb += listed.eq(room)
                    with m.If(room):
                        m.next = "REJECTED"
                with m.Elif(command.load_table):
                    m.next = "TABLE"
                with m.Else():
                    m.next = "PASS"
            with m.State("REJECTED"):
                m.d.comb += [rows.drop.eq(1), entries.drop.eq(command.load_table), ending.eq(1)]
                m.next = "CLOSE"
            with m.State("TABLE"):
                self._load_table(m, entries)
            with m.State("PASS"), m.If(self.loaded[slot] & ~dispatched[slot]):
                m.d.sync += sending.eq(1)
                m.next = "ROWS"
            with m.State("ROWS"), m.If(done):
                m.d.sync += [dispatched[slot].eq(1), slot.eq(~slot), passes.eq(passes + 1)]
                m.next = "PASS"
                with m.If(tail):
                    m.d.sync += passes.eq(0)
                    m.d.comb += ending.eq(1)
                    m.next = "CLOSE"
            with m.State("CLOSE"), m.If(closed):
                m.d.comb += self.o_fault.valid.eq(1)
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

    def _close(self, m: Module, rows, entries, ending: Signal, *, inputs_fault) -> Signal:
        """Wait for the ends of all packets and collect their faults. Returns whether all have ended.

        ``ending`` is asserted for one cycle when the last row of a product is dispatched, or its command is rejected.
        """
        fault = Signal(fault_layout())
        open_packets = Signal(self._config.rows)
        closed = Signal()
        m.d.comb += [
            closed.eq(~(open_packets.any() | rows.dropping | entries.dropping)),
            self.o_fault.payload.eq(fault),
        ]
        m.d.sync += [self.end.eq(ending), open_packets.eq(open_packets & ~self.ended)]
        found = [(1, rows.fault), (1, entries.fault), (ending, inputs_fault)]
        found += [(self.ended[i], self.engine_faults[i]) for i in range(self._config.rows)]
        for name in fault.shape().members:
            with m.If(Cat(there & of[name] for there, of in found).any()):
                m.d.sync += fault[name].eq(1)
        with m.If(ending):
            m.d.sync += open_packets.eq(-1)
        with m.If(self.o_fault.valid):
            m.d.sync += fault.eq(0)
        return closed

    def _load_table(self, m: Module, entries) -> None:
        entry = Signal(INT8_BITS)
        m.d.comb += [
            entries.o.ready.eq(1),
            entries.final.eq(entry.all()),
            self.table.enable.eq(entries.o.valid),
            self.table.address.eq(entry + INT8_MIN),
            self.table.data.eq(entries.o.payload[0]),
        ]
        with m.If(entries.o.valid):
            m.d.sync += entry.eq(entry + 1)
            with m.If(entry.all()):
                m.next = "PASS"

    def _dispatch(self, m: Module, packet, command, listable: Signal, sending: Signal, slot: Signal, tail: Signal):
        """Dispatch one row, or one for every engine, when there is room.

        Returns whether a row is fetched in this cycle, and whether it is the last of the pass. The registers behind
        never stall.
        """
        config = self._config
        fetch = Signal()
        last = Signal()
        room = Signal(config.rows)
        room_for_beat = Signal()
        rows, left = self._choose(m, packet, command, sending, room_for_beat, tail)
        chosen = rows.payload.row
        engines = rows.payload.engines
        m.d.comb += [
            last.eq(Mux(command.spread, left <= config.rows, rows.payload.last)),
            room_for_beat.eq(sending & listable & room.all()),
            fetch.eq(
                Mux(
                    command.spread,
                    packet.o.valid & room_for_beat,
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
                row.row.eq(Mux(command.spread, _unless(packet.made_up, packet.o.payload[i]), Cat(chosen))),
            ]
        return fetch, last

    def _choose(self, m: Module, packet, command, sending: Signal, room_for_beat: Signal, tail: Signal):
        """Take rows out of their beats. ``ready`` of the beats does not depend on ``valid``. Rows of beats that are
        made up are zero, so they need no words.

        Returns a stream of rows with their engine as a one-hot code and a flag for the last row of the pass, and the
        number of rows left in the pass. In spread products, :meth:`_dispatch` takes whole beats instead.
        """
        config = self._config
        left = Signal.like(command.rows)
        place = Signal(unsigned_bits(config.rows - 1))  # within the beat
        row = Signal(rows_layout(config).elem_shape)
        all_chosen = Signal()
        last = Signal()
        choosing = Signal()
        m.submodules.chosen = chosen = PingPong(
            data.StructLayout({"row": rows_layout(config).elem_shape, "engines": config.rows, "last": 1})
        )
        m.d.comb += [
            Value.cast(row).eq(_unless(packet.made_up, packet.o.payload[place if config.rows > 1 else 0])),
            last.eq(left == 1),
            packet.final.eq(tail & Mux(command.spread, left <= config.rows, last)),
            choosing.eq(sending & ~command.spread & ~all_chosen),
            chosen.i.valid.eq(choosing & packet.o.valid),
            packet.o.ready.eq(
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
        with m.If(command.spread), m.If(packet.o.valid & packet.o.ready):
            m.d.sync += left.eq(left - config.rows)
        with m.Elif(chosen.i.valid & chosen.i.ready):
            m.d.sync += [
                left.eq(left - 1),
                all_chosen.eq(last),
                place.eq(Mux(packet.o.ready, 0, place + 1)),
            ]
        return chosen.o, left


def _unless(condition, row) -> Value:
    """The row, or 0 if the condition is high."""
    return Mux(condition, 0, Value.cast(row))
