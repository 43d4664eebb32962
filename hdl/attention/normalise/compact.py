"""Compact normaliser: accumulators divided and requantised with two multipliers, one value every four cycles."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig, Fill
from ....spec.attention_config import Normalise as Mode
from ....spec.formats import (
    INT8_BITS,
    INT8_MAX,
    INT8_MIN,
    OUTPUT_FRACTION,
    OUTPUT_MULTIPLIER_BITS,
    OUTPUT_SHIFT_BITS,
    RECIPROCAL_FRACTION,
)
from ...lib.arithmetic import masked_product
from ...lib.pipeline import index_bits
from ...lib.scratchpad import BLOCK_RAM
from ..softmax.compact_denominator import query_result_layout
from .pipelined import accumulator_block_layout, output_words_layout

__all__ = ["CompactNormalise", "scaled_query_layout"]

ROWS_AHEAD = 4
"""Block rows whose reciprocals may arrive before their accumulators."""

TURNS = 4
"""Cycles per value. One turn of the larger multiplier serves a value, another serves the factor of a query row."""

NARROW = 16
"""Operand bits of an iCE40 multiplier block. Logic multiplies the bits above."""


def scaled_query_layout(config: AttentionConfig) -> data.StructLayout:
    """A query row's background weight and reciprocal, and its head's output scale."""
    return data.StructLayout(
        {
            **query_result_layout(config).members,
            "output_multiplier": OUTPUT_MULTIPLIER_BITS,
            "output_shift": OUTPUT_SHIFT_BITS,
        }
    )


class CompactNormalise(wiring.Component):
    """Accumulators to INT8 outputs, one value every four cycles.

    The order of outputs is that of :class:`~thresher.hdl.attention.normalise.pipelined.Normalise`.

    Parameters
    ----------
    config : AttentionConfig
        ``compact`` must be set.

    Attributes
    ----------
    block_cycles : int
        Cycles per block.
    latency : int
        Largest number of cycles from a block to its first word.

    Members
    -------
    i_row : In(stream(scaled_query_layout))
        One per query row, including query rows beyond the sequence. Up to ``ROWS_AHEAD`` block rows are accepted before
        their blocks.
    i_block : In(stream(accumulator_block_layout))
    o_words : Out(stream(output_words_layout))
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        late = config.normalise is Mode.LATE
        # The smallest exponent: late ones are at least that of weight_max, early ones are constant.
        self._least = config.weight_bits - 1 if late else config.weight_bits
        self._row = data.StructLayout(
            {
                "background": config.weight_bits,
                "factor": OUTPUT_MULTIPLIER_BITS,
                "places": index_bits(config.denominator_bits - self._least) if late else 0,
                "slot": 1,
            }
        )
        self.block_cycles = TURNS * config.block * config.lanes
        self.latency = 3 * TURNS
        super().__init__(
            {
                "i_row": In(stream.Signature(scaled_query_layout(config))),
                "i_block": In(stream.Signature(accumulator_block_layout(config))),
                "o_words": Out(stream.Signature(output_words_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        turn = Signal(range(TURNS))
        step = Signal()  # a value enters the larger multiplier
        result = Signal()  # a value has left it
        full = Signal()
        ends = Signal()
        # The turns stall only while an output is not accepted and the next result has arrived. An output that is
        # accepted in this cycle stalls them, too, so that `ready` does not reach the shift registers.
        m.d.comb += [full.eq((turn == 2) & result & self.o_words.valid), ends.eq((turn == 2) & ~full)]
        with m.If(~full):
            m.d.sync += turn.eq(turn + 1)
        product = Signal(signed(config.output_operand_bits + OUTPUT_MULTIPLIER_BITS + 1))
        first = Signal(index_bits(ROWS_AHEAD) + 1)  # block row
        query = Signal(exact_log2(config.block))
        row, known = self._rows(m, turn, product, first, query)
        active, accumulator, value_sum = self._drain(m, step & ends, first, query)
        with m.If(turn == TURNS - 1):
            m.d.sync += [step.eq(active & known), result.eq(step)]
        operand = self._operand(m, row, accumulator, value_sum)
        self._multiply(m, turn, operand, row.factor, product)
        self._round(m, turn, ends & result, product, self._shift(m, turn, row.slot))
        return m

    def _rows(self, m: Module, turn: Signal, product: Signal, first: Signal, query: Signal):
        """Store query rows, with mantissa and output scale joined into one factor.

        Returns the selected query row, and whether all query rows of its block row are stored.
        """
        config = self._config
        inner = exact_log2(config.block)
        depth = ROWS_AHEAD * config.block
        rows = Memory(shape=self._row, depth=depth, init=[], attrs=BLOCK_RAM)
        m.submodules.rows = rows
        write = rows.write_port()
        read = rows.read_port()
        written = Signal(index_bits(depth) + 1)
        taking = Signal()
        row = self.i_row.payload
        m.d.comb += [
            read.addr.eq(Cat(query, first)),
            write.addr.eq(written),
            write.en.eq(taking & (turn == TURNS - 1)),
            write.data.background.eq(row.background),
            write.data.factor.eq((product[RECIPROCAL_FRACTION - 1 :] + 1) >> 1),
            write.data.places.eq(row.exponent - self._least),
            write.data.slot.eq(row.slot),
            self.i_row.ready.eq(write.en),
        ]
        with m.If(turn == 0):
            m.d.sync += taking.eq(self.i_row.valid & ((written[inner:] ^ first) != ROWS_AHEAD))
        with m.If(write.en):
            m.d.sync += written.eq(written + 1)
        return read.data, written[inner:] != first

    def _drain(self, m: Module, ends: Signal, first: Signal, query: Signal):
        """Shift registers. Returns whether they hold a block, and the accumulator and column sum in front."""
        config = self._config
        block = self.i_block.payload
        accumulators = Signal.like(Cat(block.accumulators), reset_less=True)
        value_sums = Signal.like(Cat(block.value_sums), reset_less=True)
        active = Signal()
        last_chunk = Signal()
        take = Signal()
        last = Signal()
        lane = Signal(exact_log2(config.lanes))
        m.d.comb += [
            last.eq(ends & (lane == config.lanes - 1) & (query == config.block - 1)),
            self.i_block.ready.eq(~active | last),
            take.eq(self.i_block.valid & self.i_block.ready),
        ]
        with m.If(take | ends):
            m.d.sync += [
                accumulators.eq(Mux(take, Cat(block.accumulators), accumulators >> config.accumulator_bits)),
                value_sums.eq(Mux(take, Cat(block.value_sums), value_sums.rotate_right(config.value_sum_bits))),
            ]
        with m.If(ends):
            m.d.sync += lane.eq(lane + 1)
            with m.If(lane == config.lanes - 1):
                m.d.sync += query.eq(query + 1)
        with m.If(last):
            m.d.sync += [active.eq(0), first.eq(first + last_chunk)]
        with m.If(take):
            m.d.sync += [active.eq(1), last_chunk.eq(block.last_chunk)]
        accumulator, value_sum = accumulators[: config.accumulator_bits], value_sums[: config.value_sum_bits]
        return active, accumulator.as_signed(), value_sum.as_signed()

    def _operand(self, m: Module, row, accumulator, value_sum):
        """The sum over all positions, shifted by the exponent. Inputs change after turn 2; turn 3 uses the result."""
        config = self._config
        total = Signal(signed(config.accumulator_bits), reset_less=True)
        if config.fill is Fill.SKIP:
            m.d.sync += total.eq(accumulator)
        else:
            share = Signal(signed(config.accumulator_bits), reset_less=True)
            m.d.sync += [share.eq(row.background * value_sum), total.eq(accumulator + share)]
        drop = self._least - OUTPUT_FRACTION
        scaled = total[drop:].as_signed() if drop >= 0 else Cat(Const(0, -drop), total).as_signed()
        return scaled >> row.places

    def _multiply(self, m: Module, turn: Signal, operand, factor, product: Signal) -> None:
        """Load a value and its factor in the last turn, and a query row's mantissa and output scale in all others."""
        bits = self._config.output_operand_bits
        left = Signal(signed(max(bits, RECIPROCAL_FRACTION + 2)), reset_less=True)
        right = Signal(OUTPUT_MULTIPLIER_BITS, reset_less=True)
        low = Signal(NARROW + len(right), reset_less=True)
        high = Signal(signed(len(left) - NARROW + len(right)), reset_less=True)
        row = self.i_row.payload
        last_turn = turn == TURNS - 1
        m.d.sync += [
            left.eq(Mux(last_turn, operand, row.mantissa)),
            right.eq(Mux(last_turn, factor, row.output_multiplier)),
            low.eq(left[:NARROW] * right),
            high.eq(masked_product(right, left[NARROW:].as_signed())),
        ]
        m.d.comb += product.eq(low + (high << NARROW))

    def _shift(self, m: Module, turn: Signal, slot) -> Signal:
        """Output shift of the head in ``slot``. Every query row carries its head's shift; two heads are in flight."""
        shifts = Signal(data.ArrayLayout(OUTPUT_SHIFT_BITS, 2))
        with m.If(self.i_row.valid & self.i_row.ready):
            m.d.sync += shifts[self.i_row.payload.slot].eq(self.i_row.payload.output_shift)
        shift = Signal(OUTPUT_SHIFT_BITS)
        with m.If(turn == TURNS - 1):
            m.d.sync += shift.eq(shifts[slot])
        return shift

    def _round(self, m: Module, turn: Signal, done, product: Signal, shift: Signal) -> None:
        """Shift to one bit below the result, then round on that bit and clip.

        These are the stages of :class:`~thresher.hdl.lib.requantise.Requantize`.
        """
        halves = Signal(signed(len(product) - OUTPUT_FRACTION + 1), reset_less=True)
        rounded = Signal.like(halves)
        above = rounded[INT8_BITS - 1 :]
        fits = ~above.any() | above.all()
        m.d.comb += rounded.eq((halves + 1) >> 1)
        with m.If(turn == 1):
            m.d.sync += halves.eq(product[OUTPUT_FRACTION - 1 :].as_signed() >> shift)
        with m.If(self.o_words.ready):
            m.d.sync += self.o_words.valid.eq(0)
        with m.If(done):
            m.d.sync += [
                self.o_words.valid.eq(1),
                self.o_words.payload.values[0].eq(Mux(fits, rounded, Mux(rounded[-1], INT8_MIN, INT8_MAX))),
                self.o_words.payload.saturated.eq(~fits),
            ]
