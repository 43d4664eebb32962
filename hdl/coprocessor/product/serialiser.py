"""Divides wide payloads into equal parts."""

from amaranth import Module, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Serialiser"]


class Serialiser(wiring.Component):
    """Gives the parts of each payload, the lowest bits first. One part per cycle.

    Parameters
    ----------
    layout : ShapeLike
        A part.
    parts : int
        Parts of a payload.

    Members
    -------
    i : In(stream of ``parts`` · bits of a part)
    o : Out(stream(layout))
    """

    def __init__(self, layout, *, parts: int):
        self._parts = parts
        self._bits = Shape.cast(layout).width
        super().__init__({"i": In(stream.Signature(parts * self._bits)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform):
        m = Module()
        held = Signal(self._parts * self._bits)
        left = Signal(range(self._parts + 1))
        take = Signal()
        last = left <= 1
        m.d.comb += [
            self.o.valid.eq(left != 0),
            Value.cast(self.o.payload).eq(held[: self._bits]),
            self.i.ready.eq((left == 0) | (last & self.o.ready)),
            take.eq(self.i.valid & self.i.ready),
        ]
        with m.If(take):
            m.d.sync += [held.eq(self.i.payload), left.eq(self._parts)]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [held.eq(held >> self._bits), left.eq(left - 1)]
        return m
