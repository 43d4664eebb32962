"""Registers that carry a value alongside a pipeline, and a small first-in first-out stream."""

from amaranth import Cat, Module, Shape, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamFIFO", "delay", "index_bits"]


def index_bits(count: int) -> int:
    """Bits of an index 0…count − 1; none for a single item."""
    return (count - 1).bit_length()


def delay(m: Module, value, cycles: int, *, enable, name: str) -> list:
    """``value`` and its copies 1…cycles enabled cycles later."""
    stages = [value]
    for i in range(cycles):
        stage = Signal.like(value, name=f"{name}_{i + 1}")
        with m.If(enable):
            m.d.sync += stage.eq(stages[-1])
        stages.append(stage)
    return stages


class StreamFIFO(wiring.Component):
    """Queue of a few payloads in LUT RAM.

    Parameters
    ----------
    layout : ShapeLike
        Payload.
    depth : int
        Payloads it holds, at least 1.

    Members
    -------
    i : In(stream), o : Out(stream)
        A payload is offered one cycle after it was taken.
    """

    def __init__(self, layout, *, depth: int):
        self._depth = depth
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform):
        m = Module()
        width = Shape.cast(self.i.payload.shape()).width
        m.submodules.queue = queue = fifo.SyncFIFO(width=width, depth=self._depth)
        m.d.comb += [
            queue.w_data.eq(self.i.payload),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            Cat(self.o.payload).eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
        ]
        return m
