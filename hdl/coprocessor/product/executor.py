"""Executes the instruction PRODUCT."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.formats import INT8_BITS, unsigned_bits
from ....spec.memory import TABLE_BYTES
from ....spec.program import WORD_BYTES, Opcode
from ....spec.spmm_command import SpmmError
from ....spec.weight_words import WEIGHT_BITS
from ...lib.streams import StreamFIFO, nonzero
from ...spmm.engine import COMMANDS_AHEAD, Spmm, rejection
from ...spmm.product_streams import command_layout
from ..memory_streams import ADDRESS_BITS, join, join_packets, span_layout, word_layout
from ..program_streams import completion_layout, instruction_layout, rejection_code
from .assembler import Assembler
from .serialiser import Serialiser
from .settings import Settings
from .tensor_tiles import SIZE_BITS, TensorTiles
from .weight_words import WeightWords

__all__ = ["ProductExecutor"]

INPUTS, SETTINGS, TABLE, WEIGHTS = range(4)
"""What is read. The words of the row engines come last."""


ERROR_BITS = unsigned_bits(max(SpmmError))


def ending_layout() -> data.StructLayout:
    """After what an instruction ends: its tiles of results, or its rejection."""
    return data.StructLayout({"tiles": SIZE_BITS, "error": ERROR_BITS})


class ProductExecutor(wiring.Component):
    """Computes products one after another. Operands of the next one load while the current one is computed.

        o_spans, i_words ─┬─ inputs ────┐
                          ├─ settings ──┤
                          ├─ table ─────┼─ engine ── splitter ── o_results
                          └─ weights ×n ┘

    Parameters
    ----------
    config : CoprocessorConfig

    Members
    -------
    i_instruction : In(stream(instruction_layout))
    o_spans : Out(stream(span_layout)) × (3 + rows)
        What is read: X, settings, table, and the weight words of each row engine.
    i_words : In(stream(word_layout)) × (3 + rows)
    o_result_spans : Out(stream(span_layout))
        Where Y goes, one per tile.
    o_results : Out(stream(word_layout))
    i_written : In(stream(1))
        One per span of Y, when the memory holds its words.
    o_completed : Out(stream(completion_layout))
        One per instruction, when the memory holds Y, or the instruction is rejected with an
        :class:`~thresher.spec.spmm_command.SpmmError`. A rejected instruction reads and writes nothing. If the weight
        words in the memory do not fit the settings of the rows, it is ``MISSING`` or ``SURPLUS``, and Y is undefined.
    works : Out(1)
        A row engine takes a weight word.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        readers = WEIGHTS + config.spmm.rows
        super().__init__(
            {
                "i_instruction": In(stream.Signature(instruction_layout(Opcode.PRODUCT))),
                "o_spans": Out(stream.Signature(span_layout())).array(readers),
                "i_words": In(stream.Signature(word_layout())).array(readers),
                "o_result_spans": Out(stream.Signature(span_layout())),
                "o_results": Out(stream.Signature(word_layout())),
                "i_written": In(stream.Signature(1)),
                "o_completed": Out(stream.Signature(completion_layout())),
                "works": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.engine = engine = Spmm(config.spmm)
        instruction = Signal(instruction_layout(Opcode.PRODUCT))
        command = Signal(command_layout(config.spmm))
        passes = Signal(SIZE_BITS)
        m.d.sync += passes.eq((instruction.tokens + (config.tile - 1)) >> exact_log2(config.tile))
        parts = [
            self._queue(m, "commands", engine.i_command, command),
            self._inputs(m, engine, instruction),
            self._settings(m, engine, instruction, passes),
            *self._weights(m, engine, instruction, passes),
            self._results(m, engine, instruction),
        ]
        m.d.comb += self.works.eq(Cat(each.valid & each.ready for each in engine.i_weights).any())
        table = self._table(m, engine, instruction)
        error = Signal(ERROR_BITS)
        ending = self._ending(m, engine, passes, error)
        self._dispatch(m, instruction, command, error, parts, table, ending)
        return m

    def _queue(self, m: Module, name: str, target, *fields):
        """Queue of jobs for a part, which are fields of the instruction, lowest bits first. Returns the entrance."""
        m.submodules[name] = queue = StreamFIFO(target.payload.shape(), depth=COMMANDS_AHEAD)
        connect(m, queue.o, target)
        m.d.comb += Value.cast(queue.i.payload).eq(Cat(*(Value.cast(field) for field in fields)))
        return queue.i

    def _read(self, m: Module, reader: int, spans, words) -> None:
        connect(m, spans, flipped(self.o_spans[reader]))
        connect(m, flipped(self.i_words[reader]), words)

    def _inputs(self, m: Module, engine, instruction):
        """X, tile by tile: beats of a channel's tokens."""
        words = self._config.tile // WORD_BYTES
        m.submodules.input_spans = spans = TensorTiles(self._config)
        m.submodules.inputs = inputs = Assembler(most=words)
        self._read(m, INPUTS, spans.o_spans, inputs.i_words)
        tile = spans.o_tiles.payload
        m.d.comb += [
            inputs.i_beats.valid.eq(spans.o_tiles.valid),
            spans.o_tiles.ready.eq(inputs.i_beats.ready),
            inputs.i_beats.payload.count.eq(tile.channels),
            inputs.i_beats.payload.words.eq(tile.words),
            inputs.i_beats.payload.last_words.eq(tile.words),
            inputs.i_beats.payload.last.eq(tile.last),
        ]
        join(m, inputs.o_beats, engine.i_inputs)
        return self._queue(m, "input_jobs", spans.i_tensor, instruction.x, instruction.columns, instruction.tokens)

    def _settings(self, m: Module, engine, instruction, passes: Signal):
        m.submodules.settings = settings = Settings(self._config.spmm)
        self._read(m, SETTINGS, settings.o_spans, settings.i_words)
        connect(m, settings.o_rows, engine.i_rows)
        return self._queue(m, "setting_jobs", settings.i_job, instruction.settings, instruction.rows, passes)

    def _weights(self, m: Module, engine, instruction, passes: Signal):
        entrances = []
        address = instruction.weights
        for index in range(self._config.spmm.rows):
            m.submodules[f"weights_{index}"] = weights = WeightWords(self._config.spmm)
            self._read(m, WEIGHTS + index, weights.o_spans, weights.i_words)
            connect(m, weights.o_weights, engine.i_weights[index])
            job = weights.i_job.payload
            codes = (instruction.format[: len(job.format)], instruction.weight_bits[: len(job.weight_bits)])
            entrances.append(self._queue(m, f"weight_jobs_{index}", weights.i_job, address, *codes, passes))
            following = Signal(ADDRESS_BITS, name=f"weights_of_{index + 1}")
            m.d.sync += following.eq(address + instruction.segment)
            address = following
        return entrances

    def _table(self, m: Module, engine, instruction):
        m.submodules.table = table = Serialiser(INT8_BITS, parts=WORD_BYTES)
        spans = stream.Signature(span_layout()).create()
        self._read(m, TABLE, spans, table.i)
        sent = Signal(range(TABLE_BYTES))
        with m.If(table.o.valid & table.o.ready):
            m.d.sync += sent.eq(sent + 1)
        join_packets(m, table.o, engine.i_table, sent == TABLE_BYTES - 1)
        return self._queue(m, "table_jobs", flipped(spans), instruction.table, Const(TABLE_BYTES // WORD_BYTES, 28))

    def _results(self, m: Module, engine, instruction):
        m.submodules.results = results = Serialiser(word_layout(), parts=self._config.tile_step // WORD_BYTES)
        m.submodules.result_spans = spans = TensorTiles(self._config)
        join(m, engine.o_data, results.i)
        connect(m, results.o, flipped(self.o_results))
        connect(m, spans.o_spans, flipped(self.o_result_spans))
        m.d.comb += spans.o_tiles.ready.eq(1)
        return self._queue(m, "result_jobs", spans.i_tensor, instruction.y, instruction.rows, instruction.tokens)

    def _ending(self, m: Module, engine, passes: Signal, error: Signal):
        """Wait for the statistics and the tiles of each instruction in turn."""
        m.submodules.endings = queue = StreamFIFO(ending_layout(), depth=2 * COMMANDS_AHEAD)
        m.d.comb += [queue.i.payload.tiles.eq(passes), queue.i.payload.error.eq(error)]
        tiles = Signal(SIZE_BITS)
        # Tiles may be written before the statistics come.
        taken = Signal()
        written = nonzero(m, init=0, limit=(1 << SIZE_BITS) - 1, up=self.i_written.valid, down=taken, name="written")
        m.d.comb += [self.i_written.ready.eq(1)]
        found = Signal(ERROR_BITS)
        m.d.comb += [
            self.o_completed.payload.error.eq(rejection_code(found)),
            self.o_completed.payload.detail.eq(found),
        ]
        with m.FSM(name="ending"):
            with m.State("WAIT"):
                m.d.sync += [tiles.eq(queue.o.payload.tiles), found.eq(queue.o.payload.error)]
                with m.If(queue.o.valid):
                    with m.If(queue.o.payload.error == SpmmError.NONE):
                        m.next = "STATISTICS"
                    with m.Else():
                        m.next = "COMPLETE"
            with m.State("STATISTICS"):
                m.d.comb += engine.o_statistics.ready.eq(1)
                m.d.sync += found.eq(engine.o_statistics.payload.error)
                with m.If(engine.o_statistics.valid):
                    m.next = "TILES"
            with m.State("TILES"):
                m.d.comb += taken.eq(written)
                with m.If(written):
                    m.d.sync += tiles.eq(tiles - 1)
                    with m.If(tiles == 1):
                        m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += self.o_completed.valid.eq(1)
                with m.If(self.o_completed.ready):
                    m.d.comb += queue.o.ready.eq(1)
                    m.next = "WAIT"
        return queue.i

    def _dispatch(self, m: Module, instruction, command, error: Signal, parts, table, ending) -> None:
        """Accept an instruction, check it, and give every part its job."""
        table_loaded = Signal()
        reason = rejection(m, self._config.spmm, command, table_loaded)
        # One assignment of the whole command. Bits that are constant alone would be a block without sensitivities.
        m.d.comb += Value.cast(command).eq(
            Cat(_command_field(instruction, command, name) for name in command.shape().members)
        )
        good = error == SpmmError.NONE
        # Sums over the addresses of all row engines take a cycle each.
        wait = Signal(range(self._config.spmm.rows + 2))
        free = Signal()
        m.d.comb += free.eq(Cat(part.ready for part in (*parts, table, ending)).all())
        with m.FSM(name="dispatch"):
            with m.State("IDLE"):
                m.d.comb += self.i_instruction.ready.eq(1)
                m.d.sync += [instruction.eq(self.i_instruction.payload), wait.eq(self._config.spmm.rows + 1)]
                with m.If(self.i_instruction.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [error.eq(reason), wait.eq(wait - 1)]
                with m.If(wait == 0):
                    m.next = "DISPATCH"
            with m.State("DISPATCH"), m.If(free):
                m.d.comb += [part.valid.eq(good) for part in parts]
                m.d.comb += [table.valid.eq(good & command.load_table), ending.valid.eq(1)]
                with m.If(good & command.load_table):
                    m.d.sync += table_loaded.eq(1)
                m.next = "IDLE"


def _command_field(instruction, command, name: str) -> Value:
    """A field of the engine's command."""
    bits = len(command[name])
    if name == "spread":
        return Const(0, bits)
    value = instruction[name]
    if name == "load_table":
        return value.any()
    # A size that does not fit becomes 0, and a code the largest one. Both are illegal.
    instead = 0 if name in ("rows", "columns", "tokens") else (1 << bits) - 1
    unfit = value[bits:].any()
    if name == "format":
        # No engine has a front end for weights of another width.
        unfit |= instruction.weight_bits >= len(WEIGHT_BITS)
    return Mux(unfit, Const(instead, bits), value[:bits])
