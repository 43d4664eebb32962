"""Walks over the scores of each query row: for the maximum, then for the weights."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ....spec.attention_config import AttentionConfig, Fill, Normalise
from ...lib.pipeline import delay, index_bits
from ...lib.scratchpad import BLOCK_RAM
from .compact_row_queue import RowQueue, waiting_row_layout
from .row_maximum import score_block_layout
from .row_walker import softmax_row_layout

__all__ = ["ScoreWalk", "pass_layout", "score_step_layout"]


def score_step_layout(config: AttentionConfig) -> data.StructLayout:
    """One score of the current query row.

    ``weighs`` is set in a pass of weights and clear in the pass of the maximum. ``first`` marks the first step of a
    pass. ``inside`` is clear if the query does not see the key.
    """
    return data.StructLayout({"valid": 1, "weighs": 1, "first": 1, "inside": 1, "score": signed(config.score_bits)})


def pass_layout(config: AttentionConfig, entries: int) -> data.StructLayout:
    """A pass of weights over one query row.

    ``sums`` and ``stores`` tell whether its weights are summed and stored. ``filled`` tells whether the background
    comes first. ``base`` and ``end`` are the addresses of the block row's first and last block.
    """
    return data.StructLayout(
        {
            "query": index_bits(config.block),
            "sums": 1,
            "stores": 1,
            "filled": 1,
            "base": index_bits(entries),
            "end": index_bits(entries),
        }
    )


class ScoreWalk(wiring.Component):
    """Keeps scores until their block row is complete, then walks each query row twice, or three times with ``early``.

    A pass visits the background, if there is one, and then every key of the kept blocks, one step per cycle.

    Members
    -------
    i_row : In(stream(softmax_row_layout))
    i_scores : In(stream(score_block_layout))
        Always ready.
    arrival : Out
        Address of the next block of scores.
    row : Out(waiting_row_layout)
        The current block row, until ``release``.
    step : Out(score_step_layout)
        Cannot be stalled.
    current : Out(pass_layout)
        The current pass.
    opens : Out(1)
        Strobe: a pass of weights begins. Its first step is still in flight.
    may_sum : In(1)
        Asserted while a pass that sums may begin.
    may_store : In(1)
        Asserted while a pass that only stores may begin.
    finished : Out(1)
        Asserted after all passes over the block row; i.e. ``release`` may be asserted.
    release : In(1)
        Strobe: continue with the next block row. It is undefined to assert it while ``finished`` is low.
    """

    def __init__(self, config: AttentionConfig, *, entries: int):
        self._config = config
        self._early = config.normalise is Normalise.EARLY
        super().__init__(
            {
                "i_row": In(stream.Signature(softmax_row_layout(config))),
                "i_scores": In(stream.Signature(score_block_layout(config))),
                "arrival": Out(index_bits(entries)),
                "row": Out(waiting_row_layout(config)),
                "step": Out(score_step_layout(config)),
                "current": Out(pass_layout(config, entries)),
                "opens": Out(1),
                "may_sum": In(1),
                "may_store": In(1),
                "finished": Out(1),
                "release": In(1),
            }
        )
        self._entries = entries

    def elaborate(self, platform):
        m = Module()
        config = self._config
        b = config.block
        m.submodules.rows = rows = RowQueue(config)
        wiring.connect(m, wiring.flipped(self.i_row), rows.i)
        m.d.comb += [
            rows.arrived.eq(self.i_scores.valid & self.i_scores.payload.last),
            rows.release.eq(self.release),
            self.row.eq(rows.row),
        ]
        address, base, end = (Signal(index_bits(self._entries), name=name) for name in ("address", "base", "end"))
        key = Signal(index_bits(b))
        inner = Signal()  # beyond the first step of a pass
        block = self._ring(m, address)
        started = Signal()
        weighs = Signal()
        last = Signal()
        over = Signal()
        pruned_keys = rows.row.pruned_keys[self.current.query if config.causal else 0]
        filled = (pruned_keys != 0) if config.fill is not Fill.SKIP else 0
        background = Signal()
        m.d.comb += [
            background.eq(~inner & filled),
            # The address stays the same for all keys of a block, so the word is there at the block's last key.
            last.eq(~background & (key == b - 1)),
            over.eq(started & last & block.last),
            self.opens.eq(started & ~inner & weighs),
            self.current.filled.eq(filled),
            self.current.base.eq(base),
            self.current.end.eq(end),
        ]
        with m.If(started):
            m.d.sync += inner.eq(~over)
            with m.If(~background):
                m.d.sync += key.eq(key + 1)
            with m.If(last):
                m.d.sync += address.eq(Mux(block.last, base, address + 1))
        with m.If(over):
            m.d.sync += end.eq(address)
        with m.If(self.release):
            m.d.sync += [base.eq(end + 1), address.eq(end + 1)]
        self._passes(m, rows.valid, started, weighs, inner, over)
        self._choose(m, started, weighs, inner, background, key, block)
        return m

    def _ring(self, m: Module, address: Signal):
        """Ring of scores. Data follow the address by one cycle."""
        members = self.i_scores.payload.shape().members
        entry = data.StructLayout({name: members[name] for name in ("scores", "key_valid", "last")})
        ring = Memory(shape=entry, depth=self._entries, init=[], attrs=BLOCK_RAM)
        m.submodules.ring = ring
        write = ring.write_port()
        read = ring.read_port()
        m.d.comb += [
            self.i_scores.ready.eq(1),
            write.en.eq(self.i_scores.valid),
            write.addr.eq(self.arrival),
            read.addr.eq(address),
            *(write.data[name].eq(self.i_scores.payload[name]) for name in entry.members),
        ]
        with m.If(self.i_scores.valid):
            m.d.sync += self.arrival.eq(self.arrival + 1)
        return read.data

    def _passes(self, m: Module, known, started, weighs, inner, over) -> None:
        """For each query row: maximum, weights and, with ``early``, weights again."""
        query = self.current.query
        held = Signal.like(query)
        m.d.comb += query.eq(held)

        def next_query():
            m.d.sync += held.eq(held + 1)
            m.next = "MAXIMUM"
            with m.If(held == self._config.block - 1):
                m.next = "FINISHED"

        with m.FSM(name="passes"):
            with m.State("MAXIMUM"):
                m.d.comb += started.eq(known)
                with m.If(over):
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += [
                    weighs.eq(1),
                    self.current.sums.eq(1),
                    self.current.stores.eq(not self._early),
                    started.eq(inner | self.may_sum),
                ]
                with m.If(over):
                    if self._early:
                        m.next = "STORE"
                    else:
                        next_query()
            if self._early:
                with m.State("STORE"):
                    m.d.comb += [weighs.eq(1), self.current.stores.eq(1), started.eq(inner | self.may_store)]
                    with m.If(over):
                        next_query()
            with m.State("FINISHED"):
                m.d.comb += self.finished.eq(1)
                with m.If(self.release):
                    m.next = "MAXIMUM"

    def _choose(self, m: Module, started, weighs, inner, background, key, block) -> None:
        """Two stages: read the ring, choose one score of the block."""
        tag = Signal(
            data.StructLayout(
                {
                    "valid": 1,
                    "weighs": 1,
                    "first": 1,
                    "background": 1,
                    "query": len(self.current.query),
                    "key": len(key),
                }
            )
        )
        m.d.comb += [
            tag.valid.eq(started),
            tag.weighs.eq(weighs),
            tag.first.eq(~inner),
            tag.background.eq(background),
            tag.query.eq(self.current.query),
            tag.key.eq(key),
        ]
        fetched = delay(m, tag, 1, enable=1, name="fetched")[1]
        score = block.scores[fetched.query][fetched.key]
        key_valid = block.key_valid[fetched.query if self._config.causal else 0]
        m.d.sync += [
            self.step.score.eq(Mux(fetched.background, self.row.background, score)),
            self.step.inside.eq(fetched.background | key_valid.bit_select(fetched.key, 1)),
            *(self.step[name].eq(fetched[name]) for name in ("valid", "weighs", "first")),
        ]
