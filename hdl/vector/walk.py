"""Walk over the groups of tokens of a command: two passes each, and the roots between them."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...spec.formats import unsigned_bits
from ...spec.vector_config import VectorConfig
from ..lib.streams import nonzero

__all__ = ["Walk"]


class Walk(wiring.Component):
    """Decides when a beat of operands may be taken, and which one it is.

    The first pass of the first group follows the parameters as they arrive.

    Parameters
    ----------
    config : VectorConfig
    results_ahead : int
        Results that may be in flight or waiting at the output.

    Members
    -------
    begin : In(1)
        Asserted for one cycle, to begin a command. The walk must be idle.
    channels, tokens : In
        Of the command, at least 1. Stable until the last result has left.
    stored : In(1)
        Asserted when the parameters of another channel are stored; they may be read from the next cycle on.
    taken : In(1)
        Asserted when a beat is taken; only together with ``go``.
    roots_done : In(1)
        Asserted when the roots of a group are complete.
    left : In(1)
        Asserted when a result leaves.
    go : Out(1)
        A beat may be taken. This does not depend on ``taken``.
    channel, second, last, final : Out
        Of the beat: its channel, whether it belongs to a second pass, whether it is the last of its pass, and whether
        it is the last of the command.
    clear : Out(1)
        Asserted between the beats of two groups.
    present : Out(lanes)
        Bit i is asserted if lane i has a token in this group. It changes just before the second pass.
    """

    def __init__(self, config: VectorConfig, *, results_ahead: int):
        self._config = config
        self._results_ahead = results_ahead
        super().__init__(
            {
                "begin": In(1),
                "channels": In(unsigned_bits(config.max_channels)),
                "tokens": In(unsigned_bits(config.max_tokens)),
                "stored": In(1),
                "taken": In(1),
                "roots_done": In(1),
                "left": In(1),
                "go": Out(1),
                "channel": Out(config.channel_bits),
                "second": Out(1),
                "last": Out(1),
                "final": Out(1),
                "clear": Out(1),
                "present": Out(config.lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, ahead = self._config, self._results_ahead
        tokens_left = Signal.like(self.tokens)
        channels_left = Signal.like(self.channels)
        passing = Signal()
        loading = Signal()  # the parameters of this pass may still be missing
        last_group = Signal()
        restart = Signal()
        loaded = nonzero(m, init=0, limit=config.max_channels, up=self.stored, down=self.taken & loading, name="loaded")
        room = nonzero(m, init=ahead, limit=ahead, up=self.left, down=self.taken & self.second, name="room")
        pass_ends = Signal()
        m.d.comb += [
            self.go.eq(passing & Mux(self.second, room, loaded | ~loading)),
            self.final.eq(self.last & self.second & last_group),
            pass_ends.eq(self.taken & self.last),
        ]
        m.d.sync += last_group.eq(tokens_left <= config.lanes)
        with m.If(self.taken):
            m.d.sync += [
                self.channel.eq(self.channel + 1),
                channels_left.eq(channels_left - 1),
                self.last.eq(channels_left == 2),
            ]
        with m.If(pass_ends):
            m.d.sync += passing.eq(0)
        with m.If(restart):
            m.d.sync += [
                self.channel.eq(0),
                channels_left.eq(self.channels),
                self.last.eq(self.channels == 1),
                passing.eq(1),
            ]
        with m.FSM(name="walk"):
            with m.State("IDLE"), m.If(self.begin):
                m.d.sync += [tokens_left.eq(self.tokens), loading.eq(1)]
                m.next = "GROUP"
            with m.State("GROUP"):
                m.d.comb += [self.clear.eq(1), restart.eq(1)]
                m.d.sync += self.second.eq(0)
                m.next = "FIRST"
            with m.State("FIRST"), m.If(pass_ends):
                m.next = "ROOTS"
            with m.State("ROOTS"):
                m.d.sync += loading.eq(0)
                with m.If(self.roots_done):
                    m.d.comb += restart.eq(1)
                    m.d.sync += [self.second.eq(1), self.present.eq(Cat(tokens_left > i for i in range(config.lanes)))]
                    m.next = "SECOND"
            with m.State("SECOND"), m.If(pass_ends):
                m.d.sync += tokens_left.eq(tokens_left - config.lanes)
                with m.If(last_group):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "GROUP"
        return m
