"""What all front ends have in common."""

from amaranth import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.spmm_config import SpmmConfig, WeightFormat
from ..product_streams import word_layout
from ..steps import step_layout, tagged_word_layout

__all__ = ["FrontEnd", "when"]


class FrontEnd(wiring.Component):
    """Turns the words of one weight format into steps. A step is offered three cycles after its word is: a word's
    register is far away, so that first a weight and its index are taken from it, then the column is made of them, and
    then it leaves from a register of its own.

    Members
    -------
    i_words : In(stream(tagged_word_layout, always_ready))
        The word stands until its last step.
    o_steps : Out(stream(step_layout, always_ready))
        Registered; all zero without a step.
    """

    weight_format: WeightFormat

    def __init__(self, config: SpmmConfig, **members):
        self._config = config
        super().__init__(
            {
                "i_words": In(stream.Signature(tagged_word_layout(config), always_ready=True)),
                "o_steps": Out(stream.Signature(step_layout(config), always_ready=True)),
                **members,
            }
        )

    @property
    def _word(self) -> data.View:
        """The word, read as this format's."""
        layout = word_layout(self._config, self.weight_format)
        return data.View(layout, self.i_words.payload.word[: layout.size])

    def _hold(self, m: Module, *, valid=1, start=None) -> tuple[data.View, Signal, data.View]:
        """The tag of a step one cycle after its word, whether there is one, and the step before its registers, with all
        but ``column`` and ``value``. Without ``valid`` there is none. What comes as ``start`` one cycle after the step
        is added to its column."""
        held = Signal.like(self.i_words.payload.tag, name="held")
        held_valid, made_valid = Signal(), Signal()
        step, made = (Signal.like(self.o_steps.payload, name=name) for name in ("step", "made"))
        m.d.comb += [step[name].eq(held[name]) for name in ("first", "last", "slot")]
        m.d.sync += [
            held_valid.eq(self.i_words.valid & valid),
            held.eq(self.i_words.payload.tag),
            made_valid.eq(held_valid),
            made.eq(step),
            self.o_steps.valid.eq(made_valid),
        ]
        for name in self.o_steps.payload.shape().members:
            part = Value.cast(made[name])
            if name == "column" and start is not None:
                part = (part + start)[: len(part)]
            m.d.sync += self.o_steps.payload[name].eq(when(made_valid, part))
        return held, held_valid, step


def when(condition, value) -> Value:
    """A value, or 0. By logic: as a choice it would become the reset of registers, which is a way of its own."""
    bits = Value.cast(value).as_unsigned()
    return bits & condition.replicate(len(bits))
