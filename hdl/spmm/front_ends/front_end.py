"""Base class of the front ends."""

from amaranth import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.spmm_config import SpmmConfig, WeightFormat
from ..product_streams import word_layout
from ..steps import step_layout, tagged_word_layout

__all__ = ["FrontEnd", "when"]


class FrontEnd(wiring.Component):
    """Turns the words of one weight format into steps. A step follows its word by three cycles.

    The word's register is far away, so each cycle does little: the first takes a weight and its index, the second
    computes the column, the third registers the step.

    Members
    -------
    i_words : In(stream(tagged_word_layout, always_ready))
        The word does not change until its last step.
    o_steps : Out(stream(step_layout, always_ready))
        From registers; all zero while not valid.
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
        """The word, in the layout of this format."""
        layout = word_layout(self._config, self.weight_format)
        return data.View(layout, self.i_words.payload.word[: layout.size])

    def _hold(self, m: Module, *, valid=1, start=None) -> tuple[data.View, Signal, data.View]:
        """Registers that all front ends share.

        Returns a tag one cycle after its word, whether it is valid, and the step of that cycle. The caller must drive
        the step's ``column`` and ``value``. Words count only while ``valid`` is high. ``start``, one cycle later than
        the step, is added to its column. The column of a step without a weight becomes 0: it may be beyond X, or of a
        word that is not there.
        """
        held = Signal.like(self.i_words.payload.tag, name="held")
        held_valid = Signal()
        made_valid = Signal()
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
            part, counts = Value.cast(made[name]), made_valid
            if name == "column":
                counts = made_valid & made.value.any()
                if start is not None:
                    part = (part + start)[: len(part)]
            m.d.sync += self.o_steps.payload[name].eq(when(counts, part))
        return held, held_valid, step


def when(condition, value) -> Value:
    """``value``, or 0 if ``condition`` is low, by AND gates. A Mux would become a synchronous reset of registers, which
    needs routing of its own."""
    bits = Value.cast(value).as_unsigned()
    return bits & condition.replicate(len(bits))
