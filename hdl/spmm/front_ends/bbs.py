"""Front end of bank-balanced weights: a word has one weight of every bank."""

from amaranth import Array, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ....spec.formats import unsigned_bits
from ....spec.spmm_config import SpmmConfig, WeightFormat
from ...lib.pipeline import index_bits
from ..steps import spread_step_layout
from .front_end import FrontEnd, when

__all__ = ["Bbs"]


class Bbs(FrontEnd):
    """Without ``spread``, makes ``banks`` steps per word on ``o_steps``. With ``spread``, makes one step per word on
    ``o_spread_steps``, one cycle after the word.

    Members
    -------
    spread : In(1)
    bank_columns : In
        Columns of a bank.
    o_spread_steps : Out(stream(spread_step_layout, always_ready))
        All zero while not valid.
    """

    weight_format = WeightFormat.BBS

    def __init__(self, config: SpmmConfig):
        super().__init__(
            config,
            spread=In(1),
            bank_columns=In(unsigned_bits(config.max_bank_columns)),
            o_spread_steps=Out(stream.Signature(spread_step_layout(config), always_ready=True)),
        )

    def elaborate(self, platform):
        m = Module()
        tag = self.i_words.payload.tag
        start = Signal(self._config.column_bits)  # of the bank
        start_made = Signal(self._config.column_bits)
        held, _, step = self._hold(m, valid=~self.spread, start=start_made)
        with m.If(self.i_words.valid):
            m.d.sync += start.eq(Mux(tag.opens, 0, start + self.bank_columns))
        m.d.sync += start_made.eq(start)
        index, value = self._choose(m, tag.place[: index_bits(self._config.banks)])
        m.d.comb += [step.column.eq(index), step.value.eq(when(~held.empty, value))]
        self._spread(m)
        return m

    def _choose(self, m: Module, bank) -> tuple[Value, Value]:
        """Index and value of a bank. The first cycle selects within groups of banks, the second selects a group."""
        low = len(bank) // 2
        high = Signal(len(bank) - low, name="held_bank")
        m.d.sync += high.eq(bank[low:])
        found = []
        for name in ("indices", "values"):
            fields = [Value.cast(self._word[name][i]) for i in range(self._config.banks)]
            few = [Signal(len(fields[0]), name=f"{name}_{i}") for i in range(len(fields) >> low)]
            for i, chosen in enumerate(few):
                m.d.sync += chosen.eq(Array(fields[i << low : (i + 1) << low])[bank[:low]] if low else fields[i])
            found.append(Array(few)[high])
        return found[0], found[1]

    def _spread(self, m: Module) -> None:
        """Make a step of all banks, one cycle after the word; all zero without one."""
        word, tag = self._word, self.i_words.payload.tag
        held = Signal.like(self.o_spread_steps.payload, name="held_spread", reset_less=True)
        valid = Signal()
        weighs = Signal()
        step = self.o_spread_steps.payload
        m.d.sync += [
            valid.eq(self.i_words.valid & self.spread),
            weighs.eq(self.i_words.valid & self.spread & ~tag.empty),
            held.first.eq(tag.first),
            held.last.eq(tag.last),
            held.slot.eq(tag.slot),
        ]
        m.d.comb += [
            self.o_spread_steps.valid.eq(valid),
            *(step[name].eq(held[name] & valid) for name in ("first", "last", "slot")),
        ]
        for i in range(self._config.banks):
            m.d.sync += [held.columns[i].eq(word.indices[i]), held.values[i].eq(word.values[i])]
            m.d.comb += [
                step.columns[i].eq(when(weighs, held.columns[i])),
                step.values[i].eq(when(weighs, held.values[i])),
            ]
