"""Queues with room and level in registers, so that sender and receiver may be far apart on the chip."""

from amaranth import Cat, Module, Mux, Shape, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .scratchpad import NEVER_BOTH

__all__ = [
    "BlockQueue",
    "HalfBuffer",
    "PingPong",
    "SkidBuffer",
    "StreamFIFO",
    "StreamRegister",
    "nonzero",
    "struct_layout",
]


def struct_layout(widths: dict[str, tuple[int, bool]]) -> data.StructLayout:
    """Payload with fields of these bits and signedness, lowest bits first."""
    return data.StructLayout(
        {name: signed(bits) if is_signed else unsigned(bits) for name, (bits, is_signed) in widths.items()}
    )


def nonzero(m: Module, *, init: int, limit: int, up, down, name: str) -> Signal:
    """Whether a count is above zero, as a register.

    Parameters
    ----------
    init, limit : int
        Initial and largest value of the count.
    up, down : 1 bit
        Increment and decrement; both may be asserted. ``down`` must be low while the count is zero.
    """
    count = Signal(range(limit + 1), init=init, name=f"{name}_count")
    some = Signal(init=init > 0, name=name)
    m.d.sync += [
        count.eq(count + up - down),
        some.eq(up | Mux(down, count[1:].any(), some)),
    ]
    return some


def _after(place, depth: int):
    """The next place in a ring of ``depth`` places."""
    return Mux(place == depth - 1, 0, place + 1)


class _Buffer(wiring.Component):
    """Payloads enter at ``i`` and leave at ``o``, in order."""

    def __init__(self, layout):
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})


class HalfBuffer(_Buffer):
    """One register with a handshake, without a combinational path between the two sides.

    Throughput is one payload per two cycles. The payload stays on ``o`` for one cycle after it is accepted.

    Parameters
    ----------
    layout : ShapeLike
        Payload.

    Members
    -------
    i : In(stream), o : Out(stream)
    """

    def elaborate(self, platform):
        m = Module()
        held = Signal(self.i.payload.shape(), reset_less=True)
        m.d.comb += [self.i.ready.eq(~self.o.valid), self.o.payload.eq(held)]
        # While there is room, the register takes any input, valid or not. So its enable comes from a register.
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), held.eq(self.i.payload)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


class StreamRegister(_Buffer):
    """Two registers, without a combinational path between the two sides. Throughput is one payload per cycle.

    Parameters
    ----------
    layout : ShapeLike
        Payload.

    Members
    -------
    i : In(stream)
        ``ready`` is a register.
    o : Out(stream)
        ``valid`` and ``payload`` are registers. A payload is offered one cycle after it is accepted.
    """

    def elaborate(self, platform):
        m = Module()
        free = Signal(init=1)
        held, spare = (Signal.like(self.i.payload, name=name, reset_less=True) for name in ("held", "spare"))
        m.d.comb += [self.i.ready.eq(free), self.o.payload.eq(held)]
        with m.If(free):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid | ~free),
                held.eq(Mux(free, self.i.payload, spare)),
                free.eq(1),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += free.eq(0)
        return m


class SkidBuffer(_Buffer):
    """One register, so that ``ready`` does not depend on the other side. Throughput is one payload per cycle.

    Parameters
    ----------
    layout : ShapeLike
        Payload.

    Members
    -------
    i : In(stream)
        ``ready`` is a register.
    o : Out(stream)
        A payload is offered in the cycle in which it is accepted. The register holds it if it is not taken then.
    """

    def elaborate(self, platform):
        m = Module()
        held = Signal.like(self.i.payload, reset_less=True)
        full = Signal()
        m.d.comb += [
            self.i.ready.eq(~full),
            self.o.valid.eq(full | self.i.valid),
            self.o.payload.eq(Mux(full, held, self.i.payload)),
        ]
        m.d.sync += full.eq(self.o.valid & ~self.o.ready)
        with m.If(~full):
            m.d.sync += held.eq(self.i.payload)
        return m


class PingPong(_Buffer):
    """Two registers used in turn, without a combinational path between the sides. Throughput is one payload per cycle.

    Unlike :class:`StreamRegister`, the enable of each payload register is a register itself. It costs a
    multiplexer between the two registers and ``o``.

    Parameters
    ----------
    layout : ShapeLike
        Payload.

    Members
    -------
    i : In(stream), o : Out(stream)
        A payload is offered one cycle after it is accepted.
    """

    def elaborate(self, platform):
        m = Module()
        full = Signal(2)
        writes = Signal()
        reads = Signal()
        places = [Signal(self.i.payload.shape(), name=f"place_{i}", reset_less=True) for i in range(2)]
        m.d.comb += [
            self.i.ready.eq(~full.all()),
            self.o.valid.eq(full.any()),
            self.o.payload.eq(Mux(reads, *reversed(places))),
        ]
        take, give = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        m.d.sync += [writes.eq(writes ^ take), reads.eq(reads ^ give)]
        for i, place in enumerate(places):
            # While the place is free, it takes any input, valid or not.
            with m.If(~full[i]):
                m.d.sync += [place.eq(self.i.payload), full[i].eq(take & (writes == i))]
            with m.Elif(give & (reads == i)):
                m.d.sync += full[i].eq(0)
        return m


class StreamFIFO(_Buffer):
    """Queue of a few payloads in LUT RAM.

    ``i.ready`` and ``o.valid`` are registers. In Amaranth's own queue, comparisons of its level drive them.

    Parameters
    ----------
    layout : ShapeLike
        Payload.
    depth : int
        Capacity in payloads, at least 1.
    counted : bool
        The sender counts the room and offers nothing when there is none; ``i.ready`` is constant.

    Members
    -------
    i : In(stream), o : Out(stream)
        A payload is offered one cycle after it is accepted.
    """

    def __init__(self, layout, *, depth: int, counted: bool = False):
        self._depth = depth
        self._counted = counted
        super().__init__(layout)

    def elaborate(self, platform):
        m = Module()
        width = Shape.cast(self.i.payload.shape()).width
        storage = Memory(shape=width, depth=self._depth, init=[])
        m.submodules.storage = storage
        write = storage.write_port()
        read = storage.read_port(domain="comb")
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
                m.d.sync += address.eq(_after(address, self._depth))
        m.d.comb += [
            self.i.ready.eq(ready),
            write.en.eq(push),
            write.data.eq(self.i.payload),
            Cat(self.o.payload).eq(read.data),
        ]
        return m


class BlockQueue(wiring.Component):
    """Queue of many payloads in block RAM. The sender counts the room.

    Parameters
    ----------
    layout : ShapeLike
        Payload.
    depth : int
        Capacity in payloads.

    Members
    -------
    i : In(stream(always_ready))
    o : Out(stream)
        ``valid`` is a register. A payload is offered two cycles after it is accepted.
    """

    def __init__(self, layout, *, depth: int):
        self._depth = depth
        super().__init__({"i": In(stream.Signature(layout, always_ready=True)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform):
        m = Module()
        width = Shape.cast(self.i.payload.shape()).width
        storage = Memory(shape=width, depth=self._depth, init=[], attrs=NEVER_BOTH)
        m.submodules.storage = storage
        write = storage.write_port()
        read = storage.read_port()
        first = Signal(range(self._depth))
        written = Signal()
        pop = self.o.valid & self.o.ready
        some = nonzero(m, init=0, limit=self._depth, up=written, down=pop, name="some")
        m.d.sync += written.eq(self.i.valid)
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.data.eq(self.i.payload),
            # The payload that is offered in the next cycle.
            read.addr.eq(Mux(pop, _after(first, self._depth), first)),
            Cat(self.o.payload).eq(read.data),
            self.o.valid.eq(some),
        ]
        m.d.sync += first.eq(read.addr)
        with m.If(self.i.valid):
            m.d.sync += write.addr.eq(_after(write.addr, self._depth))
        return m
