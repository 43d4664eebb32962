"""Row engine: multiplies the weights of its rows by the tokens in its lanes."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from ...spec.formats import INT8_BITS, unsigned_bits
from ...spec.spmm_command import FORMAT_CODES
from ...spec.spmm_config import SpmmConfig, WeightFormat
from ..lib.arithmetic import AdderTree
from ..lib.packets import fault_layout, framed_layout
from ..lib.pipeline import delay
from ..lib.streams import StreamFIFO, StreamRegister, nonzero
from .front_ends.bbs import Bbs
from .front_ends.csr import Csr
from .front_ends.csr_delta import CsrDelta
from .front_ends.dense import Dense
from .front_ends.nm import Nm
from .product_streams import command_layout, row_layout, weights_layout
from .sequencer import Sequencer
from .steps import spread_step_layout, step_layout
from .tile_memory import READ_CYCLES, TileRead

__all__ = ["ROWS_AHEAD", "RowEngine", "assigned_row_layout", "finished_layout", "sums_layout"]

ROWS_AHEAD = 16
"""Rows that an engine may hold, from their arrival to the drain: the depth of a LUT RAM."""

OPERAND_CYCLES = 2
"""Registers before a product: one on the path from the memory, and the multiplier block's own."""

PRODUCT_CYCLES = 2
"""Registers behind a product: the multiplier block's own, and one on the path to the sums."""

FRONT_ENDS = {front_end.weight_format: front_end for front_end in (Csr, CsrDelta, Bbs, Nm, Dense)}


def assigned_row_layout(config: SpmmConfig) -> data.StructLayout:
    """A row for an engine.

    ``slot`` is the half of the tile memory with its tokens. ``tail`` is set if these tokens are the last pass of a
    product. ``present`` is set if the row is inside W.
    """
    return data.StructLayout({"slot": 1, "tail": 1, "present": 1, "row": row_layout(config)})


def finished_layout() -> data.StructLayout:
    """Data of a finished row that the drain needs to choose it; see :func:`assigned_row_layout`."""
    return data.StructLayout({"slot": 1, "tail": 1})


def parameters_layout(config: SpmmConfig) -> data.StructLayout:
    """Data of a row that the drain needs after it has chosen the row."""
    row = row_layout(config)
    return data.StructLayout({"present": 1, **{name: row[name].shape for name in ("bias", "multiplier", "shift")}})


def sums_layout(config: SpmmConfig) -> data.ArrayLayout:
    """A row's sums, one token per lane.

    In spread products, the ``lanes / banks`` sums stand at the place where the drain expects those of this engine.
    """
    return data.ArrayLayout(signed(config.accumulator_bits), config.lanes)


def _operand(m: Module, value, name: str) -> Signal:
    """A value OPERAND_CYCLES later. The registers have no reset, so that a multiplier block can absorb the last one."""
    for stage in range(OPERAND_CYCLES):
        register = Signal(signed(INT8_BITS), name=f"{name}_{stage}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value


class RowEngine(wiring.Component):
    """Performs one step per cycle: one weight times the tokens of its column, or one weight of every bank (spread).

        i_rows ─── sequencer ── front end ── tile memory ── multipliers ── sums ── o_finished
        i_words ──────┘

    The stages before the sequencer's queues and behind the sequencer never stall: at most :data:`ROWS_AHEAD` rows may
    be in the engine, from their arrival until they are drained.

    Parameters
    ----------
    config : SpmmConfig
    index : int
        Index of the engine.

    Members
    -------
    i_rows : In(stream(assigned_row_layout, always_ready))
    i_words : In(stream(framed_layout(weights_layout)))
    end : In(1)
        Asserted for one cycle after the last row of a product. The next one waits until ``ended``.
    ended : Out(1), fault : Out(fault_layout)
        Of the packet of weight words; see :class:`~thresher.hdl.spmm.sequencer.Sequencer`.
    format, spread : In
        Of the command; sampled with each of its rows.
    bank_columns : In
        Columns of a bank; sampled with each row, too.
    tile : In(TileRead)
    o_finished : Out(stream(finished_layout))
        Rows with complete sums, in order.
    sums : Out(sums_layout)
    parameters : Out(parameters_layout)
        Of the first row that was not drained in the cycle before.
    drained : In(1)
        Asserted for one cycle when that row is no longer needed. The row must have been taken from ``o_finished``.
    left : Out(1)
        ``drained``, one cycle later.
    """

    def __init__(self, config: SpmmConfig, *, index: int):
        self._config = config
        self._index = index
        super().__init__(
            {
                "i_rows": In(stream.Signature(assigned_row_layout(config), always_ready=True)),
                "i_words": In(stream.Signature(framed_layout(weights_layout(config)))),
                "end": In(1),
                "ended": Out(1),
                "fault": Out(fault_layout()),
                "format": In(command_layout(config)["format"].shape),
                "spread": In(1),
                "bank_columns": In(unsigned_bits(config.max_bank_columns)),
                "tile": Out(TileRead(config).flip()),
                "o_finished": Out(stream.Signature(finished_layout())),
                "sums": Out(sums_layout(config)),
                "parameters": Out(parameters_layout(config)),
                "drained": In(1),
                "left": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(self._config)
        connect(m, flipped(self.i_words), sequencer.i_words)
        m.d.comb += [self.ended.eq(sequencer.ended), self.fault.eq(sequencer.fault)]
        # Copies of the command's fields, near the engine. They are sampled with a row: otherwise synthesis would merge
        # equal registers of all engines into one.
        names = ("format", "spread", "bank_columns")
        near = {name: Signal.like(getattr(self, name), name=name) for name in names}
        more_steps = Signal.like(sequencer.more_steps)
        with m.If(self.i_rows.valid):
            m.d.sync += [near[name].eq(getattr(self, name)) for name in names]
            m.d.sync += more_steps.eq(0)
            with m.Switch(self.format):
                with m.Case(FORMAT_CODES[WeightFormat.BBS]):
                    m.d.sync += more_steps.eq(Mux(self.spread, 0, self._config.banks - 1))
                with m.Case(FORMAT_CODES[WeightFormat.NM]):
                    m.d.sync += more_steps.eq(self._config.kept - 1)
        m.d.comb += sequencer.more_steps.eq(more_steps)
        # Place of the first row that is not drained, among the stored sums and parameters.
        place = Signal(range(ROWS_AHEAD))
        m.d.sync += [self.left.eq(self.drained), place.eq(place + self.drained)]
        self._enter(m, sequencer, place)
        step, valid = self._front_ends(m, sequencer.o_words, **near)
        self._multiply(m, step, valid, near["spread"], place)
        return m

    def _enter(self, m: Module, sequencer: Sequencer, place: Signal) -> None:
        """Send lengths to the sequencer, and store the rest for the drain."""
        row = Signal.like(self.i_rows.payload)
        valid = Signal()
        end = Signal()
        m.d.sync += [valid.eq(self.i_rows.valid), row.eq(self.i_rows.payload), end.eq(self.end)]
        m.submodules.work_queue = work_queue = StreamFIFO(sequencer.i_work.payload.shape(), depth=ROWS_AHEAD)
        m.submodules.work = work = StreamRegister(sequencer.i_work.payload.shape())
        m.submodules.finished_queue = finished_queue = StreamFIFO(finished_layout(), depth=ROWS_AHEAD)
        m.submodules.finished = finished = StreamRegister(finished_layout())
        connect(m, work_queue.o, work.i)
        connect(m, work.o, sequencer.i_work)
        connect(m, finished_queue.o, finished.i)
        m.d.comb += [
            # There is room for an end: the register behind the queue holds some of the rows.
            work_queue.i.valid.eq(valid | end),
            work_queue.i.payload.length.eq(row.row.length),
            work_queue.i.payload.slot.eq(row.slot),
            work_queue.i.payload.end.eq(end),
            finished_queue.i.valid.eq(valid),
            finished_queue.i.payload.slot.eq(row.slot),
            finished_queue.i.payload.tail.eq(row.tail),
            # This entry is present long before the row's sums are complete.
            self.o_finished.payload.eq(finished.o.payload),
            finished.o.ready.eq(self.o_finished.valid & self.o_finished.ready),
        ]
        layout = parameters_layout(self._config)
        parameters = Signal(layout)
        m.d.comb += parameters.present.eq(row.present)
        m.d.comb += [parameters[name].eq(row.row[name]) for name in ("bias", "multiplier", "shift")]
        m.d.sync += self.parameters.eq(self._kept(m, layout, valid, parameters, place, name="parameters"))

    def _kept(self, m: Module, layout, valid: Signal, payload, place: Signal, *, name: str):
        """LUT RAM with one entry per row. Returns the entry at ``place``."""
        memory = Memory(shape=layout, depth=ROWS_AHEAD, init=[])
        m.submodules[f"{name}_kept"] = memory
        write = memory.write_port()
        read = memory.read_port(domain="comb")
        written = Signal(range(ROWS_AHEAD), name=f"{name}_written")
        m.d.sync += written.eq(written + valid)
        m.d.comb += [write.en.eq(valid), write.addr.eq(written), write.data.eq(payload), read.addr.eq(place)]
        return read.data

    def _front_ends(self, m: Module, words, *, format: Signal, spread, bank_columns) -> tuple[Any, Signal]:
        """The step of the selected front end, with a column and a value for each bank, from registers."""
        config = self._config
        front_ends = {weight_format: FRONT_ENDS[weight_format](config) for weight_format in config.formats}
        scalar = Signal(step_layout(config))
        valid = Signal()
        steps = []
        for weight_format, front_end in front_ends.items():
            m.submodules[weight_format.name.lower()] = front_end
            # A constant register, so that the selection is not on the critical path.
            named = Signal(name=f"named_{weight_format.name.lower()}")
            m.d.sync += named.eq(format == FORMAT_CODES[weight_format])
            m.d.comb += [
                front_end.i_words.payload.eq(words.payload),
                front_end.i_words.valid.eq(words.valid & named),
            ]
            steps.append(Cat(front_end.o_steps.valid, Cat(front_end.o_steps.payload)))
        m.d.sync += Cat(valid, scalar).eq(reduce(or_, steps))
        # From here a step goes to all multipliers, across the chip.
        step = Signal(spread_step_layout(config))
        step_valid = Signal()
        spread_step, spread_valid = Signal.like(step, name="spread_step"), Signal(name="spread_valid")
        if WeightFormat.BBS in front_ends:
            bbs = front_ends[WeightFormat.BBS]
            m.d.comb += [bbs.spread.eq(spread), bbs.bank_columns.eq(bank_columns)]
            m.d.comb += [spread_step.eq(bbs.o_spread_steps.payload), spread_valid.eq(bbs.o_spread_steps.valid)]
        m.d.sync += step_valid.eq(valid | spread_valid)
        m.d.sync += [step[name].eq(scalar[name] | spread_step[name]) for name in ("first", "last", "slot")]
        for bank in range(config.banks):
            m.d.sync += [
                step.columns[bank].eq(scalar.column | spread_step.columns[bank]),
                step.values[bank].eq(scalar.value | spread_step.values[bank]),
            ]
        return step, step_valid

    def _multiply(self, m: Module, step, valid: Signal, spread: Signal, place: Signal) -> None:
        """Multiply, and sum over a row."""
        config = self._config
        tag = {"valid": valid, "first": step.first, "last": step.last}
        latency = READ_CYCLES + OPERAND_CYCLES + PRODUCT_CYCLES
        tag = {name: delay(m, value, latency, enable=1, name=name)[-1] for name, value in tag.items()}
        m.d.comb += [self.tile.slot.eq(step.slot), self.tile.columns.eq(step.columns)]
        products = []
        for bank in range(config.banks):
            fetched = delay(m, step.values[bank], READ_CYCLES, enable=1, name=f"value_{bank}", reset_less=True)[-1]
            weight = _operand(m, fetched, f"weight_{bank}")
            for lane in range(bank * config.spread_tokens, (bank + 1) * config.spread_tokens):
                token = _operand(m, self.tile.data[lane], f"token_{lane}")
                product = Signal(signed(2 * INT8_BITS), name=f"product_{lane}", reset_less=True)
                m.d.sync += product.eq(weight * token)
                products.append(delay(m, product, PRODUCT_CYCLES - 1, enable=1, name=f"product_{lane}")[-1])
        completes, lane_sums = self._accumulate(m, products, tag, name="lane")
        sums = Signal(sums_layout(config))
        complete = Signal()
        m.d.comb += [sums[lane].eq(total) for lane, total in enumerate(lane_sums)]
        m.d.sync += complete.eq(completes)
        if config.banks > 1:
            completes, totals = self._spread_sums(m, products, tag)
            with m.If(spread):
                m.d.sync += complete.eq(completes)
                m.d.comb += [sums[self._index * len(totals) + i].eq(total) for i, total in enumerate(totals)]
        m.d.sync += self.sums.eq(self._kept(m, sums_layout(config), complete, sums, place, name="sums"))
        taken = self.o_finished.valid & self.o_finished.ready
        some = nonzero(m, init=0, limit=ROWS_AHEAD, up=complete, down=taken, name="some_finished")
        m.d.comb += self.o_finished.valid.eq(some)

    def _spread_sums(self, m: Module, products: list, tag: dict) -> tuple[Signal, list]:
        """Sum the products of all banks, for each token."""
        config = self._config
        tokens = config.spread_tokens
        totals, latency = [], 0
        for token in range(tokens):
            tree = AdderTree(count=config.banks, width=2 * INT8_BITS)
            m.submodules[f"tree_{token}"] = tree
            latency = tree.latency
            m.d.comb += tree.enable.eq(1)
            m.d.comb += [tree.operands[i].eq(product) for i, product in enumerate(products[token::tokens])]
            totals.append(tree.total)
        delayed = {name: delay(m, value, latency, enable=1, name=f"spread_{name}")[-1] for name, value in tag.items()}
        return self._accumulate(m, totals, delayed, name="spread")

    def _accumulate(self, m: Module, terms: list, tag: dict, *, name: str) -> tuple[Signal, list]:
        """Sum over the steps of a row. Returns whether the sums are complete in the next cycle, and the sums.

        The sums of the next row may start in that cycle.
        """
        sums = []
        for i, term in enumerate(terms):
            total = Signal(signed(self._config.accumulator_bits), name=f"{name}_sum_{i}", reset_less=True)
            with m.If(tag["valid"]):
                m.d.sync += total.eq(term + Mux(tag["first"], 0, total))
            sums.append(total)
        return tag["valid"] & tag["last"], sums
