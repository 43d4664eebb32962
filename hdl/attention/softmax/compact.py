"""Compact softmax: block rows, one score per cycle."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig, Fill, Normalise
from ....spec.formats import RECIPROCAL_FRACTION
from ...lib.pipeline import delay, index_bits
from .compact_denominator import SerialDenominator, query_result_layout
from .compact_score_walk import ScoreWalk
from .compact_weight_store import WeightStore
from .exponential import Exponential
from .pipelined import Credits, weight_block_layout
from .probability import Probability
from .row_maximum import score_block_layout
from .row_walker import softmax_row_layout

__all__ = ["CompactSoftmax"]


class CompactSoftmax(wiring.Component):
    """Softmax unit of a compact attention core.

    Scores of a block row's kept blocks wait until the row is complete. Then the unit walks each query row twice, one
    score per cycle: once for the maximum, once for the weights and their sum. It stores the weights and sends them
    once per chunk of V's columns, while it converts the next row. With ``early``, a third walk computes the weights
    again and stores them as probabilities.

        i_scores ── score walk ── maximum, exponential ── weight store ── o_weights
                                                 └─ sum ── denominator ── o_rows

    Parameters
    ----------
    config : AttentionConfig

    Attributes
    ----------
    entries : int
        Capacity for scores and for weights, in blocks. It is at least four full block rows: one receives its scores,
        one waits, one is converted, and the array reads the weights of one.

    Members
    -------
    i_row : In(stream(softmax_row_layout))
        One per block row that keeps at least one key. It must be accepted before the row's last scores arrive.
    available : Out(1)
        Asserted while there is room for another block of scores; i.e. ``reserve`` may be asserted.
    reserve : In(1)
        Strobe: reserve room for one block of scores. Every block needs a reservation before it arrives.
    i_scores : In(stream(score_block_layout))
        Always ready.
    o_weights : Out(stream(weight_block_layout))
        Sent after all weights of the block row are known.
    o_rows : Out(stream(query_result_layout))
        One per query row. The receiver must not wait for weights of the same block row before it accepts one.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        self._early = config.normalise is Normalise.EARLY
        self.entries = 1 << index_bits(4 * config.blocks)
        super().__init__(
            {
                "i_row": In(stream.Signature(softmax_row_layout(config))),
                "available": Out(1),
                "reserve": In(1),
                "i_scores": In(stream.Signature(score_block_layout(config))),
                "o_weights": Out(stream.Signature(weight_block_layout(config))),
                "o_rows": Out(stream.Signature(query_result_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.walk = walk = ScoreWalk(config, entries=self.entries)
        m.submodules.store = store = WeightStore(config, entries=self.entries)
        m.submodules.places = places = Credits(self.entries)
        m.submodules.denominator = denominator = SerialDenominator(config)
        wiring.connect(m, wiring.flipped(self.i_row), walk.i_row)
        wiring.connect(m, wiring.flipped(self.i_scores), walk.i_scores)
        wiring.connect(m, store.o, wiring.flipped(self.o_weights))
        m.d.comb += [
            self.available.eq(places.available),
            places.take.eq(self.reserve),
            places.give.eq(store.freed),
            store.place.enable.eq(self.i_scores.valid),
            store.place.address.eq(walk.arrival),
            store.place.data.eq(self.i_scores.payload.key_block),
        ]
        self._collect(m, walk, store, denominator, *self._weigh(m, walk, denominator))
        return m

    def _weigh(self, m: Module, walk: ScoreWalk, denominator: SerialDenominator):
        """A weight or probability, whether it is valid, and whether the query sees its key."""
        config = self._config
        step = walk.step
        # The maximum is complete in time: its last score is compared before the first step of the next pass arrives.
        maximum = Signal(signed(config.score_bits), reset_less=True)
        with m.If(step.valid & ~step.weighs & step.inside & (step.first | (step.score > maximum))):
            m.d.sync += maximum.eq(step.score)
        difference = Signal(config.score_bits, reset_less=True)
        m.d.sync += difference.eq(maximum - step.score)
        m.submodules.exponential = exponential = Exponential(config, 1, compact=True)
        m.d.comb += [
            exponential.enable.eq(1),
            exponential.score_multiplier.eq(walk.row.score_multiplier),
            exponential.score_shift.eq(walk.row.score_shift),
            exponential.difference[0].eq(difference),
        ]
        latency = 1 + exponential.latency
        value = exponential.weight[0]
        if self._early:
            m.submodules.probability = probability = Probability(config, 1)
            m.d.comb += [
                probability.enable.eq(1),
                probability.weight[0].eq(value),
                probability.mantissa.eq(denominator.o.payload.mantissa),
                probability.exponent.eq(denominator.o.payload.exponent),
            ]
            latency += probability.latency
            held = delay(m, value, probability.latency, enable=1, name="held")[-1]
            value = Mux(denominator.o.valid, probability.probability[0], held)
        tag = Signal(2)
        m.d.comb += tag.eq(Cat(step.valid & step.weighs, step.inside))
        valid, inside = delay(m, tag, latency, enable=1, name="tag")[-1]
        return value, valid, inside

    def _collect(self, m: Module, walk, store, denominator, value, valid, inside) -> None:
        """Background, sum and stored weights of a pass, in the order of the steps."""
        config = self._config
        current = Signal.like(walk.current)
        busy = Signal()
        closing = Signal()
        expects_background = Signal()
        address = Signal.like(current.base)
        key = Signal(index_bits(config.block))
        background = Signal(config.weight_bits)
        total = Signal(config.denominator_bits)
        weight = Signal()
        last = Signal()
        m.d.comb += [
            weight.eq(valid & ~expects_background),
            last.eq(weight & (key == config.block - 1) & (address == current.end)),
        ]
        with m.If(walk.opens):
            m.d.sync += [
                current.eq(walk.current),
                expects_background.eq(walk.current.filled),
                address.eq(walk.current.base),
                background.eq(0),
                total.eq(0),
                busy.eq(1),
            ]
        with m.If(valid):
            m.d.sync += expects_background.eq(0)
            with m.If(expects_background):
                m.d.sync += background.eq(value)
        with m.If(weight):
            m.d.sync += key.eq(key + 1)
            with m.If(key == config.block - 1):
                m.d.sync += address.eq(address + 1)
            with m.If(inside):
                m.d.sync += total.eq(total + value)
        for i in range(config.block):
            for j in range(config.block):
                place = i * config.block + j
                here = (current.query == i) & (key == j)
                m.d.comb += [
                    store.write.enable[place].eq(weight & current.stores & here),
                    store.write.data[place].eq(Mux(inside, value - background, 0)),
                ]
        m.d.comb += store.write.address.eq(address)
        with m.If(last):
            m.d.sync += [closing.eq(current.sums), busy.eq(current.sums)]
        self._close(m, walk, store, denominator, busy, closing, background, total, current.query)
        if self._early:
            self._give_probabilities(m, denominator, background, last & ~current.sums)

    def _close(self, m: Module, walk, store, denominator, busy, closing, background, total, query) -> None:
        """Pass sums to the denominator, and complete block rows to the weight store."""
        config = self._config
        never = config.causal and config.fill is Fill.SKIP  # a query may see no kept key
        sums, result = denominator.i, denominator.o
        row = store.i.payload
        m.d.comb += [
            sums.valid.eq(closing),
            sums.payload.sum.eq(Mux(total == 0, config.weight_max, total) if never else total),
            sums.payload.background.eq(background),
            sums.payload.pruned_keys.eq(walk.row.pruned_keys[query if config.causal else 0]),
            sums.payload.slot.eq(walk.row.slot),
            walk.may_sum.eq(~busy & ~(result.valid & self._early)),
            walk.may_store.eq(~busy & result.valid),
            store.i.valid.eq(walk.finished & ~busy),
            row.base.eq(walk.current.base),
            row.end.eq(walk.current.end),
            row.last_chunk.eq(walk.row.last_chunk),
            row.slot.eq(walk.row.slot),
            walk.release.eq(store.i.valid & store.i.ready),
        ]
        with m.If(sums.valid & sums.ready):
            m.d.sync += [closing.eq(0), busy.eq(0)]
        if not self._early:
            wiring.connect(m, result, wiring.flipped(self.o_rows))

    def _give_probabilities(self, m: Module, denominator, background, stored) -> None:
        """``early``: hold the result until the row's weights are stored as probabilities."""
        result, out = denominator.o, self.o_rows
        with m.If(stored):
            m.d.sync += out.valid.eq(1)
        with m.Elif(out.ready):
            m.d.sync += out.valid.eq(0)
        m.d.comb += [
            result.ready.eq(out.valid & out.ready),
            out.payload.background.eq(background),
            out.payload.mantissa.eq(1 << RECIPROCAL_FRACTION),
            out.payload.exponent.eq(self._config.weight_bits),
            out.payload.slot.eq(result.payload.slot),
        ]
