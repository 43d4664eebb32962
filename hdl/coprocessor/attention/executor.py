"""Executes the instruction ATTENTION."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ....spec.coprocessor_config import CoprocessorConfig
from ....spec.formats import unsigned_bits
from ....spec.program import ATTENTION_FIELDS, WORD_BYTES, AttentionError, Opcode
from ...lib.pipeline import index_bits
from ...lib.streams import HalfBuffer, StreamFIFO
from ..memory_streams import span_layout, word_layout
from ..program_streams import completion_layout, instruction_layout, rejection_code
from .head_runner import HEADS_AHEAD, HeadRunner, head_job_layout

__all__ = ["AttentionExecutor"]

ERROR_BITS = unsigned_bits(max(AttentionError))


def dealt_layout(cores: int) -> data.StructLayout:
    """A head that was dealt: its core, and whether it is the last one of its instruction. With an error, there is no
    head."""
    return data.StructLayout({"core": index_bits(cores), "last": 1, "error": ERROR_BITS})


class AttentionExecutor(wiring.Component):
    """Deals each head to the first core that is free.

    Results go to the place of their head, so they do not depend on the number of cores.

    Parameters
    ----------
    config : CoprocessorConfig

    Members
    -------
    i_instruction : In(stream(instruction_layout))
    o_spans : Out(stream(span_layout)) × cores
    i_words : In(stream(word_layout)) × cores
    o_result_spans : Out(stream(span_layout)) × cores
    o_results : Out(stream(word_layout)) × cores
    i_written : In(stream(1)) × cores
    o_completed : Out(stream(completion_layout))
        One per instruction, when the memory holds the results of all heads, or the instruction is rejected with an
        :class:`~thresher.spec.program.AttentionError`. A rejected instruction reads and writes nothing.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        cores = config.cores
        super().__init__(
            {
                "i_instruction": In(stream.Signature(instruction_layout(Opcode.ATTENTION))),
                "o_spans": Out(stream.Signature(span_layout())).array(cores),
                "i_words": In(stream.Signature(word_layout())).array(cores),
                "o_result_spans": Out(stream.Signature(span_layout())).array(cores),
                "o_results": Out(stream.Signature(word_layout())).array(cores),
                "i_written": In(stream.Signature(1)).array(cores),
                "o_completed": Out(stream.Signature(completion_layout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cores = self._config.cores
        m.submodules.dealt = dealt = StreamFIFO(dealt_layout(cores), depth=HEADS_AHEAD * cores)
        entrances, done = [], []
        for index in range(cores):
            m.submodules[f"runner_{index}"] = runner = HeadRunner(self._config.attention)
            m.submodules[f"head_{index}"] = head = HalfBuffer(head_job_layout(self._config.attention))
            connect(m, head.o, runner.i_head)
            connect(m, runner.o_spans, flipped(self.o_spans[index]))
            connect(m, flipped(self.i_words[index]), runner.i_words)
            connect(m, runner.o_result_spans, flipped(self.o_result_spans[index]))
            connect(m, runner.o_results, flipped(self.o_results[index]))
            connect(m, flipped(self.i_written[index]), runner.i_written)
            entrances.append(head.i)
            done.append(runner.o_done)
        self._deal(m, entrances, dealt.i)
        self._complete(m, dealt.o, done)
        return m

    def _check(self, m: Module, instruction, command) -> Signal:
        """Take the fields of a command. Returns why it is rejected, the first reason that applies."""
        config = self._config.attention
        fits = Signal()
        exact = []
        for name in command.shape().members:
            m.d.comb += command[name].eq(instruction[name])
            exact.append(command[name] == instruction[name])
        m.d.comb += fits.eq(Cat(exact).all())
        reasons = {
            AttentionError.HEADS: instruction.heads == 0,
            AttentionError.QUERY_LENGTH: (instruction.query_length == 0)
            | (instruction.query_length > config.max_length),
            AttentionError.KEY_LENGTH: (instruction.key_length == 0) | (instruction.key_length > config.max_length),
            AttentionError.HEAD_DIM: (instruction.head_dim == 0) | (instruction.head_dim > config.max_head_dim),
        }
        if config.causal:
            more_queries = instruction.query_length > instruction.key_length
            reasons[AttentionError.CAUSAL] = (instruction.causal != 0) & more_queries
        reasons[AttentionError.FIELD] = ~fits
        error = Signal(ERROR_BITS)
        reason = AttentionError.NONE
        for value, applies in reversed(reasons.items()):
            reason = Mux(applies, value, reason)
        m.d.sync += error.eq(reason)
        return error

    def _deal(self, m: Module, entrances, dealt) -> None:
        """Accept an instruction, check it, and give a head to a free core in each step."""
        instruction = Signal(instruction_layout(Opcode.ATTENTION))
        job = Signal(head_job_layout(self._config.attention))
        heads = Signal(ATTENTION_FIELDS["heads"][0])
        words = Signal(unsigned_bits(self._config.attention.max_head_dim // WORD_BYTES + 1))
        error = self._check(m, instruction, job.command)
        free = Signal(len(entrances))
        core = Signal(index_bits(len(entrances)))
        dealing = Signal()
        m.d.comb += [free.eq(Cat(entrance.ready for entrance in entrances)), dealt.payload.core.eq(core)]
        for index in reversed(range(len(entrances))):
            with m.If(free[index]):
                m.d.comb += core.eq(index)
        m.d.comb += [
            words.eq((instruction.head_dim[: len(words) + 3] + (WORD_BYTES - 1)) >> 3),
            dealt.payload.last.eq(heads == 1),
            dealt.payload.error.eq(error),
        ]
        for index, entrance in enumerate(entrances):
            m.d.comb += [entrance.payload.eq(job), entrance.valid.eq(dealing & (core == index) & free[index])]
        with m.FSM(name="deal"):
            with m.State("IDLE"):
                m.d.comb += self.i_instruction.ready.eq(1)
                m.d.sync += [
                    instruction.eq(self.i_instruction.payload),
                    heads.eq(self.i_instruction.payload.heads),
                    *(job[name].eq(self.i_instruction.payload[name]) for name in "qkvo"),
                ]
                with m.If(self.i_instruction.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [
                    job.query_words.eq(job.command.query_length * words),
                    job.key_words.eq(job.command.key_length * words),
                ]
                m.next = "DEAL"
            with m.State("DEAL"):
                with m.If(error != AttentionError.NONE):
                    m.d.comb += dealt.valid.eq(1)
                    with m.If(dealt.ready):
                        m.next = "IDLE"
                with m.Elif(free.any() & dealt.ready):
                    m.d.comb += [dealing.eq(1), dealt.valid.eq(1)]
                    m.d.sync += [
                        *(job[name].eq(job[name] + instruction.operand_stride) for name in "qkv"),
                        job.o.eq(job.o + instruction.output_stride),
                        heads.eq(heads - 1),
                    ]
                    with m.If(heads == 1):
                        m.next = "IDLE"

    def _complete(self, m: Module, dealt, done) -> None:
        """Wait for the heads in the order in which they were dealt."""
        head = dealt.payload
        ended = Signal()
        with m.Switch(head.core):
            for index, each in enumerate(done):
                with m.Case(index):
                    m.d.comb += ended.eq(each.valid)
        rejected = head.error != AttentionError.NONE
        told = Signal()  # the completion of this head is offered or not needed
        m.submodules.completed = completed = HalfBuffer(completion_layout())
        connect(m, completed.o, flipped(self.o_completed))
        m.d.comb += [
            completed.i.payload.error.eq(rejection_code(head.error)),
            completed.i.payload.detail.eq(head.error),
            completed.i.valid.eq(dealt.valid & (rejected | (ended & head.last))),
            told.eq(Mux(rejected | head.last, completed.i.ready, 1)),
            dealt.ready.eq((rejected | ended) & told),
        ]
        for index, each in enumerate(done):
            m.d.comb += each.ready.eq(dealt.valid & ~rejected & (head.core == index) & told)
