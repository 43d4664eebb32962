"""A component's ports, and its Verilog."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from amaranth import Shape
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring

__all__ = ["PlainPort", "StreamPort", "interface"]

Direction = Literal["in", "out"]


@dataclass(frozen=True, kw_only=True)
class StreamPort:
    """A stream of a component.

    Attributes
    ----------
    name : str
        Its path, joined by ``__`` as in the emitted Verilog: ports ``{name}__payload``, ``__valid`` and ``__ready``.
    direction : "in" or "out"
    shape : ShapeLike
        Of the payload.
    signature : stream.Signature
    interface : stream.Interface
        The component's own object, to drive and watch.
    """

    name: str
    direction: Direction
    shape: ShapeLike
    signature: stream.Signature
    interface: Any

    @property
    def width(self) -> int:
        """Bits of the payload."""
        return Shape.cast(self.shape).width


@dataclass(frozen=True, kw_only=True)
class PlainPort:
    """A port that belongs to no stream; attributes as those of :class:`StreamPort`."""

    name: str
    direction: Direction
    shape: ShapeLike
    value: Any

    @property
    def width(self) -> int:
        """Bits of the port."""
        return Shape.cast(self.shape).width


def _walk(signature: wiring.Signature, obj: Any, path: tuple[str, ...]) -> Iterator[StreamPort | PlainPort]:
    for name, member in signature.members.items():
        yield from _walk_member(member, getattr(obj, name), (*path, name), member.dimensions)


def _walk_member(
    member: wiring.Member, obj: Any, path: tuple[str, ...], dimensions: tuple[int, ...]
) -> Iterator[StreamPort | PlainPort]:
    if dimensions:
        for index in range(dimensions[0]):
            yield from _walk_member(member, obj[index], (*path, str(index)), dimensions[1:])
        return
    direction: Direction = "out" if member.flow is wiring.Out else "in"
    if member.is_port:
        yield PlainPort(name="__".join(path), direction=direction, shape=member.shape, value=obj)
    elif isinstance(member.signature, stream.Signature):
        yield StreamPort(
            name="__".join(path),
            direction=direction,
            shape=member.signature.members["payload"].shape,
            signature=member.signature,
            interface=obj,
        )
    else:
        # An In member's signature comes flipped, and its members with it.
        yield from _walk(member.signature, obj, path)


def interface(component: wiring.Component) -> tuple[dict[str, StreamPort], dict[str, PlainPort]]:
    """The streams and the remaining ports of a component, by name, in the order of its signature."""
    found = list(_walk(component.signature, component, ()))
    return (
        {port.name: port for port in found if isinstance(port, StreamPort)},
        {port.name: port for port in found if isinstance(port, PlainPort)},
    )
