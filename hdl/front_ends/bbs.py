"""Bank-balanced: a word has a weight of every bank."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ...spec.formats import unsigned_bits
from ...spec.spmm_config import SpmmConfig, WeightFormat
from ..sparse.steps import spread_step_layout
from .front_end import FrontEnd

__all__ = ["Bbs"]


class Bbs(FrontEnd):
    """Without ``spread``, ``banks`` steps per word on ``o_steps``; with it, one on ``o_spread_steps``, in the cycle of
    its word.

    Members
    -------
    spread : In(1)
    bank_columns : In
        Columns of a bank.
    o_spread_steps : Out(stream(spread_step_layout, always_ready))
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
        config = self._config
        word, tag = self._word, self.i_words.payload.tag
        spread_step = self.o_spread_steps.payload
        bank = Signal(range(config.banks))
        last_bank = Signal()  # known before the words' register asks for it
        start = Signal(config.column_bits)  # of the bank
        step = self._tag_step(m, first=bank == 0, last=self.spread | last_bank, valid=~self.spread, base=start)
        m.d.comb += [
            self.o_spread_steps.valid.eq(self.i_words.valid & self.spread),
            step.column.eq(word.indices[bank]),
            step.value.eq(self._weight(word.values[bank])),
            spread_step.first.eq(tag.first),
            spread_step.last.eq(tag.last),
            spread_step.slot.eq(tag.slot),
        ]
        for i in range(config.banks):
            m.d.comb += [
                spread_step.columns[i].eq(word.indices[i]),
                spread_step.values[i].eq(Mux(tag.empty, 0, word.values[i])),
            ]
        with m.If(self.i_words.valid):
            m.d.sync += [
                bank.eq(bank + 1),
                last_bank.eq(bank == config.banks - 2),
                start.eq(start + self.bank_columns),
            ]
            with m.If(self.i_words.ready):
                m.d.sync += [bank.eq(0), last_bank.eq(0), start.eq(0)]
        return m
