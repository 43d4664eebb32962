"""What all front ends have in common."""

from amaranth import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import INT8_BITS
from ...spec.spmm_config import SpmmConfig, WeightFormat
from ..sparse.interface import word_layout
from ..sparse.steps import step_layout, tagged_word_layout

__all__ = ["FrontEnd"]


class FrontEnd(wiring.Component):
    """Turns the words of one weight format into steps. A step is offered two cycles after its word is.

    Members
    -------
    i_words : In(stream(tagged_word_layout))
        Taken with its last step.
    o_steps : Out(stream(step_layout, always_ready))
        Registered; all zero without a step, so that those of several front ends need no choice.
    """

    weight_format: WeightFormat

    def __init__(self, config: SpmmConfig, **members):
        self._config = config
        super().__init__(
            {
                "i_words": In(stream.Signature(tagged_word_layout(config))),
                "o_steps": Out(stream.Signature(step_layout(config), always_ready=True)),
                **members,
            }
        )

    @property
    def _word(self) -> data.View:
        """The word, read as this format's."""
        layout = word_layout(self._config, self.weight_format)
        return data.View(layout, self.i_words.payload.word[: layout.size])

    def _weight(self, value) -> Value:
        """A weight of the word; 0 of an empty row's. By logic: as a choice it would become the reset of a register,
        which is further away than a table's input."""
        return value.as_unsigned() & ~self.i_words.payload.tag.empty.replicate(INT8_BITS)

    def _tag_step(self, m: Module, *, first=1, last=1, valid=1, base: Value | int = 0) -> data.View:
        """The step before its registers, with all but ``column`` and ``value``. Of the several steps of a word, the one
        for which ``first`` (``last``) is high is the row's first (last). Without ``valid`` there is none; ``base`` is
        added to its column between the registers."""
        tag = self.i_words.payload.tag
        step = Signal.like(self.o_steps.payload, name="step")
        held, held_base, offered = Signal.like(step, name="held"), Signal(self._config.column_bits), Signal()
        m.d.comb += [
            self.i_words.ready.eq(last | tag.empty),
            step.first.eq(tag.first & (first | tag.empty)),
            step.last.eq(tag.last & (last | tag.empty)),
            step.slot.eq(tag.slot),
        ]
        m.d.sync += [
            offered.eq(self.i_words.valid & valid),
            held.eq(step),
            held_base.eq(base),
            self.o_steps.valid.eq(offered),
        ]
        # Zeros by reset, which nothing else asks for.
        payload = Signal.like(step, name="payload", reset_less=True)
        m.d.comb += self.o_steps.payload.eq(payload)
        m.d.sync += payload.eq(0)
        with m.If(offered):
            m.d.sync += [payload.eq(held), payload.column.eq(held.column + held_base)]
        return step
