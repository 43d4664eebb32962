"""Queues whose room and contents are known from registers, so that those who fill and empty them may be far away."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamRegister", "nonzero"]


def nonzero(m: Module, *, init: int, limit: int, up, down, name: str) -> Signal:
    """Whether a count is above zero, from a register.

    Parameters
    ----------
    init, limit : int
        What it starts with, and its largest value.
    up, down : 1 bit
        Counts up, counts down (only while it is above zero), or both.
    """
    count = Signal(range(limit + 1), init=init, name=f"{name}_count")
    some = Signal(init=init > 0, name=name)
    m.d.sync += [
        count.eq(count + up - down),
        some.eq(up | Mux(down, count[1:].any(), some)),
    ]
    return some


class StreamRegister(wiring.Component):
    """Two places, of which neither side sees the other in the same cycle. Takes and gives a payload per cycle.

    Parameters
    ----------
    layout : ShapeLike
        Payload.

    Members
    -------
    i : In(stream)
        ``ready`` is a register.
    o : Out(stream)
        ``valid`` and ``payload`` are registers. A payload is offered one cycle after it was taken.
    """

    def __init__(self, layout):
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform):
        m = Module()
        free = Signal(init=1)
        spare = Signal.like(self.i.payload)
        m.d.comb += self.i.ready.eq(free)
        with m.If(free):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid | ~free),
                self.o.payload.eq(Mux(free, self.i.payload, spare)),
                free.eq(1),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += free.eq(0)
        return m
