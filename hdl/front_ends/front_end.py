"""What all front ends have in common."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.spmm_config import SpmmConfig, WeightFormat
from ..sparse.interface import word_layout
from ..sparse.steps import step_layout, tagged_word_layout

__all__ = ["FrontEnd"]


class FrontEnd(wiring.Component):
    """Turns the words of one weight format into steps. A step is offered one cycle after its word is.

    Members
    -------
    i_words : In(stream(tagged_word_layout))
        Taken with its last step.
    o_steps : Out(stream(step_layout, always_ready))
        Registered.
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

    def _tag_step(self, m: Module, *, first=1, last=1) -> data.View:
        """The step before its register, with all but ``column`` and ``value``. Of the several steps of a word, the one
        for which ``first`` (``last``) is high is the row's first (last)."""
        tag = self.i_words.payload.tag
        step = Signal.like(self.o_steps.payload, name="step")
        m.d.comb += [
            self.i_words.ready.eq(last | tag.empty),
            step.first.eq(tag.first & (first | tag.empty)),
            step.last.eq(tag.last & (last | tag.empty)),
            step.slot.eq(tag.slot),
        ]
        m.d.sync += [self.o_steps.valid.eq(self.i_words.valid), self.o_steps.payload.eq(step)]
        return step
