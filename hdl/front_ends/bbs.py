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
    """Without ``spread``, ``banks`` steps per word on ``o_steps``; with it, one on ``o_spread_steps``.

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
        step, spread_step = self.o_steps.payload, self.o_spread_steps.payload
        bank = Signal(range(config.banks))
        start = Signal(config.column_bits)  # of the bank
        last = self.spread | (bank == config.banks - 1)
        self._tag_step(m, first=bank == 0, last=last)
        m.d.comb += [
            self.o_steps.valid.eq(self.i_words.valid & ~self.spread),
            self.o_spread_steps.valid.eq(self.i_words.valid & self.spread),
            step.column.eq(start + word.indices[bank]),
            step.value.eq(Mux(tag.empty, 0, word.values[bank])),
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
            m.d.sync += [bank.eq(bank + 1), start.eq(start + self.bank_columns)]
            with m.If(self.i_words.ready):
                m.d.sync += [bank.eq(0), start.eq(0)]
        return m
