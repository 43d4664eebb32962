"""Streams of a core, byte by byte."""

from collections.abc import Mapping
from typing import Any

from amaranth import Cat, Const, Module, Shape, Signal, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.link import IDENTITY_PORT, PORT_BITS, beat_bytes
from ..emit import StreamPort

__all__ = ["ReadPorts", "WritePorts", "served"]


def served(streams: Mapping[str, StreamPort]) -> tuple[list[StreamPort], list[StreamPort]]:
    """The streams of a core that a host writes, and those that it reads; their places are their ports on the link."""
    ports = streams.values()
    return [port for port in ports if port.direction == "in"], [port for port in ports if port.direction == "out"]


class WritePorts(wiring.Component):
    """Bytes to beats: a register per stream, whose beat is offered when its last byte has come.

    Streams do not wait for each other, so that a core may take them in any order.

    Parameters
    ----------
    shapes : list of ShapeLike
        Payloads of the streams.

    Members
    -------
    clear : In(1)
        Forget everything.
    start : In(1)
        Forget a beat that is not whole.
    port : In(PORT_BITS)
        The stream that bytes go to.
    free : Out(1)
        A byte may come.
    byte, enable : In(8), In(1)
    whole : Out(1)
        This byte would make a beat whole. Never, for a port that is none of the streams.
    o : Out(stream), array of them
    """

    def __init__(self, shapes: list[ShapeLike]):
        self._shapes = shapes
        members: dict[str, Any] = {
            "clear": In(1),
            "start": In(1),
            "port": In(PORT_BITS),
            "free": Out(1),
            "byte": In(8),
            "enable": In(1),
            "whole": Out(1),
        }
        # Streams of unlike payloads are no array, so each is a member.
        members |= {f"o{i}": Out(stream.Signature(shape)) for i, shape in enumerate(shapes)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        sizes = [beat_bytes(Shape.cast(shape).width) for shape in self._shapes]
        index = Signal(range(max(sizes)))
        m.d.comb += self.free.eq(1)
        with m.If(self.clear | self.start | (self.enable & self.whole)):
            m.d.sync += index.eq(0)
        with m.Elif(self.enable):
            m.d.sync += index.eq(index + 1)
        for i, (shape, size) in enumerate(zip(self._shapes, sizes, strict=True)):
            o = getattr(self, f"o{i}")
            held = Signal(8 * size, name=f"held{i}")
            m.d.comb += Value.cast(o.payload).eq(held[: Shape.cast(shape).width])
            with m.If(o.ready):
                m.d.sync += o.valid.eq(0)
            with m.If(self.port == i):
                m.d.comb += [self.free.eq(~o.valid), self.whole.eq(index == size - 1)]
                with m.If(self.enable):
                    m.d.sync += held.eq(Cat(held[8:], self.byte))
                    with m.If(self.whole):
                        m.d.sync += o.valid.eq(1)
            with m.If(self.clear):
                m.d.sync += o.valid.eq(0)
        return m


class ReadPorts(wiring.Component):
    """Beats to bytes. A beat is taken with its last byte.

    Parameters
    ----------
    shapes : list of ShapeLike
        Payloads of the streams.
    identity : bytes
        What the port :data:`~thresher.spec.link.IDENTITY_PORT` gives, over and over.

    Members
    -------
    start : In(1)
        Begin with the first byte of a beat.
    port : In(PORT_BITS)
        The stream that bytes come from.
    valid, byte : Out(1), Out(8)
    ready : In(1)
        The byte is taken.
    i : In(stream), array of them
    """

    def __init__(self, shapes: list[ShapeLike], *, identity: bytes):
        self._shapes = shapes
        self._identity = identity
        members: dict[str, Any] = {
            "start": In(1),
            "port": In(PORT_BITS),
            "valid": Out(1),
            "byte": Out(8),
            "ready": In(1),
        }
        members |= {f"i{i}": In(stream.Signature(shape)) for i, shape in enumerate(shapes)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        sizes = [beat_bytes(Shape.cast(shape).width) for shape in self._shapes]
        index = Signal(range(max(*sizes, len(self._identity))))
        last = Signal()
        with m.If(self.start | (self.ready & last)):
            m.d.sync += index.eq(0)
        with m.Elif(self.ready):
            m.d.sync += index.eq(index + 1)
        bytes_of = {IDENTITY_PORT: Const(int.from_bytes(self._identity, "little"), 8 * len(self._identity))}
        with m.Switch(self.port):
            for i in range(len(sizes)):
                with m.Case(i):
                    stream_in = getattr(self, f"i{i}")
                    m.d.comb += [self.valid.eq(stream_in.valid), stream_in.ready.eq(self.ready & last)]
                bytes_of[i] = Value.cast(getattr(self, f"i{i}").payload)
            with m.Case(IDENTITY_PORT):
                m.d.comb += self.valid.eq(1)
        with m.Switch(self.port):
            for port, value in bytes_of.items():
                size = beat_bytes(len(value))
                with m.Case(port):
                    m.d.comb += [
                        self.byte.eq(value.as_unsigned().bit_select(index << 3, 8)),
                        last.eq(index == size - 1),
                    ]
        return m
