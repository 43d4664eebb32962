"""Registers that carry a value alongside a pipeline, and streams that hold one payload or a few."""

from amaranth import Cat, Module, Shape, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["HalfBuffer", "StreamFIFO", "delay", "index_bits"]


def index_bits(count: int) -> int:
    """Bits of an index 0…count − 1; none for a single item."""
    return (count - 1).bit_length()


def delay(m: Module, value, cycles: int, *, enable, name: str, reset_less: bool = False) -> list:
    """``value`` and its copies 1…cycles enabled cycles later.

    Operands of multipliers are best ``reset_less``, as those of a value that is: multiplier blocks can take such
    registers in.
    """
    stages = [value]
    options = {"reset_less": True} if reset_less else {}
    for i in range(cycles):
        stage = Signal.like(value, name=f"{name}_{i + 1}", **options)
        with m.If(enable):
            m.d.sync += stage.eq(stages[-1])
        stages.append(stage)
    return stages


class HalfBuffer(wiring.Component):
    """One payload on its way: neither side sees in a cycle what the other decides in it.

    A payload every other cycle at most. What it held stays for one cycle more than it is offered.

    Parameters
    ----------
    layout : ShapeLike
        Payload.

    Members
    -------
    i : In(stream), o : Out(stream)
    """

    def __init__(self, layout):
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform):
        m = Module()
        held = Signal(self.i.payload.shape(), reset_less=True)
        m.d.comb += [self.i.ready.eq(~self.o.valid), self.o.payload.eq(held)]
        # Whatever is there is held while there is room: an enable that is a register.
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), held.eq(self.i.payload)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


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
