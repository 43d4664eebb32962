"""One attention core, its operands and its results."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ....spec.attention_config import AttentionConfig
from ....spec.formats import ceil_div, unsigned_bits
from ....spec.program import WORD_BYTES
from ...attention.core import AttentionCore
from ...attention.head_streams import command_layout
from ...lib.streams import HalfBuffer, StreamFIFO, nonzero
from ..memory_streams import ADDRESS_BITS, join, join_packets, span_layout, word_layout

__all__ = ["HeadRunner", "head_job_layout"]

HEADS_AHEAD = 4
"""Heads that a core may have begun and not ended: two that compute, one that loads, one that leaves."""


def head_job_layout(config: AttentionConfig) -> data.StructLayout:
    """A head: its command, the addresses of its operands and results, and the words of Q (and O) and of K (and V)."""
    words = span_layout().members["words"]
    return data.StructLayout(
        {
            "command": command_layout(config),
            "q": ADDRESS_BITS,
            "k": ADDRESS_BITS,
            "v": ADDRESS_BITS,
            "o": ADDRESS_BITS,
            "query_words": words,
            "key_words": words,
        }
    )


class HeadRunner(wiring.Component):
    """Runs heads one after another. The operands of the next one load while the core computes.

    Parameters
    ----------
    config : AttentionConfig
        It has 8 lanes, so that a beat is a word of the memory.

    Members
    -------
    i_head : In(stream(head_job_layout))
        A head that the core accepts.
    o_spans : Out(stream(span_layout))
        Q, K and V of each head.
    i_words : In(stream(word_layout))
    o_result_spans : Out(stream(span_layout))
        O of each head.
    o_results : Out(stream(word_layout))
    i_written : In(stream(1))
        One per head, when the memory holds its results.
    o_done : Out(stream(1))
        One per head, when it has ended.
    """

    def __init__(self, config: AttentionConfig):
        self._config = config
        super().__init__(
            {
                "i_head": In(stream.Signature(head_job_layout(config))),
                "o_spans": Out(stream.Signature(span_layout())),
                "i_words": In(stream.Signature(word_layout())),
                "o_result_spans": Out(stream.Signature(span_layout())),
                "o_results": Out(stream.Signature(word_layout())),
                "i_written": In(stream.Signature(1)),
                "o_done": Out(stream.Signature(1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = AttentionCore(self._config)
        lengths = self._send(m, core)
        join(m, core.o_data, flipped(self.o_results))
        m.submodules.spans = spans = HalfBuffer(span_layout())
        m.submodules.result_spans = results = HalfBuffer(span_layout())
        connect(m, spans.o, flipped(self.o_spans))
        connect(m, results.o, flipped(self.o_result_spans))
        head = self.i_head.payload
        m.d.comb += [
            core.i_command.payload.eq(head.command),
            results.i.payload.address.eq(head.o),
            results.i.payload.words.eq(head.query_words),
        ]
        with m.FSM(name="head"):
            with m.State("COMMAND"):
                m.d.comb += core.i_command.valid.eq(self.i_head.valid)
                with m.If(core.i_command.valid & core.i_command.ready):
                    m.d.comb += lengths.valid.eq(1)
                    m.next = "Q"
            for state, operand, words, following in (
                ("Q", head.q, head.query_words, "K"),
                ("K", head.k, head.key_words, "V"),
                ("V", head.v, head.key_words, "O"),
            ):
                with m.State(state):
                    m.d.comb += [
                        spans.i.valid.eq(1),
                        spans.i.payload.address.eq(operand),
                        spans.i.payload.words.eq(words),
                    ]
                    with m.If(spans.i.ready):
                        m.next = following
            with m.State("O"):
                m.d.comb += [results.i.valid.eq(1), self.i_head.ready.eq(results.i.ready)]
                with m.If(results.i.ready):
                    m.next = "COMMAND"
        self._end(m, core)
        return m

    def _send(self, m: Module, core: AttentionCore):
        """Send the words of each head as a packet. Returns the stream of their lengths; it comes before the spans."""
        config, head = self._config, self.i_head.payload
        words = unsigned_bits(3 * config.max_length * ceil_div(config.max_head_dim, WORD_BYTES))
        m.submodules.lengths = lengths = StreamFIFO(words, depth=HEADS_AHEAD)
        sent = Signal(words)
        ends = Signal()
        moves = core.i_data.valid & core.i_data.ready
        m.d.comb += [
            lengths.i.payload.eq(head.query_words + (head.key_words << 1)),
            ends.eq(sent + 1 == lengths.o.payload),
            lengths.o.ready.eq(moves & ends),
        ]
        with m.If(moves):
            m.d.sync += sent.eq(Mux(ends, 0, sent + 1))
        join_packets(m, flipped(self.i_words), core.i_data, ends)
        return lengths.i

    def _end(self, m: Module, core: AttentionCore) -> None:
        """A head has ended when its statistics have left and its results are written."""
        ended = Signal()
        m.d.comb += [
            core.o_statistics.ready.eq(1),
            self.i_written.ready.eq(1),
            ended.eq(self.o_done.valid & self.o_done.ready),
        ]
        counts = [
            nonzero(m, init=0, limit=HEADS_AHEAD, up=arrives, down=ended, name=name)
            for name, arrives in (("computed", core.o_statistics.valid), ("written", self.i_written.valid))
        ]
        m.d.comb += self.o_done.valid.eq(Value.cast(counts[0]) & counts[1])
