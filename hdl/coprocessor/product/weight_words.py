"""Weight words of one row engine: from the memory to the engine's stream."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ....spec.formats import INT8_BITS, unsigned_bits
from ....spec.memory import filled_words, parts_of_word
from ....spec.program import WORD_BYTES
from ....spec.spmm_command import FORMAT_CODES
from ....spec.spmm_config import SpmmConfig
from ....spec.weight_words import WEIGHT_BITS, WordShape, engine_word_shape, stored_word_shape
from ...lib.packets import framed_layout
from ...lib.streams import StreamRegister
from ...spmm.product_streams import weights_layout
from ..memory_streams import ADDRESS_BITS, WORD_BITS, span_layout, word_layout
from .tensor_tiles import SIZE_BITS

__all__ = ["WeightWords", "words_job_layout"]

COUNT_BITS = 32
"""Of the two numbers before the weight words of an engine."""


def words_job_layout() -> data.StructLayout:
    """Weight words at an address, in a format, which the engine takes ``passes`` times.

    ``weight_bits`` is a code; see :data:`~thresher.spec.weight_words.WEIGHT_BITS`.
    """
    return data.StructLayout(
        {
            "address": ADDRESS_BITS,
            "format": unsigned_bits(len(FORMAT_CODES) - 1),
            "weight_bits": unsigned_bits(len(WEIGHT_BITS) - 1),
            "passes": SIZE_BITS,
        }
    )


class WeightWords(wiring.Component):
    """Reads the weight words of a product, once per pass, and divides words of the memory into weight words.

    Weights of 4 bits leave with 8 bits, so that the engine does not know their width.

    Parameters
    ----------
    config : SpmmConfig

    Members
    -------
    i_job : In(stream(words_job_layout))
        Accepted with its last weight word.
    o_spans : Out(stream(span_layout))
    i_words : In(stream(word_layout))
    o_weights : Out(stream(framed_layout(weights_layout)))
        A packet per job. It has a beat too many if the weight words do not fill as many words of the memory as the
        words themselves say.
    """

    def __init__(self, config: SpmmConfig):
        self._config = config
        super().__init__(
            {
                "i_job": In(stream.Signature(words_job_layout())),
                "o_spans": Out(stream.Signature(span_layout())),
                "i_words": In(stream.Signature(word_layout())),
                "o_weights": Out(stream.Signature(framed_layout(weights_layout(config)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job = self.i_job.payload
        count = Signal(COUNT_BITS)  # weight words of a pass
        filled = Signal(COUNT_BITS)  # words of the memory of a pass
        reading = Signal()  # the words of the passes
        left = Signal(COUNT_BITS)  # words of the memory that this pass has not taken
        some = Signal()  # left != 0
        misfit = Signal()
        taken = Signal()
        short = Signal()
        spans_left = Signal(SIZE_BITS)
        passes_left = Signal(SIZE_BITS)
        m.submodules.register = register = StreamRegister(self.o_weights.payload.shape())
        wiring.connect(m, register.o, wiring.flipped(self.o_weights))
        last_pass = passes_left == 1
        begin = Signal()
        pass_done = self._divide(
            m, register.i, count, begin, reading, some, taken, short, last_pass=last_pass, misfit=misfit
        )
        with m.If(taken):
            m.d.sync += [left.eq(left - 1), some.eq(left != 1)]
        with m.If(short):
            m.d.sync += misfit.eq(1)
        with m.If(self.o_spans.ready):
            m.d.sync += self.o_spans.valid.eq(0)
        header = Signal()
        dropping = Signal()
        with m.If(header | dropping):
            m.d.comb += self.i_words.ready.eq(1)
        with m.FSM(name="job"):
            with m.State("IDLE"), m.If(self.i_job.valid & ~self.o_spans.valid):
                m.d.sync += [
                    self.o_spans.valid.eq(1),
                    self.o_spans.payload.address.eq(job.address),
                    self.o_spans.payload.words.eq(1),
                    spans_left.eq(job.passes),
                    passes_left.eq(job.passes),
                ]
                m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += header.eq(1)
                m.d.sync += Cat(count, filled).eq(Value.cast(self.i_words.payload))
                with m.If(self.i_words.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(count == 0):
                    # A packet without words has one beat.
                    m.d.comb += [register.i.valid.eq(1), register.i.payload.last.eq(1)]
                    m.d.comb += self.i_job.ready.eq(register.i.ready)
                    with m.If(register.i.ready):
                        m.next = "IDLE"
                with m.Else():
                    m.d.comb += begin.eq(1)
                    m.d.sync += [reading.eq(1), left.eq(filled), some.eq(filled != 0), misfit.eq(0)]
                    m.next = "PASSES"
            with m.State("PASSES"):
                with m.If(~self.o_spans.valid & (spans_left != 0) & (filled != 0)):
                    m.d.sync += [
                        self.o_spans.valid.eq(1),
                        self.o_spans.payload.address.eq(job.address + WORD_BYTES),
                        self.o_spans.payload.words.eq(filled),
                        spans_left.eq(spans_left - 1),
                    ]
                with m.If(pass_done):
                    with m.If(some):
                        m.d.sync += [reading.eq(0), misfit.eq(1)]
                        m.next = "DROP"
                    with m.Else():
                        m.d.sync += [
                            passes_left.eq(passes_left - 1),
                            left.eq(Mux(taken, filled - 1, filled)),
                            some.eq(Mux(taken, filled != 1, filled != 0)),
                        ]
                        with m.If(last_pass):
                            m.d.sync += reading.eq(0)
                            m.next = "END"
                            with m.If(~misfit & ~short):
                                m.d.comb += self.i_job.ready.eq(1)
                                m.next = "IDLE"
            with m.State("DROP"):
                # Words of the memory that no weight word needs.
                m.d.comb += [dropping.eq(some), taken.eq(some & self.i_words.valid)]
                with m.If(~some):
                    m.d.sync += [passes_left.eq(passes_left - 1), left.eq(filled), some.eq(1), reading.eq(1)]
                    m.next = "PASSES"
                    with m.If(last_pass):
                        m.d.sync += reading.eq(0)
                        m.next = "END"
            with m.State("END"):
                # A beat too many tells the engine.
                m.d.comb += [register.i.valid.eq(1), register.i.payload.last.eq(1)]
                m.d.comb += self.i_job.ready.eq(register.i.ready)
                with m.If(register.i.ready):
                    m.next = "IDLE"
        return m

    def _divide(self, m: Module, out, count, begin, reading, some, taken, short, *, last_pass, misfit) -> Signal:
        """Divide words into weight words. Returns whether the last one of a pass leaves.

        ``some``: the pass has words of the memory to take. Asserts ``taken`` with each, and ``short`` while weight
        words are made up because there are none.
        """
        config, job = self._config, self.i_job.payload
        kinds = {
            (FORMAT_CODES[item], code): (stored_word_shape(config, item, bits), engine_word_shape(config, item))
            for item in config.formats
            for code, bits in enumerate(WEIGHT_BITS)
        }
        sizes = [stored.bits for stored, _ in kinds.values()]
        most = max(filled_words(bits, 1) for bits in sizes)
        # ``held`` has ``level`` words. It is full with one, or with all that a wide weight word takes.
        held = Signal(WORD_BITS * most)
        level = Signal(range(most + 1))
        needed = Signal.like(level)
        parts = Signal(range(max(1, *map(parts_of_word, sizes))))  # weight words that have left the word
        last_part = Signal()
        full = Signal()
        give = Signal()
        last = Signal()
        weights_left = Signal(COUNT_BITS)  # of the pass
        single = Signal()
        shift = Signal(WORD_BITS)
        weights = Value.cast(out.payload.data)
        m.d.comb += [needed.eq(1), last_part.eq(1), shift.eq(held), weights.eq(held)]
        with m.Switch(Cat(job.weight_bits, job.format)):
            for (weight_format, code), (stored, wanted) in kinds.items():
                with m.Case(weight_format << len(job.weight_bits) | code):
                    m.d.comb += needed.eq(filled_words(stored.bits, 1))
                    m.d.comb += weights[: wanted.bits].eq(_widened(held, stored, wanted))
                    if parts_of_word(stored.bits) > 1:
                        m.d.comb += last_part.eq(parts == parts_of_word(stored.bits) - 1)
                        m.d.comb += shift.eq(held[stored.bits : WORD_BITS])
        m.d.comb += [
            short.eq(reading & ~some & (level != needed)),
            full.eq((level == needed) | short),
            give.eq(full & reading & out.ready),
        ]
        with m.If(begin):
            m.d.sync += [weights_left.eq(count), last.eq(count == 1), single.eq(count == 1)]
        with m.If(reading):
            m.d.comb += [out.valid.eq(full), out.payload.last.eq(last & last_pass & ~(misfit | short | some))]
        empties = give & (last_part | last)
        fills = Signal()
        # With the last weight word of a pass, the next word is the first one of the next pass.
        next_pass = give & last & ~some & ~last_pass
        with m.If(reading):
            m.d.comb += self.i_words.ready.eq(Mux(some, ~full | (empties & ~last), next_pass))
        m.d.comb += fills.eq(reading & self.i_words.valid & self.i_words.ready)
        with m.If(fills):
            m.d.comb += taken.eq(1)
        with m.If(give):
            m.d.sync += [
                held[:WORD_BITS].eq(shift),
                parts.eq(Mux(empties, 0, parts + 1)),
                weights_left.eq(Mux(last, count, weights_left - 1)),
                last.eq(Mux(last, single, weights_left == 2)),
            ]
        m.d.sync += level.eq(Mux(empties, 0, level) + fills)
        for place in range(most):
            with m.If(fills & (Mux(empties, 0, level) == place)):
                m.d.sync += held[WORD_BITS * place : WORD_BITS * (place + 1)].eq(Value.cast(self.i_words.payload))
        return give & last


def _widened(held: Signal, stored: WordShape, wanted: WordShape) -> Value:
    """The lowest weight word, with values of 8 bits and the engine's indices."""
    split = stored.values * stored.value_bits
    values = held[:split]
    if stored.value_bits < INT8_BITS:
        sign = INT8_BITS - stored.value_bits
        numbers = [values.word_select(index, stored.value_bits) for index in range(stored.values)]
        values = Cat(Cat(number, number[-1].replicate(sign)) for number in numbers)
    indices = held[split : stored.bits]
    if stored.index_bits < wanted.index_bits:
        zeros = Const(0, wanted.index_bits - stored.index_bits)
        indices = Cat(Cat(indices.word_select(index, stored.index_bits), zeros) for index in range(stored.values))
    return Cat(values, indices)
