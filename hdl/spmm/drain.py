"""Drain: sums to INT8 results by bias, requantisation and activation, for any engine with a finished row."""

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import BIAS_BITS, INT8_BITS, ROW_MULTIPLIER_BITS, ROW_SHIFT_BASE, ROW_SHIFT_BITS, unsigned_bits
from ...spec.spmm_config import SpmmConfig
from ..lib.arithmetic import popcount
from ..lib.pipeline import delay, index_bits
from ..lib.requantise import Requantize, requantize_latency
from ..lib.streams import StreamRegister
from .activation import Activation, TableWrite
from .product_streams import command_layout
from .row_engine import finished_layout, parameters_layout, sums_layout

__all__ = ["Drain", "result_layout"]

CHOSEN_CYCLES = 3
"""Cycles from a beat of the chosen row to its sums and parameters in the lanes: fetch from the engines, then choose."""

BIASED_CYCLES = 2
"""Cycles from a lane's sum to the biased sum at the requantiser: the adder's register, and a multiplier block's own."""


def result_layout(config: SpmmConfig) -> data.StructLayout:
    """A beat of results.

    ``engine`` computed them; it is 0 in spread products, where a beat has results of all engines. ``saturated`` counts
    the clipped ones. ``last`` marks the end of a row, or of one row of every engine (spread). ``slot`` is the half of
    the tile memory with the row's tokens.
    """
    return data.StructLayout(
        {
            "engine": unsigned_bits(config.rows - 1),
            "values": data.ArrayLayout(signed(INT8_BITS), config.drain_lanes),
            "saturated": unsigned_bits(config.drain_lanes),
            "last": 1,
            "slot": 1,
        }
    )


def lane_layout(config: SpmmConfig) -> data.StructLayout:
    """One sum and its parameters."""
    return data.StructLayout(
        {
            "total": signed(config.accumulator_bits),
            "bias": signed(BIAS_BITS),
            "multiplier": ROW_MULTIPLIER_BITS,
            "shift": ROW_SHIFT_BITS,
            "present": 1,
        }
    )


def chosen_layout(config: SpmmConfig) -> data.StructLayout:
    """The chosen row, with ``last_chunk`` + 1 beats."""
    return data.StructLayout(
        {
            "engine": unsigned_bits(config.rows - 1),
            "slot": 1,
            "tail": 1,
            "last_chunk": unsigned_bits(max(config.beats_per_row - 1, 1)),
        }
    )


def _lowest(bits) -> Value:
    """The lowest set bit, alone."""
    return Cat(bit & ~bits[:i].any() for i, bit in enumerate(bits))


class Drain(wiring.Component):
    """Turns ``drain_lanes`` sums per cycle into results.

    With lanes as tokens, the drain serves the rows of the engines in turn. A row takes as many beats as its tokens
    need. In spread products, a beat holds the sums of one row of every engine.

        engines ── choose a row ── fetch sums ── bias ── requantise ── activation ── o_results

    Attributes
    ----------
    latency : int
        Cycles from a lane's sum to its result.

    Members
    -------
    i_finished : In(stream(finished_layout)) × rows
    sums : In(sums_layout) × rows
    parameters : In(parameters_layout) × rows
        Of the engine's first row that was not drained in the cycle before.
    drained : Out(rows)
        Bit i is asserted with the last beat of the first row of engine i.
    room : In(rows)
        Bit i is asserted while the results of another row of engine i have room.
    reserve : Out(rows)
        Bit i reserves that room.
    spread, activation : In
        Of the command. They must not change while rows are in flight.
    tail_tokens : In
        Tokens of the command's last pass, at least 1.
    o_results : Out(stream(result_layout, always_ready))
    table : In(TableWrite)
    """

    def __init__(self, config: SpmmConfig):
        self._config = config
        self._requantize_latency = requantize_latency(config.biased_bits)
        self.latency = BIASED_CYCLES + self._requantize_latency + Activation.latency
        super().__init__(
            {
                "i_finished": In(stream.Signature(finished_layout())).array(config.rows),
                "sums": In(sums_layout(config)).array(config.rows),
                "parameters": In(parameters_layout(config)).array(config.rows),
                "drained": Out(config.rows),
                "room": In(config.rows),
                "reserve": Out(config.rows),
                "spread": In(1),
                "activation": In(command_layout(config)["activation"].shape),
                "tail_tokens": In(unsigned_bits(config.lanes)),
                "o_results": Out(stream.Signature(result_layout(config), always_ready=True)),
                "table": In(TableWrite()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        # Copies of the command's fields, near the lanes.
        spread = Signal()
        tail_tokens = Signal.like(self.tail_tokens)
        m.d.sync += [spread.eq(self.spread), tail_tokens.eq(self.tail_tokens)]
        m.submodules.chosen = chosen = StreamRegister(chosen_layout(config))
        self._choose(m, chosen.i, spread, tail_tokens)
        tag, tail, chunk = self._count_beats(m, chosen.o, spread)
        tags = delay(m, tag, CHOSEN_CYCLES + self.latency, enable=1, name="tag")
        tails = delay(m, tail, CHOSEN_CYCLES - 1, enable=1, name="tail")
        chunks = delay(m, chunk, CHOSEN_CYCLES - 1, enable=1, name="chunk")
        lanes = self._take_lanes(m, tags, tails, chunks, spread, tail_tokens)
        self._finish(m, lanes, tags[CHOSEN_CYCLES:])
        return m

    def _choose(self, m: Module, chosen, spread: Signal, tail_tokens: Signal) -> None:
        """Choose the next engine in turn that has a row and room. Spread: all engines, once every engine has a row."""
        config = self._config
        ready = Signal(config.rows)
        pick = Signal(config.rows)
        ahead = Signal(config.rows)  # engines after the one chosen last; they come before the first
        m.d.comb += [ready[i].eq(row.valid & self.room[i]) for i, row in enumerate(self.i_finished)]
        m.d.comb += pick.eq(Mux((ready & ahead).any(), _lowest(ready & ahead), _lowest(ready)))
        every = Cat(row.valid for row in self.i_finished).all() & self.room[0]
        engines = [pick[i].replicate(len(chosen.payload.engine)) & i for i in range(config.rows)]
        found = Signal()
        taken = Signal()
        m.d.comb += [
            found.eq(Mux(spread, every, ready.any())),
            chosen.valid.eq(found),
            chosen.payload.engine.eq(Mux(spread, 0, reduce(or_, engines))),
            taken.eq(found & chosen.ready),
            self.reserve.eq(Mux(spread, 1, pick) & taken.replicate(config.rows)),
        ]
        for name in ("slot", "tail"):
            flags = Cat(row.payload[name] for row in self.i_finished)
            m.d.comb += chosen.payload[name].eq(Mux(spread, flags[0], (pick & flags).any()))
        last_chunk = chosen.payload.last_chunk
        tail_chunk = Signal.like(last_chunk, name="tail_chunk")
        m.d.sync += tail_chunk.eq((tail_tokens - 1) >> index_bits(config.drain_lanes))
        m.d.comb += last_chunk.eq(Mux(spread, 0, Mux(chosen.payload.tail, tail_chunk, config.beats_per_row - 1)))
        for i, row in enumerate(self.i_finished):
            m.d.comb += row.ready.eq(chosen.ready & Mux(spread, every, pick[i]))
        with m.If(taken):
            m.d.sync += ahead.eq(Cat(pick[:i].any() for i in range(config.rows)))

    def _count_beats(self, m: Module, row, spread: Signal) -> tuple[data.View, Signal, Signal]:
        """Count the beats of the chosen row. Returns a tag, whether the row's tokens are those of the last pass, and
        the chunk of tokens."""
        config = self._config
        tag = Signal(data.StructLayout({"valid": 1, "engine": unsigned_bits(config.rows - 1), "last": 1, "slot": 1}))
        chunk = Signal.like(row.payload.last_chunk, name="chunk")
        last = Signal()
        m.d.comb += [
            last.eq(chunk == row.payload.last_chunk),
            row.ready.eq(last),
            tag.valid.eq(row.valid),
            tag.engine.eq(row.payload.engine),
            tag.last.eq(last),
            tag.slot.eq(row.payload.slot),
        ]
        for i in range(config.rows):
            m.d.comb += self.drained[i].eq(row.valid & last & (spread | (row.payload.engine == i)))
        with m.If(row.valid):
            m.d.sync += chunk.eq(Mux(last, 0, chunk + 1))
        return tag, row.payload.tail, chunk

    def _take_lanes(self, m: Module, tags, tails, chunks, spread: Signal, tail_tokens: Signal) -> data.View:
        """Fetch a sum and its parameters for each lane.

        They belong to a chunk of the chosen engine's row. In spread products, they belong to the lane's own engine,
        which has put them into its first chunk.
        """
        config = self._config
        lanes = Signal(data.ArrayLayout(lane_layout(config), config.drain_lanes), reset_less=True)
        bits = index_bits(config.rows)
        # The engines show sums and parameters of the row one cycle after the choice. First, select a chunk of each.
        part = chunks[1][: index_bits(config.beats_per_row)]
        chosen = Signal(parameters_layout(config), reset_less=True)
        own = Signal(data.ArrayLayout(parameters_layout(config), config.rows), reset_less=True)
        parameters = [Cat(row) for row in self.parameters]
        m.d.sync += [
            chosen.eq(Cat(parameters).word_select(tags[1].engine[:bits], len(parameters[0]))),
            Cat(own).eq(Cat(parameters)),
        ]
        for i in range(config.drain_lanes):
            lane = lanes[i]
            home = min(i // config.spread_tokens, config.rows - 1)
            totals = []
            for index, sums in enumerate(self.sums):
                total = Signal(config.accumulator_bits, name=f"total_{i}_{index}", reset_less=True)
                beats = [sums[beat * config.drain_lanes + i] for beat in range(config.beats_per_row)]
                m.d.sync += total.eq(Cat(beats).word_select(part, config.accumulator_bits))
                totals.append(total)
            # Then select one engine.
            source = Signal(bits, name=f"source_{i}")
            m.d.sync += source.eq(Mux(spread, home, tags[1].engine))
            row = Signal(parameters_layout(config), name=f"row_{i}")
            m.d.comb += row.eq(chosen)
            token = Mux(spread, i % config.spread_tokens, (chunks[2] << index_bits(config.drain_lanes)) + i)
            inside = ~spread
            if i < config.rows * config.spread_tokens:
                with m.If(spread):
                    m.d.comb += row.eq(own[home])
                inside = row.present
            m.d.sync += [
                lane.total.eq(Cat(totals).word_select(source, config.accumulator_bits)),
                lane.bias.eq(row.bias),
                lane.multiplier.eq(row.multiplier),
                lane.shift.eq(row.shift),
                lane.present.eq(inside & (~tails[2] | (token < tail_tokens))),
            ]
        return lanes

    def _finish(self, m: Module, lanes, tags: list) -> None:
        """Turn registered sums into results."""
        config = self._config
        m.submodules.activation = activation = Activation(count=config.drain_lanes)
        m.d.comb += activation.kind.eq(self.activation)
        m.d.sync += [
            getattr(activation.table, name).eq(getattr(self.table, name)) for name in self.table.signature.members
        ]
        out = self.o_results.payload
        saturated = Signal(config.drain_lanes)
        present = []
        for i in range(config.drain_lanes):
            lane = lanes[i]
            m.submodules[f"requantize_{i}"] = requantize = Requantize(
                value_bits=config.biased_bits,
                multiplier_bits=ROW_MULTIPLIER_BITS,
                shift_bits=ROW_SHIFT_BITS,
                shift_base=ROW_SHIFT_BASE,
            )
            biased = Signal(signed(config.biased_bits), name=f"biased_{i}", reset_less=True)
            multiplier = Signal(ROW_MULTIPLIER_BITS, name=f"multiplier_{i}", reset_less=True)
            m.d.sync += [biased.eq(lane.total + lane.bias), multiplier.eq(lane.multiplier)]
            m.d.comb += [
                requantize.enable.eq(1),
                requantize.value.eq(delay(m, biased, 1, enable=1, name=f"value_{i}")[1]),
                requantize.multiplier.eq(delay(m, multiplier, 1, enable=1, name=f"factor_{i}")[1]),
                requantize.shift.eq(delay(m, lane.shift, BIASED_CYCLES, enable=1, name=f"shift_{i}")[-1]),
                activation.values[i].eq(requantize.result),
                saturated[i].eq(requantize.saturated),
            ]
            present.append(delay(m, lane.present, self.latency, enable=1, name=f"present_{i}"))
            m.d.comb += out.values[i].eq(Mux(present[-1][-1], activation.results[i], 0))
        counted = Signal.like(out.saturated)
        inside = Cat(stages[BIASED_CYCLES + self._requantize_latency] for stages in present)
        m.d.comb += counted.eq(popcount(saturated & inside))
        m.d.comb += [
            self.o_results.valid.eq(tags[-1].valid),
            out.engine.eq(tags[-1].engine),
            out.last.eq(tags[-1].last),
            out.slot.eq(tags[-1].slot),
            out.saturated.eq(delay(m, counted, Activation.latency, enable=1, name="saturated")[-1]),
        ]
