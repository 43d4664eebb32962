"""Collector: results of all engines, in the order of the rows of W."""

from amaranth import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect

from ...spec.formats import CYCLE_BITS, INT8_BITS, unsigned_bits
from ...spec.spmm_command import SpmmError
from ...spec.spmm_config import SpmmConfig
from ..lib.packets import fault_layout, packet_error
from ..lib.pipeline import delay, index_bits
from ..lib.scratchpad import NEVER_BOTH
from ..lib.streams import StreamFIFO, StreamRegister, nonzero
from .dispatcher import order_layout
from .drain import result_layout
from .product_streams import output_layout, statistics_layout

__all__ = ["Collector"]

BEATS_AHEAD = 6
"""Beats in flight or waiting at the output. This many hide the memory's latency."""

BEAT_CYCLES = 2
"""Cycles from the choice of a beat to its data. Block RAM is slow, so a register follows it."""


class Collector(wiring.Component):
    """One result queue per engine, all in one memory, and a list that names the engine whose row leaves next.

    Members
    -------
    i_order : In(stream(order_layout))
    i_results : In(stream(result_layout, always_ready))
        Only results with a reservation.
    room : Out(rows)
        Bit i is asserted while the queue of engine i has room for another row; i.e. it may be reserved.
    reserve : In(rows)
        Bit i reserves room for one row of engine i.
    i_accepted : In(stream(CYCLE_BITS))
        The cycle in which each command was accepted.
    i_faults : In(stream(fault_layout))
        Of the packets of each command, when all have ended.
    now : In(CYCLE_BITS)
        Cycles since reset.
    o_data : Out(stream(output_layout))
    last : Out(1)
        Asserted with the last payload of ``o_data`` of a product.
    o_statistics : Out(stream(statistics_layout))
    """

    def __init__(self, config: SpmmConfig):
        self._config = config
        super().__init__(
            {
                "i_order": In(stream.Signature(order_layout(config))),
                "i_results": In(stream.Signature(result_layout(config), always_ready=True)),
                "room": Out(config.rows),
                "reserve": In(config.rows),
                "i_accepted": In(stream.Signature(CYCLE_BITS)),
                "i_faults": In(stream.Signature(fault_layout())),
                "now": In(CYCLE_BITS),
                "o_data": Out(stream.Signature(output_layout(config))),
                "last": Out(1),
                "o_statistics": Out(stream.Signature(statistics_layout(config))),
            }
        )

    def elaborate(self, platform):
        config = self._config
        m = Module()
        beat = data.StructLayout(
            {
                "values": data.ArrayLayout(signed(INT8_BITS), config.drain_lanes),
                "saturated": unsigned_bits(config.drain_lanes),
            }
        )
        leaving = data.StructLayout({"beat": beat, "end": 1, "error": order_layout(config)["error"].shape})
        m.submodules.leaving = queue = StreamFIFO(leaving, depth=BEATS_AHEAD)
        m.submodules.out = out = StreamRegister(leaving)
        connect(m, queue.o, out.i)
        read = Signal()
        left = Signal()
        room = nonzero(m, init=BEATS_AHEAD, limit=BEATS_AHEAD, up=left, down=read, name="room_ahead")
        take = self._take(m, room)
        m.d.comb += [read.eq(take["any"]), left.eq(queue.o.valid & queue.o.ready)]
        m.d.comb += queue.i.payload.beat.eq(self._store(m, beat, take))
        for name, value in (("valid", take["any"]), ("end", take["end"]), ("error", take["error"])):
            held = delay(m, value, BEAT_CYCLES, enable=1, name=f"held_{name}")[-1]
            m.d.comb += (queue.i.valid if name == "valid" else queue.i.payload[name]).eq(held)
        self._leave(m, out)
        return m

    def _take(self, m: Module, room_ahead: Signal) -> dict:
        """Choose the beat that is read in this cycle."""
        config = self._config
        order = self.i_order.payload
        beats = config.result_rows * config.beats_per_row
        beat = Signal.like(order.last_beat)
        engine = Signal.like(order.engine)
        some = Signal()
        refused = Signal()
        last = Signal()
        rows = self.i_results
        there = []
        for i in range(config.rows):
            read = some & (engine == i)
            arrives = rows.valid & (rows.payload.engine == i)
            there.append(nonzero(m, init=0, limit=beats, up=arrives, down=read, name=f"there_{i}"))
            left = Signal(name=f"left_{i}")
            m.d.sync += left.eq(read & last)
            room = nonzero(
                m,
                init=config.result_rows,
                limit=config.result_rows,
                up=left,
                down=self.reserve[i],
                name=f"room_{i}",
            )
            m.d.comb += self.room[i].eq(room)
        m.d.comb += [
            engine.eq(order.engine),
            refused.eq(self.i_order.valid & room_ahead & (order.error != SpmmError.NONE)),
            some.eq(self.i_order.valid & room_ahead & (order.error == SpmmError.NONE) & Array(there)[engine]),
            last.eq(beat == order.last_beat),
            self.i_order.ready.eq(refused | (some & last)),
        ]
        with m.If(some):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        taken = Signal()
        end = Signal()
        error = Signal.like(order.error)
        m.d.comb += [
            taken.eq(some | refused),
            end.eq(Mux(refused, 1, order.end & last)),
            error.eq(order.error),
        ]
        return {"engine": engine, "some": some, "any": taken, "end": end, "error": error}

    def _store(self, m: Module, layout: data.Layout, take: dict) -> data.View:
        """The memory of the queues. Returns the beat that was chosen BEAT_CYCLES before."""
        config = self._config
        depth = config.result_rows * config.beats_per_row
        bits = index_bits(depth)
        memory = Memory(shape=layout, depth=config.rows * depth, init=[], attrs=NEVER_BOTH)
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        result = self.i_results.payload
        for port, engine, advance in (
            (write, result.engine, self.i_results.valid),
            (read, take["engine"], take["some"]),
        ):
            name = "write" if port is write else "read"
            places = Array(Signal(bits, name=f"{name}_place_{i}") for i in range(config.rows))
            m.d.comb += port.addr.eq(Cat(places[engine], engine))
            m.d.comb += port.en.eq(advance)
            with m.If(advance):
                m.d.sync += places[engine].eq(places[engine] + 1)
        m.d.comb += [write.data.values.eq(result.values), write.data.saturated.eq(result.saturated)]
        stored = Signal(layout)
        m.d.sync += stored.eq(read.data)
        return stored

    def _leave(self, m: Module, queue: StreamRegister) -> None:
        """Send beats. The last beat of a product, or a rejected command, also sends the statistics."""
        out, statistics = queue.o.payload, self.o_statistics
        refused = Signal()
        leave = Signal()
        ending = Signal()
        saturations = Signal.like(statistics.payload.saturations)
        total = Signal.like(saturations)
        m.d.comb += [
            refused.eq(out.error != SpmmError.NONE),
            # The last beat waits until the statistics before it are accepted, and what its own need has arrived.
            leave.eq(queue.o.valid & ~(out.end & (statistics.valid | ~self.i_accepted.valid | ~self.i_faults.valid))),
            self.o_data.valid.eq(leave & ~refused),
            self.o_data.payload.eq(out.beat.values),
            self.last.eq(out.end),
            queue.o.ready.eq(leave & (refused | self.o_data.ready)),
            total.eq(saturations + out.beat.saturated),
            ending.eq(queue.o.ready & out.end),
            self.i_accepted.ready.eq(ending),
            self.i_faults.ready.eq(ending),
        ]
        with m.If(statistics.ready):
            m.d.sync += statistics.valid.eq(0)
        with m.If(queue.o.ready):
            m.d.sync += saturations.eq(Mux(out.end, 0, total))
        with m.If(ending):
            m.d.sync += [
                statistics.valid.eq(1),
                statistics.payload.error.eq(packet_error(out.error, self.i_faults.payload, SpmmError)),
                statistics.payload.saturations.eq(Mux(refused, 0, total)),
                statistics.payload.cycles.eq(self.now - self.i_accepted.payload),
            ]
