"""The SpMM engine: sparse INT8 weights times INT8 tokens."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from ...spec.formats import CYCLE_BITS
from ...spec.spmm_command import FORMAT_CODES, Activation, SpmmError
from ...spec.spmm_config import SpmmConfig, WeightFormat
from ..lib.packets import fault_layout
from ..lib.streams import BlockQueue, HalfBuffer, StreamFIFO, StreamRegister
from .collector import Collector
from .dispatcher import Dispatcher, checked_command_layout, order_layout
from .drain import Drain
from .product_streams import spmm_signature
from .row_engine import RowEngine
from .tile_loader import TileLoader, load_layout
from .tile_memory import READERS, TileMemory

__all__ = ["COMMANDS_AHEAD", "Spmm", "rejection"]

COMMANDS_AHEAD = 2
"""Commands accepted before the current one ends, so that X of the next product can load."""

COMMANDS_AHEAD_OF_STATISTICS = 2 * COMMANDS_AHEAD + 2
"""Commands accepted before their statistics: those in the queue of times, in the buffer behind it, and in front."""


class Spmm(wiring.Component):
    """Y = act(requantise(W·X + b)), one product after another.

    Every row engine works on its own row of W, one weight per cycle, or one weight of each bank (spread). Results leave
    in the order of the rows.

        i_inputs ── loader ── tile memories
                                   │
        i_rows ── dispatcher ─┬─ row engine ─┐
        i_weights ────────────┴─ row engine ─┴─ drain ── collector ── o_data, o_statistics

    Parameters
    ----------
    config : SpmmConfig

    Members
    -------
    i_command : In(stream(command_layout))
        One per product.
    i_rows : In(stream(framed_layout(rows_layout)))
        A packet per command: all rows of W, once per pass over the tokens.
    i_weights : In(stream(framed_layout(weights_layout))) × rows
        A packet per command: weight words of each engine's rows, once per pass over the tokens.
    i_inputs : In(stream(framed_layout(input_layout)))
        A packet per command: X, pass by pass.
    i_table : In(stream(framed_layout(table_layout)))
        A packet of 256 entries for each command that loads the table.
    o_data : Out(stream(output_layout))
    last : Out(1)
        Asserted with the last payload of ``o_data`` of a product.
    o_statistics : Out(stream(statistics_layout))
        One per command. A rejected command has no results.
    """

    def __init__(self, config: SpmmConfig):
        self.config = config
        super().__init__(spmm_signature(config))

    def elaborate(self, platform):
        config = self.config
        m = Module()
        m.submodules.loader = loader = TileLoader(config)
        m.submodules.dispatcher = dispatcher = Dispatcher(config)
        m.submodules.drain = drain = Drain(config)
        m.submodules.collector = collector = Collector(config)
        self._accept(m, loader, dispatcher, collector)
        connect(m, flipped(self.i_rows), dispatcher.i_rows)
        connect(m, flipped(self.i_table), dispatcher.i_table)
        connect(m, flipped(self.i_inputs), loader.i_inputs)
        connect(m, dispatcher.table, drain.table)
        m.d.comb += [
            dispatcher.loaded.eq(loader.loaded),
            dispatcher.input_faults.eq(loader.faults),
            loader.release.eq(dispatcher.release),
        ]
        self._connect_engines(m, loader, dispatcher, drain)
        self._connect_results(m, dispatcher, drain, collector)
        return m

    def _accept(self, m: Module, loader, dispatcher, collector) -> None:
        """Accept a command when every queue has room: check it, then pass it on."""
        now = Signal(CYCLE_BITS)
        m.d.sync += now.eq(now + 1)
        m.d.comb += collector.now.eq(now)
        m.submodules.loads = loads = StreamFIFO(load_layout(self.config), depth=COMMANDS_AHEAD)
        m.submodules.products = products = StreamFIFO(checked_command_layout(self.config), depth=COMMANDS_AHEAD)
        m.submodules.times = times = StreamFIFO(CYCLE_BITS, depth=2 * COMMANDS_AHEAD)
        m.submodules.time = time = HalfBuffer(CYCLE_BITS)  # crosses the chip
        connect(m, time.o, collector.i_accepted)
        for queue, out in ((loads, loader.i_command), (products, dispatcher.i_command), (times, time.i)):
            connect(m, queue.o, out)
        command = Signal.like(self.i_command.payload)
        # A command is checked in one cycle and passed on in the next. After that, ``free`` is up to date again.
        under_way = Signal(2)
        free = Signal(init=1)
        looked, passed = under_way
        table_loaded = Signal()
        error = rejection(m, self.config, command, table_loaded)
        held = Signal.like(error)
        taken = self.i_command.valid & self.i_command.ready
        rejected = held != SpmmError.NONE
        with m.If(taken):
            m.d.sync += command.eq(self.i_command.payload)
        with m.If(passed & ~rejected & command.load_table):
            m.d.sync += table_loaded.eq(1)
        accepted = Signal.like(now)
        m.d.sync += [
            under_way.eq(Cat(taken, looked)),
            free.eq(loads.i.ready & products.i.ready & times.i.ready & ~taken & ~under_way.any()),
            held.eq(error),
            accepted.eq(now),
        ]
        m.d.comb += [
            self.i_command.ready.eq(free),
            loads.i.valid.eq(passed),
            products.i.valid.eq(passed),
            times.i.valid.eq(looked),
            loads.i.payload.command.eq(command),
            loads.i.payload.rejected.eq(rejected),
            products.i.payload.command.eq(command),
            products.i.payload.error.eq(held),
            times.i.payload.eq(accepted),
        ]

    def _connect_engines(self, m: Module, loader, dispatcher, drain) -> None:
        config = self.config
        written = loader.write
        for first in range(0, config.rows, READERS):
            readers = min(READERS, config.rows - first)
            m.submodules[f"tile_memory_{first // READERS}"] = memory = TileMemory(config, readers=readers)
            # One loader writes all memories. Each memory gets the data one cycle after the one before.
            m.d.comb += [getattr(memory.write, name).eq(getattr(written, name)) for name in written.signature.members]
            written = memory.passed
            for reader in range(readers):
                index = first + reader
                m.submodules[f"row_engine_{index}"] = engine = RowEngine(config, index=index)
                connect(m, dispatcher.o_rows[index], engine.i_rows)
                connect(m, flipped(self.i_weights[index]), engine.i_words)
                connect(m, engine.tile, memory.reads[reader])
                connect(m, engine.o_finished, drain.i_finished[index])
                m.d.comb += [
                    drain.sums[index].eq(engine.sums),
                    drain.parameters[index].eq(engine.parameters),
                    engine.drained.eq(drain.drained[index]),
                    dispatcher.left[index].eq(engine.left),
                    engine.end.eq(dispatcher.end),
                    dispatcher.ended[index].eq(engine.ended),
                    dispatcher.engine_faults[index].eq(engine.fault),
                    engine.format.eq(dispatcher.format),
                    engine.spread.eq(dispatcher.spread),
                    engine.bank_columns.eq(dispatcher.bank_columns),
                ]

    def _connect_results(self, m: Module, dispatcher, drain, collector) -> None:
        config = self.config
        m.submodules.order = order = BlockQueue(order_layout(config), depth=config.rows * config.result_rows)
        connect(m, dispatcher.o_order, order.i)
        m.d.sync += dispatcher.order_left.eq(order.o.valid & order.o.ready)
        # A command that is accepted needs its time until its statistics. So there is room for its faults.
        m.submodules.faults = faults = StreamFIFO(fault_layout(), depth=COMMANDS_AHEAD_OF_STATISTICS, counted=True)
        connect(m, faults.o, collector.i_faults)
        m.d.comb += [faults.i.valid.eq(dispatcher.o_fault.valid), faults.i.payload.eq(dispatcher.o_fault.payload)]
        m.submodules.next = following = StreamRegister(order_layout(config))
        connect(m, order.o, following.i)
        connect(m, following.o, collector.i_order)
        connect(m, collector.o_data, flipped(self.o_data))
        m.d.comb += self.last.eq(collector.last)
        connect(m, collector.o_statistics, flipped(self.o_statistics))
        results = drain.o_results
        m.d.comb += [
            drain.spread.eq(dispatcher.spread),
            drain.activation.eq(dispatcher.activation),
            drain.tail_tokens.eq(dispatcher.tail_tokens),
            drain.room.eq(collector.room),
            collector.reserve.eq(drain.reserve),
            collector.i_results.valid.eq(results.valid),
            collector.i_results.payload.eq(results.payload),
        ]
        m.d.sync += [
            dispatcher.drained.eq(results.valid & results.payload.last),
            dispatcher.drained_slot.eq(results.payload.slot),
        ]


def rejection(m: Module, config: SpmmConfig, command, table_loaded: Signal) -> Signal:
    """Why the engine rejects a command: the first reason that applies.

    Parameters
    ----------
    command : view of command_layout
    table_loaded : Signal(1)
        Whether an earlier accepted command has loaded a table.
    """
    formats = [command.format == FORMAT_CODES[item] for item in config.formats]
    known = Signal()
    m.d.comb += known.eq(sum(formats[1:], formats[0]))
    reasons = {
        SpmmError.ROWS: (command.rows == 0) | (command.rows > config.max_rows),
        SpmmError.COLUMNS: (command.columns == 0) | (command.columns > config.max_columns),
        SpmmError.TOKENS: (command.tokens == 0) | (command.tokens > config.max_tokens),
        SpmmError.FORMAT: ~known,
        SpmmError.SPREAD: command.spread & (command.format != FORMAT_CODES[WeightFormat.BBS]),
        SpmmError.ACTIVATION: command.activation > max(Activation),
        SpmmError.TABLE: (command.activation == Activation.TABLE) & ~command.load_table & ~table_loaded,
    }
    error = Signal(checked_command_layout(config)["error"].shape)
    reason = SpmmError.NONE
    for value, applies in reversed(reasons.items()):
        reason = Mux(applies, value, reason)
    m.d.comb += error.eq(reason)
    return error
