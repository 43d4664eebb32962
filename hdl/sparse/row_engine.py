"""A row engine: the weights of one row after another times the tokens in its lanes."""

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ...spec.formats import INT8_BITS, unsigned_bits
from ...spec.spmm_command import FORMAT_CODES
from ...spec.spmm_config import SpmmConfig, WeightFormat
from ..common.arithmetic import AdderTree
from ..common.pipeline import StreamFIFO, delay
from ..front_ends.bbs import Bbs
from ..front_ends.csr import Csr
from ..front_ends.csr_delta import CsrDelta
from ..front_ends.dense import Dense
from ..front_ends.nm import Nm
from .interface import command_layout, row_layout, weights_layout
from .sequencer import Sequencer
from .steps import spread_step_layout, step_layout
from .tile_memory import READ_CYCLES, TileRead

__all__ = ["ROWS_AHEAD", "RowEngine", "assigned_row_layout", "sums_layout"]

ROWS_AHEAD = 16
"""Rows that an engine has on hand, from their arrival to the drain: as many as a LUT RAM is deep."""

FRONT_ENDS = {front_end.weight_format: front_end for front_end in (Csr, CsrDelta, Bbs, Nm, Dense)}


def assigned_row_layout(config: SpmmConfig) -> data.StructLayout:
    """A row on its way into its engine.

    ``slot``: half of the tile memory that has its tokens; ``tail``: they are those of a product's last pass;
    ``present``: it lies inside W.
    """
    return data.StructLayout({"slot": 1, "tail": 1, "present": 1, "row": row_layout(config)})


def parameters_layout(config: SpmmConfig) -> data.StructLayout:
    """What the drain needs to know of a row."""
    row = row_layout(config)
    kept = {name: row[name].shape for name in ("bias", "multiplier", "shift")}
    return data.StructLayout({"slot": 1, "tail": 1, "present": 1, **kept})


def sums_layout(config: SpmmConfig) -> data.StructLayout:
    """A row's sums, a token per lane, and its parameters. Spread, the lanes / banks tokens stand where the drain puts
    those of this engine."""
    return data.StructLayout(
        {
            "sums": data.ArrayLayout(signed(config.accumulator_bits), config.lanes),
            "parameters": parameters_layout(config),
        }
    )


class RowEngine(wiring.Component):
    """Takes a step per cycle: a weight times the tokens of its column in all lanes or, spread, a weight of every bank.

    No stage behind the sequencer ever stalls: a row enters only when there is room for its sums.

    Parameters
    ----------
    config : SpmmConfig
    index : int
        Which of the engines it is.

    Members
    -------
    i_rows : In(stream(assigned_row_layout))
    i_words : In(stream(weights_layout))
    format, spread : In
        Of the command; constant while rows are inside.
    bank_columns : In
        Columns of a bank.
    tile : Out(TileRead)
    o_sums : Out(stream(sums_layout))
        In the order of the rows.
    """

    def __init__(self, config: SpmmConfig, *, index: int):
        self._config = config
        self._index = index
        super().__init__(
            {
                "i_rows": In(stream.Signature(assigned_row_layout(config))),
                "i_words": In(stream.Signature(weights_layout(config))),
                "format": In(command_layout(config)["format"].shape),
                "spread": In(1),
                "bank_columns": In(unsigned_bits(config.max_bank_columns)),
                "tile": Out(TileRead(config).flip()),
                "o_sums": Out(stream.Signature(sums_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(self._config)
        connect(m, flipped(self.i_words), sequencer.i_words)
        parameters = self._split_rows(m, sequencer)
        step, valid = self._front_ends(m, sequencer.o_words)
        sums = self._multiply(m, step, valid)
        m.d.comb += [
            self.o_sums.valid.eq(sums.o.valid),
            self.o_sums.payload.sums.eq(sums.o.payload),
            self.o_sums.payload.parameters.eq(parameters.o.payload),
            sums.o.ready.eq(self.o_sums.ready),
            # A row's parameters came before its sums.
            parameters.o.ready.eq(self.o_sums.valid & self.o_sums.ready),
        ]
        return m

    def _split_rows(self, m: Module, sequencer: Sequencer) -> StreamFIFO:
        """Lengths to the sequencer, parameters to the drain. The latter hold a row's place among ROWS_AHEAD."""
        row = self.i_rows.payload
        m.submodules.work = work = StreamFIFO(sequencer.i_work.payload.shape(), depth=ROWS_AHEAD)
        m.submodules.parameters = parameters = StreamFIFO(parameters_layout(self._config), depth=ROWS_AHEAD)
        connect(m, work.o, sequencer.i_work)
        m.d.comb += [
            # The queue of parameters is the fuller one.
            self.i_rows.ready.eq(parameters.i.ready),
            work.i.valid.eq(self.i_rows.valid & parameters.i.ready),
            work.i.payload.length.eq(row.row.length),
            work.i.payload.slot.eq(row.slot),
            parameters.i.valid.eq(self.i_rows.valid),
        ]
        for name in ("slot", "tail", "present"):
            m.d.comb += parameters.i.payload[name].eq(row[name])
        for name in ("bias", "multiplier", "shift"):
            m.d.comb += parameters.i.payload[name].eq(row.row[name])
        return parameters

    def _front_ends(self, m: Module, words) -> tuple[Any, Signal]:
        """The step of the front end that the command names, with a column and a value for each bank; registered."""
        config = self._config
        front_ends = {weight_format: FRONT_ENDS[weight_format](config) for weight_format in config.formats}
        scalar = Signal(step_layout(config))
        valid = Signal()
        for weight_format, front_end in front_ends.items():
            m.submodules[weight_format.name.lower()] = front_end
            m.d.comb += front_end.i_words.payload.eq(words.payload)
            with m.If(self.format == FORMAT_CODES[weight_format]):
                m.d.comb += [
                    front_end.i_words.valid.eq(words.valid),
                    words.ready.eq(front_end.i_words.ready),
                    scalar.eq(front_end.o_steps.payload),
                    valid.eq(front_end.o_steps.valid),
                ]
        step = Signal(spread_step_layout(config))
        step_valid = Signal()
        m.d.sync += [step[name].eq(scalar[name]) for name in ("first", "last", "slot")]
        m.d.sync += step_valid.eq(valid)
        for bank in range(config.banks):
            m.d.sync += [step.columns[bank].eq(scalar.column), step.values[bank].eq(scalar.value)]
        if WeightFormat.BBS in front_ends:
            bbs = front_ends[WeightFormat.BBS]
            m.d.comb += [bbs.spread.eq(self.spread), bbs.bank_columns.eq(self.bank_columns)]
            with m.If(bbs.o_spread_steps.valid):
                m.d.sync += [step.eq(bbs.o_spread_steps.payload), step_valid.eq(1)]
        return step, step_valid

    def _multiply(self, m: Module, step, valid: Signal) -> StreamFIFO:
        """Products, and their sums over a row."""
        config = self._config
        tag = {"valid": valid, "first": step.first, "last": step.last}
        # Tokens fetched, operands, product.
        tag = {name: delay(m, value, READ_CYCLES + 2, enable=1, name=name)[-1] for name, value in tag.items()}
        m.d.comb += [self.tile.slot.eq(step.slot), self.tile.columns.eq(step.columns)]
        products = []
        for bank in range(config.banks):
            fetched = delay(m, step.values[bank], READ_CYCLES, enable=1, name=f"value_{bank}")[-1]
            weight = Signal(signed(INT8_BITS), name=f"weight_{bank}")
            m.d.sync += weight.eq(fetched)
            for lane in range(bank * config.spread_tokens, (bank + 1) * config.spread_tokens):
                token = Signal(signed(INT8_BITS), name=f"token_{lane}")
                product = Signal(signed(2 * INT8_BITS), name=f"product_{lane}")
                m.d.sync += [token.eq(self.tile.data[lane]), product.eq(weight * token)]
                products.append(product)
        m.submodules.sums = queue = StreamFIFO(sums_layout(config)["sums"].shape, depth=ROWS_AHEAD)
        done, sums = self._accumulate(m, products, tag, name="lane")
        for lane in range(config.lanes):
            m.d.comb += queue.i.payload[lane].eq(sums[lane])
        m.d.comb += queue.i.valid.eq(done & ~self.spread)
        if config.banks > 1:
            self._spread_sums(m, products, tag, queue)
        return queue

    def _spread_sums(self, m: Module, products: list, tag: dict, queue: StreamFIFO) -> None:
        """The products of all banks summed, for each token."""
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
        done, sums = self._accumulate(m, totals, delayed, name="spread")
        with m.If(self.spread):
            m.d.comb += queue.i.valid.eq(done)
            m.d.comb += [queue.i.payload[self._index * tokens + i].eq(total) for i, total in enumerate(sums)]

    def _accumulate(self, m: Module, terms: list, tag: dict, *, name: str) -> tuple[Signal, list]:
        """Sums over the steps of a row, and when they are complete. The next row's may start in that very cycle."""
        done = Signal(name=f"{name}_done")
        m.d.sync += done.eq(tag["valid"] & tag["last"])
        sums = []
        for i, term in enumerate(terms):
            total = Signal(signed(self._config.accumulator_bits), name=f"{name}_sum_{i}")
            with m.If(tag["valid"]):
                m.d.sync += total.eq(term + Mux(tag["first"], 0, total))
            sums.append(total)
        return done, sums
