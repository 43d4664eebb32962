"""Pipelined softmax: block rows, one block of scores per cycle."""

from amaranth import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig, Fill, Normalise
from ....spec.formats import unsigned_bits
from ...lib.pipeline import delay, index_bits
from ...lib.scratchpad import NEVER_BOTH
from ...lib.streams import HalfBuffer, StreamFIFO, nonzero
from .denominator import Denominator, normaliser_row_layout
from .exponential import Exponential
from .probability import Probability
from .row_maximum import RowMaximum, row_maximum_layout, score_block_layout
from .row_walker import RowWalker, row_context_layout, softmax_row_layout, step_layout

__all__ = ["ROWS_AHEAD", "Softmax", "weight_block_layout"]

ROWS_AHEAD = 16
"""Capacity of each queue, in block rows: the depth of a LUT RAM."""

WEIGHTS_AHEAD = 16
"""Blocks of weights that may wait for the PE array. In sparse rows, the next row's sums are complete and its
reciprocals computed before the array takes the next row's first weights."""

STEP_TO_WEIGHT = 3 + Exponential.latency
"""Enabled cycles from a step to its exponentials: ring, output register, subtraction, exponential."""


def weight_block_layout(config: AttentionConfig) -> data.StructLayout:
    """Weights of one kept block, [query row][key], minus the weight of a pruned position of the query row.

    Weights of keys that are not seen are 0. ``first`` and ``last`` mark the ends of the pass, which serves column
    chunk ``chunk`` of V.
    """
    weights = data.ArrayLayout(signed(config.weight_bits + 1), config.block)
    return data.StructLayout(
        {
            "weights": data.ArrayLayout(weights, config.block),
            "key_block": unsigned_bits(config.blocks - 1),
            "first": 1,
            "last": 1,
            "chunk": unsigned_bits(config.chunks - 1),
            "slot": 1,
        }
    )


class Credits(wiring.Component):
    """Counts the free places among ``limit``.

    Members
    -------
    take : In(1)
        Strobe: a place is taken. It is undefined to assert it while ``available`` is low.
    give : In(1)
        Strobe: a place is free again.
    available : Out(1)
        Asserted while at least one place is free; i.e. ``take`` may be asserted.
    """

    def __init__(self, limit: int):
        self._limit = limit
        super().__init__({"take": In(1), "give": In(1), "available": Out(1)})

    def elaborate(self, platform):
        m = Module()
        taken = Signal(range(self._limit + 1))
        m.d.comb += self.available.eq(taken != self._limit)
        m.d.sync += taken.eq(taken + self.take - self.give)
        return m


class Softmax(wiring.Component):
    """Softmax unit of a pipelined attention core.

    Scores of a block row's kept blocks wait in a ring until the row is complete and its maxima are known. Then each
    pass over the row gives its weights, one block per cycle. The first pass also sums the weights. With ``early``, a
    separate pass forms the sums, and later passes give probabilities. Passes of successive rows follow without lost
    cycles; with ``early`` they interleave.

        i_scores ─┬─ ring ─────────────┬─ exponentials ─┬─ queue ── o_weights
                  └─ maxima ── walker ─┘                └─ sums ── denominator ── o_rows

    Parameters
    ----------
    config : AttentionConfig

    Attributes
    ----------
    entries : int
        Capacity of the ring in blocks: at least two full block rows.
    latency : int
        Cycles from the last score of a row to its first weights in an idle unit, if nothing is pruned. Pruned positions
        add one cycle. Only for ``late``.
    row_latency : int
        Cycles from the last weights of a row's first pass to its ``o_rows``. Only for ``late``.

    Members
    -------
    i_row : In(stream(softmax_row_layout))
        One per block row. It must be accepted before the row's last scores arrive.
    available : Out(1)
        Asserted while there is room for another block of scores; i.e. ``reserve`` may be asserted.
    reserve : In(1)
        Strobe: reserve room for one block of scores. Every block needs a reservation before it arrives.
    i_scores : In(stream(score_block_layout))
        Always ready.
    o_weights : Out(stream(weight_block_layout))
    o_rows : Out(stream(normaliser_row_layout))
        One per block row, after the weights of its first pass (``early``: before them). Up to 16 rows wait here. Then
        no further row finishes its first pass until one is accepted.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self._early = config.normalise is Normalise.EARLY
        self.entries = 1 << index_bits(2 * config.blocks)
        self._maximum = RowMaximum(config)
        self._denominator = Denominator(config, depth=ROWS_AHEAD)
        self.latency = self._maximum.latency + 3 + STEP_TO_WEIGHT + 2
        self.row_latency = self._denominator.latency - 1
        super().__init__(
            {
                "i_row": In(stream.Signature(softmax_row_layout(config))),
                "available": Out(1),
                "reserve": In(1),
                "i_scores": In(stream.Signature(score_block_layout(config))),
                "o_weights": Out(stream.Signature(weight_block_layout(config))),
                "o_rows": Out(stream.Signature(normaliser_row_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.maximum = self._maximum
        m.submodules.weights = weights = StreamFIFO(weight_block_layout(config), depth=WEIGHTS_AHEAD, counted=True)
        m.submodules.denominator = self._denominator
        wiring.connect(m, weights.o, wiring.flipped(self.o_weights))
        wiring.connect(m, self._denominator.o_rows, wiring.flipped(self.o_rows))
        # A register that stalls every other one from the ring to the weights while the queue has no room.
        comes = Signal()
        enable = nonzero(
            m,
            init=WEIGHTS_AHEAD,
            limit=WEIGHTS_AHEAD,
            up=weights.o.valid & weights.o.ready,
            down=comes,
            name="enable",
        )
        step, valid, address = self._walk(m, enable, self._complete_rows(m))
        block = self._ring(m, enable, step, valid, address)
        m.d.sync += weights.i.valid.eq(comes)
        m.d.comb += comes.eq(enable & self._exponentials(m, enable, step, valid, block, weights.i.payload))
        return m

    def _complete_rows(self, m: Module) -> stream.Interface:
        """Block rows with all their scores. Their maxima include the background's score."""
        config = self._config
        row = softmax_row_layout(config)
        # The sender of rows is far away, so it does not see in the same cycle whether there is room. ``near`` and
        # ``told`` together hold as many rows as ``arrived``. So ``arrived`` is never full when a row's scores are
        # complete: the scores come after the row is announced, and both leave together.
        m.submodules.near = near = HalfBuffer(row)
        told_layout = data.StructLayout({"row": row, "filled": config.key_masks})
        m.submodules.told = told = StreamFIFO(told_layout, depth=ROWS_AHEAD - 1)
        m.submodules.arrived = arrived = StreamFIFO(row_maximum_layout(config), depth=ROWS_AHEAD)
        fills = 0
        if config.fill is not Fill.SKIP:
            fills = Cat(keys != 0 for keys in near.o.payload.pruned_keys)
        wiring.connect(m, wiring.flipped(self.i_row), near.i)
        m.d.comb += [
            told.i.valid.eq(near.o.valid),
            near.o.ready.eq(told.i.ready),
            told.i.payload.row.eq(near.o.payload),
            told.i.payload.filled.eq(fills),
        ]
        wiring.connect(m, wiring.flipped(self.i_scores), self._maximum.i)
        wiring.connect(m, self._maximum.o, arrived.i)
        # Sums of two rows never end in successive cycles, so one row every two cycles is enough.
        m.submodules.complete = complete = HalfBuffer(row_context_layout(config))
        known, filled = told.o.payload.row, told.o.payload.filled
        m.d.comb += [
            complete.i.valid.eq(told.o.valid & arrived.o.valid),
            told.o.ready.eq(complete.i.ready & arrived.o.valid),
            arrived.o.ready.eq(complete.i.ready & told.o.valid),
            complete.i.payload.count.eq(arrived.o.payload.count),
            complete.i.payload.filled.eq(filled),
        ]
        m.d.comb += [complete.i.payload[name].eq(known[name]) for name in row.members]
        for i, (largest, kept) in enumerate(zip(complete.i.payload.maximum, arrived.o.payload.maximum, strict=True)):
            fills = filled[i % config.key_masks]
            m.d.comb += largest.eq(Mux(fills & (known.background > kept), known.background, kept))
        return complete.o

    def _walk(self, m: Module, enable, complete: stream.Interface):
        """The next step, whether it is valid, and the address of its block in the ring."""
        config = self._config
        step = Signal(step_layout(config))
        address = Signal(range(self.entries))
        valid = Signal()
        room = Signal()
        closes = Signal()
        m.submodules.adder = adder = RowWalker(config, entries=self.entries, adds=True, emits=not self._early)
        m.submodules.rows = rows = Credits(ROWS_AHEAD)
        # The denominator unit accepts one query row per cycle, so the ends of two rows' sums keep this distance.
        distance = Signal(range(config.block))
        closing = adder.o.payload.adds & adder.o.payload.last
        free = ~closing | ((distance == 0) & room)
        m.d.comb += [
            closes.eq(valid & enable & step.adds & step.last),
            rows.take.eq(closes),
        ]
        m.d.sync += rows.give.eq(self.o_rows.valid & self.o_rows.ready)
        with m.If(closes):
            m.d.sync += distance.eq(config.block - 1)
        with m.Elif(enable & (distance != 0)):
            m.d.sync += distance.eq(distance - 1)
        m.d.comb += [
            step.eq(adder.o.payload),
            address.eq(adder.address),
            valid.eq(adder.o.valid & free),
            adder.o.ready.eq(enable & free),
        ]
        if not self._early:
            wiring.connect(m, complete, adder.i)
            m.d.comb += room.eq(rows.available)
            return step, valid, address

        m.submodules.reciprocals = reciprocals = Credits(ROWS_AHEAD)
        m.d.comb += [
            room.eq(rows.available & reciprocals.available),
            reciprocals.take.eq(closes),
            reciprocals.give.eq(self._denominator.o_reciprocals.valid & self._denominator.o_reciprocals.ready),
        ]
        emitter = self._emitter(m, complete, adder)
        # Sums have priority: a row's weights wait for its reciprocal, and weights of earlier rows fill the time.
        adds = adder.o.valid & free
        m.d.comb += emitter.o.ready.eq(enable & ~adds)
        with m.If(~adds):
            m.d.comb += [
                step.eq(emitter.o.payload),
                address.eq(emitter.address),
                valid.eq(emitter.o.valid),
            ]
        return step, valid, address

    def _emitter(self, m: Module, complete: stream.Interface, adder: RowWalker) -> RowWalker:
        """``early``: the walker of rows whose reciprocals are known. It follows the walker that forms the sums."""
        config = self._config
        m.submodules.emitter = emitter = RowWalker(config, entries=self.entries, adds=False, emits=True)
        m.submodules.waiting = waiting = StreamFIFO(row_context_layout(config), depth=ROWS_AHEAD)
        divisible = Signal(range(ROWS_AHEAD + 1))
        m.d.sync += divisible.eq(divisible + self._denominator.finished - (emitter.i.valid & emitter.i.ready))
        m.d.comb += [
            adder.i.payload.eq(complete.payload),
            adder.i.valid.eq(complete.valid & waiting.i.ready),
            waiting.i.payload.eq(complete.payload),
            waiting.i.valid.eq(complete.valid & adder.i.ready),
            complete.ready.eq(adder.i.ready & waiting.i.ready),
            emitter.i.payload.eq(waiting.o.payload),
            emitter.i.valid.eq(waiting.o.valid & (divisible != 0)),
            waiting.o.ready.eq(emitter.i.ready & (divisible != 0)),
        ]
        return emitter

    def _ring(self, m: Module, enable, step, valid, address):
        """Ring of scores and their keys. The last pass frees them. Data follow a step by one enabled cycle."""
        block = self._maximum.i.payload
        entry = data.StructLayout({name: shape for name, shape in block.shape().members.items() if name != "last"})
        ring = memory.Memory(shape=entry, depth=self.entries, init=[], attrs=NEVER_BOTH)
        m.submodules.ring = ring
        m.submodules.places = places = Credits(self.entries)
        write = ring.write_port()
        read = ring.read_port()
        m.d.comb += [
            self.available.eq(places.available),
            places.take.eq(self.reserve),
            places.give.eq(enable & valid & step.emits & step.last_pass),
            write.en.eq(self.i_scores.valid),
            read.en.eq(enable),
            read.addr.eq(address),
            *(write.data[name].eq(self.i_scores.payload[name]) for name in entry.members),
        ]
        with m.If(self.i_scores.valid):
            m.d.sync += write.addr.eq(write.addr + 1)
        return read.data

    def _exponentials(self, m: Module, enable, step, valid, block, out) -> Value:
        """From the ring to the weights and sums. Returns whether ``out`` has weights after this enabled cycle."""
        config, b = self._config, self._config.block
        steps = delay(m, step, STEP_TO_WEIGHT, enable=enable, name="step")
        valids = delay(m, valid, STEP_TO_WEIGHT, enable=enable, name="valid")
        keys = data.StructLayout({name: block.shape().members[name] for name in ("key_valid", "key_block")})
        key = Signal(keys)
        m.d.comb += [key[name].eq(block[name]) for name in keys.members]
        key = delay(m, key, STEP_TO_WEIGHT - 1, enable=enable, name="key")[-1]
        m.submodules.exponential = exponential = Exponential(config, b * b)
        m.d.comb += [
            exponential.enable.eq(enable),
            exponential.score_multiplier.eq(steps[3].row.score_multiplier),
            exponential.score_shift.eq(steps[3].row.score_shift),
        ]
        for i in range(b):
            for j in range(b):
                score = Signal(signed(config.score_bits), name=f"score_{i}_{j}")
                difference = Signal(config.score_bits, name=f"difference_{i}_{j}")
                with m.If(enable):
                    m.d.sync += [
                        score.eq(Mux(steps[1].background, steps[1].row.background, block.scores[i][j])),
                        difference.eq(steps[2].row.maximum[i] - score),
                    ]
                m.d.comb += exponential.difference[i * b + j].eq(difference)
        weight = [[exponential.weight[i * b + j] for j in range(b)] for i in range(b)]
        background = self._sums(m, enable, steps[-1], valids[-1], key.key_valid, weight)
        if self._early:
            return self._emit_probabilities(m, enable, steps[-1], valids[-1], key, exponential.weight, out)
        self._emit(m, enable, steps[-1], key, weight, background, out)
        return valids[-1] & steps[-1].emits

    def _sums(self, m: Module, enable, step, valid, key_valid, weight):
        """Sum a pass's weights per query row. Returns the background weights that belong to this step."""
        config = self._config
        held = Signal(data.ArrayLayout(unsigned(config.weight_bits), config.block))
        background = Signal.like(held)
        with m.If(enable & valid & step.background):
            m.d.sync += [value.eq(row[0]) for value, row in zip(held, weight, strict=True)]
        for i, (now, value) in enumerate(zip(background, held, strict=True)):
            m.d.comb += now.eq(Mux(step.row.filled[i % config.key_masks], value, 0))

        step_held = delay(m, step, 1, enable=enable, name="sum_step")[1]
        background_held = delay(m, background, 1, enable=enable, name="sum_background")[1]
        adds = delay(m, valid & step.adds, 1, enable=enable, name="adds")[1]
        sums = self._denominator.i.payload
        for i, row in enumerate(weight):
            total = Signal(config.denominator_bits, name=f"total_{i}")
            partial = Signal(config.weight_bits + index_bits(config.block), name=f"partial_{i}")
            m.d.comb += sums.sums[i].eq(Mux(step_held.first, 0, total) + partial)
            with m.If(enable):
                valid_keys = key_valid[i % config.key_masks]
                m.d.sync += partial.eq(sum(Mux(valid_keys[j], value, 0) for j, value in enumerate(row)))
                with m.If(adds):
                    m.d.sync += total.eq(sums.sums[i])
        m.d.comb += [
            sums.background.eq(background_held),
            sums.pruned_keys.eq(step_held.row.pruned_keys),
            sums.slot.eq(step_held.row.slot),
            self._denominator.i.valid.eq(enable & adds & step_held.last),
        ]
        return background

    def _emit(self, m: Module, enable, step, key, weight, background, out) -> None:
        """One stage: subtract the background and clear the weights of invalid keys."""
        with m.If(enable):
            m.d.sync += [out[name].eq(step[name]) for name in ("first", "last", "chunk")]
            m.d.sync += [out.slot.eq(step.row.slot), out.key_block.eq(key.key_block)]
            for i, row in enumerate(weight):
                valid_keys = key.key_valid[i % self._config.key_masks]
                for j, value in enumerate(row):
                    m.d.sync += out.weights[i][j].eq(Mux(valid_keys[j], value - background[i], 0))

    def _emit_probabilities(self, m: Module, enable, step, valid, key, weight, out) -> Value:
        """``early``: divide the weights by the row's denominator first."""
        config, b = self._config, self._config.block
        reciprocals = self._denominator.o_reciprocals
        emits = valid & step.emits
        m.d.comb += reciprocals.ready.eq(enable & emits & step.last & step.last_pass)
        stages = Probability.latency
        rows = []
        for i in range(b):
            m.submodules[f"probability_{i}"] = row = Probability(config, b)
            m.d.comb += [
                row.enable.eq(enable),
                row.mantissa.eq(reciprocals.payload.mantissa[i]),
                row.exponent.eq(reciprocals.payload.exponent[i]),
                *(row.weight[j].eq(weight[i * b + j]) for j in range(b)),
            ]
            rows.append([row.probability[j] for j in range(b)])
        self._emit(
            m,
            enable,
            delay(m, step, stages, enable=enable, name="probability_step")[-1],
            delay(m, key, stages, enable=enable, name="probability_key")[-1],
            rows,
            delay(m, reciprocals.payload.background, stages, enable=enable, name="probability_background")[-1],
            out,
        )
        return delay(m, emits, stages, enable=enable, name="probability_valid")[-1]
