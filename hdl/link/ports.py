"""Byte-wise access to the streams of a core."""

from collections.abc import Mapping
from typing import Any

from amaranth import Cat, Const, Module, Shape, Signal, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...spec.link import IDENTITY_PORT, PORT_BITS, beat_bytes
from ..emit import StreamPort
from ..lib.packets import is_framed

__all__ = ["ReadPorts", "WritePorts", "beat_shape", "served"]


def beat_shape(shape: ShapeLike) -> ShapeLike:
    """What a beat on the link holds: a payload, or the ``data`` of operands."""
    return shape["data"].shape if is_framed(shape) else shape


def served(streams: Mapping[str, StreamPort]) -> tuple[list[StreamPort], list[StreamPort]]:
    """The streams that a host writes, and those that it reads. The index of a stream is its port on the link."""
    ports = streams.values()
    return [port for port in ports if port.direction == "in"], [port for port in ports if port.direction == "out"]


class WritePorts(wiring.Component):
    """Turns bytes into beats. Each stream has a register, and offers its beat after the beat's last byte.

    Streams do not wait for each other, so a core may accept them in any order.

    Parameters
    ----------
    shapes : list of ShapeLike
        Payloads of the streams.

    Members
    -------
    clear : In(1)
        Discard all beats.
    start : In(1)
        Discard the bytes of an incomplete beat.
    port : In(PORT_BITS)
        The stream that receives the bytes.
    free : Out(1)
        Asserted while a byte is accepted; i.e. ``enable`` may be asserted.
    byte : In(8), enable : In(1)
        Strobe: ``byte`` is the next byte.
    last : In(1)
        The byte is the last one of a packet.
    whole : Out(1)
        Asserted while the next byte completes a beat. Low if ``port`` is not a stream.
    o0, o1… : Out(stream)
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
            "last": In(1),
            "whole": Out(1),
        }
        # Streams of different payloads cannot form an array, so each is a member.
        members |= {f"o{i}": Out(stream.Signature(shape)) for i, shape in enumerate(shapes)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        widths = [Shape.cast(beat_shape(shape)).width for shape in self._shapes]
        sizes = [beat_bytes(width) for width in widths]
        index = Signal(range(max(sizes)))
        m.d.comb += self.free.eq(1)
        with m.If(self.clear | self.start | (self.enable & self.whole)):
            m.d.sync += index.eq(0)
        with m.Elif(self.enable):
            m.d.sync += index.eq(index + 1)
        for i, (width, size) in enumerate(zip(widths, sizes, strict=True)):
            o = getattr(self, f"o{i}")
            held = Signal(8 * size, name=f"held{i}")
            last = Signal(name=f"last{i}")
            # ``last`` is above the data; a payload without it is filled by the data.
            m.d.comb += Value.cast(o.payload).eq(Cat(held[:width], last))
            with m.If(o.ready):
                m.d.sync += o.valid.eq(0)
            with m.If(self.port == i):
                m.d.comb += [self.free.eq(~o.valid), self.whole.eq(index == size - 1)]
                with m.If(self.enable):
                    m.d.sync += [held.eq(Cat(held[8:], self.byte)), last.eq(self.last)]
                    with m.If(self.whole):
                        m.d.sync += o.valid.eq(1)
            with m.If(self.clear):
                m.d.sync += o.valid.eq(0)
        return m


class ReadPorts(wiring.Component):
    """Turns beats into bytes. A beat is accepted with its last byte.

    Parameters
    ----------
    shapes : list of ShapeLike
        Payloads of the streams.
    identity : bytes
        Bytes that port :data:`~thresher.spec.link.IDENTITY_PORT` returns, repeatedly.

    Members
    -------
    start : In(1)
        Begin with the first byte of a beat.
    port : In(PORT_BITS)
        The stream that provides the bytes.
    valid : Out(1), byte : Out(8)
    ready : In(1)
        Strobe: ``byte`` is accepted.
    i0, i1… : In(stream)
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
