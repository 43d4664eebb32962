"""Sums to INT8 results: bias, requantisation, activation, for whichever engine has a row ready."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ...spec.formats import (
    BIAS_BITS,
    INT8_BITS,
    ROW_MULTIPLIER_BITS,
    ROW_SHIFT_BASE,
    ROW_SHIFT_BITS,
    unsigned_bits,
)
from ...spec.spmm_config import SpmmConfig
from ..activation import Activation, TableWrite
from ..common.arithmetic import popcount
from ..common.pipeline import delay, index_bits
from ..requantize import Requantize, requantize_latency
from .interface import command_layout
from .row_engine import parameters_layout, sums_layout

__all__ = ["Drain", "result_layout"]


def result_layout(config: SpmmConfig) -> data.StructLayout:
    """A beat of results.

    ``engine`` has computed them (0 for all, spread); ``saturated`` of them were clipped; ``last`` of a row (or of the
    rows of all engines, spread), which had its tokens in ``slot``.
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
    """One sum on its way to a result."""
    return data.StructLayout(
        {
            "total": signed(config.accumulator_bits),
            "bias": signed(BIAS_BITS),
            "multiplier": ROW_MULTIPLIER_BITS,
            "shift": ROW_SHIFT_BITS,
            "present": 1,
        }
    )


class Drain(wiring.Component):
    """``drain_lanes`` sums per cycle. Lanes as tokens: the rows of the engines by turns, each in as many beats as its
    tokens need. Spread: the sums of all engines together, one row each.

    Attributes
    ----------
    latency : int
        Cycles from sums to results.

    Members
    -------
    i_sums : In(stream(sums_layout)) × rows
    room : In(rows)
        Engines for whose next row the results have a place.
    reserve : Out(rows)
        That place is taken.
    spread, activation : In
        Of the command; constant while rows are inside.
    tail_tokens : In
        Tokens of its last pass, at least 1.
    o_results : Out(stream(result_layout, always_ready))
    table : In(TableWrite)
    """

    def __init__(self, config: SpmmConfig):
        self._config = config
        self._requantize_latency = requantize_latency(config.biased_bits)
        self.latency = 2 + self._requantize_latency + Activation.latency
        super().__init__(
            {
                "i_sums": In(stream.Signature(sums_layout(config))).array(config.rows),
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
        lanes = Signal(data.ArrayLayout(lane_layout(config), config.drain_lanes))
        tag = Signal(data.StructLayout({"valid": 1, "engine": unsigned_bits(config.rows - 1), "last": 1, "slot": 1}))
        engine, chunk, valid, last = self._choose(m)
        m.d.comb += [
            tag.valid.eq(valid),
            tag.last.eq(last),
            tag.engine.eq(engine),
            tag.slot.eq(Cat(sums.payload.parameters.slot for sums in self.i_sums).bit_select(engine, 1)),
        ]
        for i in range(config.drain_lanes):
            self._take_lane(m, i, lanes[i], engine, chunk)
        self._finish(m, lanes, delay(m, tag, self.latency, enable=1, name="tag"))
        return m

    def _choose(self, m: Module):
        """The engine whose row is drained: the one that was begun, else the next in turn that has a row and room.
        Spread: all of them, as soon as all have a row."""
        config = self._config
        ready = Signal(config.rows)
        turn = Signal(unsigned_bits(config.rows - 1))
        begun = Signal()
        chunk = Signal(unsigned_bits(max(config.beats_per_row - 1, 1)))
        engine, found, last = Signal.like(turn), Signal(), Signal()
        m.d.comb += [ready[i].eq(self.i_sums[i].valid & self.room[i]) for i in range(config.rows)]
        # Candidates from the turn onwards, the last assignment wins.
        for distance in reversed(range(config.rows)):
            candidate = Signal(index_bits(config.rows), name=f"candidate_{distance}")
            m.d.comb += candidate.eq(turn + distance)
            with m.If(ready.bit_select(candidate, 1)):
                m.d.comb += [engine.eq(candidate), found.eq(1)]
        with m.If(begun):
            m.d.comb += [engine.eq(turn), found.eq(1)]
        tail = Cat(sums.payload.parameters.tail for sums in self.i_sums).bit_select(engine, 1)
        tail_chunk = (self.tail_tokens - 1) >> index_bits(config.drain_lanes)
        m.d.comb += last.eq(chunk == Mux(tail, tail_chunk, config.beats_per_row - 1))
        every = Cat(sums.valid for sums in self.i_sums).all() & self.room[0]
        with m.If(self.spread):
            m.d.comb += self.reserve.eq(every)
            m.d.comb += [sums.ready.eq(every) for sums in self.i_sums]
        with m.Elif(found):
            m.d.sync += [turn.eq(engine), begun.eq(~last), chunk.eq(chunk + 1)]
            m.d.comb += self.reserve.eq(Mux(begun, 0, 1 << engine))
            with m.If(last):
                m.d.sync += [turn.eq(engine + 1 if config.rows > 1 else 0), chunk.eq(0)]
                m.d.comb += [sums.ready.eq(engine == i) for i, sums in enumerate(self.i_sums)]
        return Mux(self.spread, 0, engine), chunk, Mux(self.spread, every, found), self.spread | last

    def _take_lane(self, m: Module, i: int, lane, engine: Signal, chunk: Signal) -> None:
        """A sum of the chosen engine's chunk, or of the engine that the lane belongs to, which has put it there."""
        config = self._config
        home = min(i // config.spread_tokens, config.rows - 1)
        source = Signal(unsigned_bits(config.rows - 1), name=f"source_{i}")
        part = Signal(index_bits(config.beats_per_row), name=f"part_{i}")
        m.d.comb += [source.eq(Mux(self.spread, home, engine)), part.eq(Mux(self.spread, 0, chunk))]
        totals, parameters = [], []
        for sums in self.i_sums:
            totals += [sums.payload.sums[beat * config.drain_lanes + i] for beat in range(config.beats_per_row)]
            parameters.append(Cat(sums.payload.parameters))
        index = Cat(part, source[: index_bits(config.rows)])
        chosen = Cat(parameters).word_select(source[: index_bits(config.rows)], len(parameters[0]))
        row = Signal(parameters_layout(config), name=f"row_{i}")
        m.d.comb += row.eq(chosen)
        token = Mux(self.spread, i % config.spread_tokens, (chunk << index_bits(config.drain_lanes)) + i)
        inside = ~self.spread | (row.present if i < config.rows * config.spread_tokens else 0)
        m.d.sync += [
            lane.total.eq(Cat(totals).word_select(index, config.accumulator_bits)),
            lane.bias.eq(row.bias),
            lane.multiplier.eq(row.multiplier),
            lane.shift.eq(row.shift),
            lane.present.eq(inside & (~row.tail | (token < self.tail_tokens))),
        ]

    def _finish(self, m: Module, lanes, tags: list) -> None:
        """From registered sums to results."""
        config = self._config
        m.submodules.activation = activation = Activation(count=config.drain_lanes)
        connect(m, flipped(self.table), activation.table)
        m.d.comb += activation.kind.eq(self.activation)
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
            biased = Signal(signed(config.biased_bits), name=f"biased_{i}")
            m.d.sync += biased.eq(lane.total + lane.bias)
            m.d.comb += [
                requantize.enable.eq(1),
                requantize.value.eq(biased),
                requantize.multiplier.eq(delay(m, lane.multiplier, 1, enable=1, name=f"multiplier_{i}")[1]),
                requantize.shift.eq(delay(m, lane.shift, 1, enable=1, name=f"shift_{i}")[1]),
                activation.values[i].eq(requantize.result),
                saturated[i].eq(requantize.saturated),
            ]
            present.append(delay(m, lane.present, self.latency - 1, enable=1, name=f"present_{i}"))
            m.d.comb += out.values[i].eq(Mux(present[-1][-1], activation.results[i], 0))
        counted = Signal.like(out.saturated)
        m.d.comb += counted.eq(popcount(saturated & Cat(stages[1 + self._requantize_latency] for stages in present)))
        m.d.comb += [
            self.o_results.valid.eq(tags[-1].valid),
            out.engine.eq(tags[-1].engine),
            out.last.eq(tags[-1].last),
            out.slot.eq(tags[-1].slot),
            out.saturated.eq(delay(m, counted, Activation.latency, enable=1, name="saturated")[-1]),
        ]
