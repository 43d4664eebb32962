"""Pipelined normaliser: accumulators divided by their row's denominator and requantised."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig, Fill
from ....spec.attention_config import Normalise as Mode
from ....spec.formats import INT8_BITS, OUTPUT_FRACTION, OUTPUT_MULTIPLIER_BITS, OUTPUT_SHIFT_BITS, RECIPROCAL_FRACTION
from ...lib.pipeline import delay, index_bits
from ...lib.requantise import Requantize, requantize_latency
from ...lib.streams import HalfBuffer, StreamFIFO, StreamRegister, nonzero
from ..softmax.denominator import normaliser_row_layout

__all__ = ["Normalise", "accumulator_block_layout", "output_words_layout", "scaled_row_layout"]

WORDS_IN_FLIGHT = 16
"""Limit of words in flight between the shift registers and the consumer: more than the registers in between, and the
depth of a LUT RAM."""


def scaled_row_layout(config: AttentionConfig) -> data.StructLayout:
    """A block row's background weights and reciprocals, and its head's output scale."""
    return data.StructLayout(
        {
            **normaliser_row_layout(config).members,
            "output_multiplier": OUTPUT_MULTIPLIER_BITS,
            "output_shift": OUTPUT_SHIFT_BITS,
        }
    )


def accumulator_block_layout(config: AttentionConfig) -> data.StructLayout:
    """Accumulators of ``block`` query rows × ``lanes`` columns of V: sums of (weight − background)·V.

    ``value_sums`` are the sums of the same columns of V over the keys that are seen: one set per query in a causal
    core, otherwise one for all. ``last_chunk`` marks the last column chunk of the block row.
    """
    return data.StructLayout(
        {
            "accumulators": data.ArrayLayout(
                data.ArrayLayout(signed(config.accumulator_bits), config.lanes), config.block
            ),
            "value_sums": data.ArrayLayout(
                data.ArrayLayout(signed(config.value_sum_bits), config.lanes), config.key_masks
            ),
            "last_chunk": 1,
        }
    )


def output_words_layout(config: AttentionConfig) -> data.StructLayout:
    """``output_lanes`` results of one row, and one bit per result that is set if it was clipped."""
    return data.StructLayout(
        {"values": data.ArrayLayout(signed(INT8_BITS), config.output_lanes), "saturated": config.output_lanes}
    )


class Normalise(wiring.Component):
    """Accumulators to INT8 outputs, ``output_lanes`` per cycle.

    Shift registers take a whole block, which leaves in ``block_cycles`` words: query row by query row, and by columns
    within a query row. The next block enters while the last word of the block before leaves.

    Parameters
    ----------
    config : AttentionConfig

    Attributes
    ----------
    block_cycles : int
        Words of a block, and its cycles.
    latency : int
        Cycles from a block to its first word.

    Members
    -------
    i_row : In(stream(scaled_row_layout))
        One per block row. The first block of a block row is accepted before it, so the PE array continues while the
        reciprocals are computed. Exponents must be at least weight_bits − 1 (late) or equal to weight_bits (early); the
        softmax ensures this.
    i_block : In(stream(accumulator_block_layout))
    o_words : Out(stream(output_words_layout))
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self.block_cycles = config.block * config.lanes // config.output_lanes
        self._requantize_latency = requantize_latency(config.output_operand_bits)
        self.latency = 10 + self._requantize_latency
        super().__init__(
            {
                "i_row": In(stream.Signature(scaled_row_layout(config))),
                "i_block": In(stream.Signature(accumulator_block_layout(config))),
                "o_words": Out(stream.Signature(output_words_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # The pipeline behind the shift registers never stalls: a word leaves them only when the queue has room for it.
        m.submodules.words = words = StreamFIFO(output_words_layout(self._config), depth=WORDS_IN_FLIGHT, counted=True)
        m.submodules.out = out = StreamRegister(output_words_layout(self._config))
        wiring.connect(m, words.o, out.i)
        wiring.connect(m, out.o, wiring.flipped(self.o_words))
        step = Signal()
        left = words.o.valid & words.o.ready
        room = nonzero(m, init=WORDS_IN_FLIGHT, limit=WORDS_IN_FLIGHT, up=left, down=step, name="room")
        moved, accumulators, value_sums, row = self._drain(m, step, room)
        operands, multiplier, shift = self._divide(m, accumulators, value_sums, row)
        for lane in range(self._config.output_lanes):
            m.submodules[f"requantize_{lane}"] = requantize = Requantize(
                value_bits=self._config.output_operand_bits,
                multiplier_bits=OUTPUT_MULTIPLIER_BITS,
                shift_bits=OUTPUT_SHIFT_BITS,
                shift_base=OUTPUT_FRACTION,
            )
            m.d.comb += [
                requantize.enable.eq(1),
                requantize.value.eq(operands[lane]),
                requantize.multiplier.eq(multiplier),
                requantize.shift.eq(shift),
                words.i.payload.values[lane].eq(requantize.result),
                words.i.payload.saturated[lane].eq(requantize.saturated),
            ]
        valid = delay(m, moved, 4 + self._requantize_latency, enable=1, name="valid")[-1]
        m.d.comb += words.i.valid.eq(valid)
        return m

    def _drain(self, m: Module, step, room):
        """Shift registers. Returns the accumulators and column sums of the next word, and the row that they belong to.

        Each move is decided one cycle before the registers move: they are thousands of bits, all over the chip.
        """
        config = self._config
        groups = config.lanes // config.output_lanes
        row = Signal(scaled_row_layout(config))
        active = Signal()
        last_chunk = Signal()
        known = Signal()
        group = Signal(index_bits(groups))
        query = Signal(index_bits(config.block))
        last = Signal()
        # This register frees the PE array's accumulators as soon as the block is complete.
        m.submodules.held = held = HalfBuffer(self.i_block.payload.shape())
        m.submodules.next_row = next_row = HalfBuffer(scaled_row_layout(config))
        wiring.connect(m, wiring.flipped(self.i_block), held.i)
        wiring.connect(m, wiring.flipped(self.i_row), next_row.i)
        take = held.o.valid & held.o.ready
        ends_row = last & last_chunk
        m.d.comb += [
            step.eq(active & known & room),
            last.eq(step & (group == groups - 1) & (query == config.block - 1)),
            held.o.ready.eq(~active | last),
            next_row.o.ready.eq(~known | ends_row),
        ]
        with m.If(step):
            m.d.sync += group.eq(group + 1)
            with m.If(group == groups - 1):
                m.d.sync += [group.eq(0), query.eq(query + 1)]
        with m.If(last):
            m.d.sync += active.eq(0)
        with m.If(take):
            m.d.sync += [active.eq(1), last_chunk.eq(held.o.payload.last_chunk)]
        with m.If(ends_row):
            m.d.sync += known.eq(0)
        with m.If(next_row.o.valid & next_row.o.ready):
            m.d.sync += [known.eq(1), row.eq(next_row.o.payload)]
        per_query = {
            "background": row.background[query],
            "mantissa": row.mantissa[query],
            "exponent": row.exponent[query],
            "output_multiplier": row.output_multiplier,
            "output_shift": row.output_shift,
        }
        moved = delay(m, step, 1, enable=1, name="step")[1]
        fronts = self._shift(m, held.o.payload, take=take, step=step)
        # These registers have no reset, so that multiplier blocks can absorb them.
        fronts = [
            [delay(m, value, 1, enable=1, name=f"{name}_{i}", reset_less=True)[1] for i, value in enumerate(front)]
            for front, name in zip(fronts, ("front", "front_sum"), strict=True)
        ]
        now = {name: delay(m, value, 2, enable=1, name=name, reset_less=True)[2] for name, value in per_query.items()}
        return delay(m, moved, 1, enable=1, name="moved")[1], *fronts, now

    def _shift(self, m: Module, held, *, take, step) -> list:
        """The front word of the accumulators and of the sums of V, one cycle after the decision to move."""
        config = self._config
        accumulators = Signal.like(Cat(held.accumulators), reset_less=True)
        value_sums = Signal.like(Cat(held.value_sums), reset_less=True)
        # One enable and one choice per bit, both registers. The block stays in ``held`` during this cycle.
        taken = Signal()
        moves = Signal()
        m.d.sync += [taken.eq(take), moves.eq(take | step)]
        with m.If(moves):
            for register, new, bits in (
                (accumulators, held.accumulators, config.accumulator_bits),
                (value_sums, held.value_sums, config.value_sum_bits),
            ):
                m.d.sync += register.eq(Mux(taken, Cat(new), register.rotate_right(config.output_lanes * bits)))
        return [
            data.View(data.ArrayLayout(signed(bits), config.output_lanes), register[: bits * config.output_lanes])
            for bits, register in ((config.accumulator_bits, accumulators), (config.value_sum_bits, value_sums))
        ]

    def _divide(self, m: Module, accumulators, value_sums, row):
        """Join reciprocal mantissa and output scale into one factor, and form the operands.

        Four stages: two add the background's share, the third shifts by the exponent, the fourth is a register that
        multiplier blocks can absorb.
        """
        config = self._config
        late = config.normalise is Mode.LATE
        # The smallest exponent: late ones are at least that of weight_max, early ones are constant.
        least = config.weight_bits - 1 if late else config.weight_bits
        places = delay(m, row["exponent"], 2, enable=1, name="exponent")[1] - least
        shift = delay(m, row["output_shift"], 4, enable=1, name="output_shift")[4]
        factor = Signal(RECIPROCAL_FRACTION + 1 + OUTPUT_MULTIPLIER_BITS, reset_less=True)
        factor_rounded, factor_held = (Signal(OUTPUT_MULTIPLIER_BITS, name=f"factor_{n}") for n in (1, 2))
        places_held = Signal(index_bits(config.denominator_bits - least))
        m.d.sync += [
            # The early mantissa is exactly 1, so the factor is the output scale.
            factor.eq(
                row["mantissa"] * row["output_multiplier"] if late else row["output_multiplier"] << RECIPROCAL_FRACTION
            ),
            factor_rounded.eq((factor[RECIPROCAL_FRACTION - 1 :] + 1) >> 1),
            factor_held.eq(factor_rounded),
            places_held.eq(places),
        ]
        operands = Signal(data.ArrayLayout(signed(config.output_operand_bits), config.output_lanes))
        for lane in range(config.output_lanes):
            total = self._total(m, accumulators[lane], value_sums[lane], row["background"], lane)
            drop = least - OUTPUT_FRACTION
            scaled = total[drop:].as_signed() if drop >= 0 else Cat(Const(0, -drop), total).as_signed()
            m.d.sync += operands[lane].eq(scaled >> places_held if late else scaled)
        near = [
            delay(m, value, 1, enable=1, name=f"operand_{lane}", reset_less=True)[1]
            for lane, value in enumerate(operands)
        ]
        return near, delay(m, factor_held, 1, enable=1, name="factor", reset_less=True)[1], shift

    def _total(self, m: Module, accumulator, value_sum, background, lane: int) -> Signal:
        """The sum over all positions, in two stages. Positions of pruned blocks have the background's weight."""
        held = delay(m, accumulator, 2, enable=1, name=f"accumulator_{lane}")
        if self._config.fill is Fill.SKIP:
            return held[2]
        share = Signal(signed(self._config.accumulator_bits), name=f"share_{lane}", reset_less=True)
        total = Signal(signed(self._config.accumulator_bits), name=f"total_{lane}")
        m.d.sync += [share.eq(background * value_sum), total.eq(held[1] + share)]
        return total
