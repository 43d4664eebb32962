"""Registers that carry a value alongside a pipeline, and streams that hold one payload or a few."""

from amaranth import Cat, Module, Mux, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
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
    """Queue of a few payloads in LUT RAM. Registers tell both sides whether there is a payload, or room for one;
    Amaranth's own queue compares its level on the way there.

    Parameters
    ----------
    layout : ShapeLike
        Payload.
    depth : int
        Payloads it holds, at least 1.
    counted : bool
        Whoever fills it counts the room in it, and offers nothing when there is none: ``i.ready`` is constant.

    Members
    -------
    i : In(stream), o : Out(stream)
        A payload is offered one cycle after it was taken.
    """

    def __init__(self, layout, *, depth: int, counted: bool = False):
        self._depth = depth
        self._counted = counted
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform):
        m = Module()
        width = Shape.cast(self.i.payload.shape()).width
        m.submodules.storage = storage = Memory(shape=width, depth=self._depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        push, pop = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        level = Signal(range(self._depth + 1))
        ready = Signal(init=1)
        if not self._counted:
            m.d.sync += ready.eq(pop | Mux(push, level != self._depth - 1, ready))
        m.d.sync += [
            level.eq(level + push - pop),
            self.o.valid.eq(push | Mux(pop, level[1:].any(), self.o.valid)),
        ]
        for address, moves in ((write.addr, push), (read.addr, pop)):
            with m.If(moves):
                m.d.sync += address.eq(Mux(address == self._depth - 1, 0, address + 1))
        m.d.comb += [
            self.i.ready.eq(ready),
            write.en.eq(push),
            write.data.eq(self.i.payload),
            Cat(self.o.payload).eq(read.data),
        ]
        return m
