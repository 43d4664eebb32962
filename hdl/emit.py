"""The ports of a component, and its Verilog."""

import contextlib
import gc
import itertools
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from amaranth import Shape
from amaranth.back import rtlil
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream, wiring

from ..spec.verilog_names import SEPARATOR, ClockNames
from .clocked import Clocked
from .yosys import to_verilog

__all__ = ["PlainPort", "StreamPort", "emit", "interface", "ports", "tidy"]

DEFAULT_CLOCKS = ClockNames()

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


def emit(component: wiring.Component, *, name: str, clocks: ClockNames = DEFAULT_CLOCKS) -> str:
    """Standalone Verilog of a component and all below it.

    The same component gives the same text on every machine: it is made by the Yosys that comes as a package (its
    version is in a comment), and no paths of source files are left in it.

    Parameters
    ----------
    name : str
        Of the top module. The names of all other modules are this name, ``__``, and the path to an instance in the top
        module. Streams are as :func:`ports` says.
    clocks : ClockNames
        Names of the clock and of the synchronous reset of the top module. They differ from those of all other ports.
    """
    top, top_ports = component, None
    if clocks != DEFAULT_CLOCKS:
        top = Clocked(component, clocks)
        top_ports = top.ports
    with _rare_collections(), _no_zeros():
        text = rtlil.convert(top, name=name, ports=top_ports, emit_src=False)
    return tidy(to_verilog(text))


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector run less often.

    A netlist is made of millions of small objects, and nearly all of them live until its end. To visit them again and
    again takes a third of the time.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(thresholds[0] and max(1_000_000, thresholds[0]), *thresholds[1:])  # 0: it is off
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


_EMITTING = threading.Lock()
_emit_memory = rtlil.ModuleEmitter.emit_memory


@contextlib.contextmanager
def _no_zeros() -> Iterator[None]:
    """Leave the initial words of memories of zeros out of RTLIL; :func:`tidy` writes loops for them.

    Amaranth makes an object for each bit of them, and Yosys writes a line for each word. The memories of a large engine
    have more than thirty million bits.
    """

    def emit_memory(emitter: Any, index: int, cell: Any) -> None:
        if any(cell.init):
            _emit_memory(emitter, index, cell)

    with _EMITTING:
        rtlil.ModuleEmitter.emit_memory = emit_memory
        try:
            yield
        finally:
            rtlil.ModuleEmitter.emit_memory = _emit_memory


def tidy(text: str) -> str:
    """Verilog of Amaranth's back end, made fit for the tools that read it."""
    # Indices of a single item have no bits. Nothing uses them, but Verilog would read their declarations as two bits.
    text = re.sub(r"^ *(?:wire|reg) \[-1:0\] .*;\n", "", text, flags=re.MULTILINE)
    text = _INITIAL_VALUE.sub(r"\1\2;\n  initial \2\3", _start_all(text))
    return _HEAD + _plain_modules(_ZERO_MEMORY.sub(_loop, text))


# All of these are known to old versions of Verilator, too, which stop at a rule that they do not know. Yosys writes
# operands of unlike widths, case statements whose default comes before them, and limits that a field of just their
# width cannot pass. Verilator takes some signals with independent bits for loops, and non-blocking initial values for
# blocking ones.
_QUIET = ("CASEINCOMPLETE", "CMPCONST", "DECLFILENAME", "INITIALDLY", "UNOPTFLAT", "UNUSED", "VARHIDDEN", "WIDTH")
_HEAD = "/* Verilog-2005. Icarus Verilog 11, Verilator 5.006, Yosys 0.23 and later versions read it. */\n"
_HEAD += "".join(f"/* verilator lint_off {rule} */\n" for rule in _QUIET)

# Verilator 5.048 warns of a register with a value in its declaration (PROCASSINIT), a rule that old versions stop at.
_INITIAL_VALUE = re.compile(r"^(  reg (?:\[\d+:0\] )?)(\\\S+ |\w+)( ?= .*;)$", re.MULTILINE)

_MODULE = re.compile(r"^module \\(\S+) ", re.MULTILINE)
_MODULE_OR_INSTANCE = re.compile(r"^(module |  )\\(\S+) +", re.MULTILINE)


def _plain_modules(text: str) -> str:
    """Replace names of modules such as ``\\core.heads$182`` by plain identifiers, ``core__heads``."""
    plain: dict[str, str] = {}
    used: set[str] = set()
    for name in _MODULE.findall(text):
        path = re.sub(r"\$\d+(?=\.|$)", "", name).split(".")
        base = SEPARATOR.join(re.sub(r"\W+", "_", part).strip("_") for part in path)
        plain[name] = next(each for each in _numbered(base) if each not in used)
        used.add(plain[name])

    def rename(match: re.Match[str]) -> str:
        start, name = match.groups()
        if name not in plain:
            return match[0]
        return start + plain[name] + ("" if start == "module " else " ")

    return _MODULE_OR_INSTANCE.sub(rename, text)


def _numbered(name: str) -> Iterator[str]:
    """The name, and then the name with numbers from 2."""
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(2))


_START = "\\$start "
"""A register in each module whose only change, from unknown to 0, starts the combinational blocks."""
_YOSYS_START = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ")
_DECLARED_START = f"  reg {_START};\n  initial {_START}<= 0;\n"
_SINGLE_ASSIGNMENT = re.compile(r"^  always @\*\n(    .*;\n)", re.MULTILINE)
_MODULE_TEXT = re.compile(r"^module .*?^endmodule$", re.MULTILINE | re.DOTALL)


def _start_all(text: str) -> str:
    """Let event simulators run every combinational block once at the start.

    A block runs when a signal that it reads changes. So Yosys lets blocks read a register that becomes 0 at the start,
    but not blocks of a single assignment; the signal of such a block stays unknown if its value is constant at first.
    Yosys also declares the register as ``reg name = 0``. In SystemVerilog, this happens before the blocks wait, and
    they miss it. A non-blocking assignment happens after all blocks wait, in every edition.
    """
    text = _YOSYS_START.sub(lambda _: _START, text).replace(f"  reg {_START} = 0;\n", _DECLARED_START)
    return _MODULE_TEXT.sub(_start_assignments, text)


def _start_assignments(match: re.Match[str]) -> str:
    """A module in which blocks of a single assignment read the register, too."""
    module, found = _SINGLE_ASSIGNMENT.subn(
        lambda block: f"  always @* begin\n    if ({_START}) begin end\n{block[1]}  end\n", match[0]
    )
    if found and _DECLARED_START not in module:
        module = module.replace(";\n", f";\n{_DECLARED_START}", 1)
    return module


# A memory without initial words in RTLIL starts with zeros. Nothing depends on them, but for simulators that would read
# unwritten words as unknown.
_ZERO_MEMORY = re.compile(
    r"^  reg (?:\[(?P<top>\d+):0\] )?(?P<name>\S+) ?\[(?P<last>\d+):0\];\n(?!  initial begin\n    (?P=name) ?\[)",
    re.MULTILINE,
)


def _loop(match: re.Match[str]) -> str:
    name, words, bits = match["name"], int(match["last"]) + 1, int(match["top"] or 0) + 1
    return (
        f"{match[0]}`ifndef SYNTHESIS\n  initial begin : {name}_init\n    integer i;\n"
        f"    for (i = 0; i < {words}; i = i + 1) {name}[i] = {bits}'h0;\n  end\n`endif\n"
    )


def _fields(shape: ShapeLike, path: str, offset: int) -> Iterator[dict[str, Any]]:
    try:
        layout = data.Layout.cast(shape)
    except TypeError:
        plain = Shape.cast(shape)
        if plain.width:
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
