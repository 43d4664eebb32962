"""Counts of the cells in a netlist of Yosys, by block."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .devices import Family
from .tools import SynthesisError

__all__ = ["TOP", "Block", "Resources", "block_of", "blocks", "logic_cells", "read_cells", "scopes_of", "total"]

TOP = "(top)"
"""Block of the cells that are in no submodule."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Counts of cells.

    Attributes
    ----------
    lut : int
        All look-up tables: of logic, carry chains and memories.
    logic_lut, carry, lut_ram : int
        Cells: look-up tables of logic, carry (CCU2C, SB_CARRY, CARRY4, CARRY8), and memories in look-up tables.
    mux : int
        Multiplexers that join look-up tables to larger ones.
    ff, bram, dsp : int
        Flip-flops, block memories (on Xilinx of 18 Kbit), multipliers.
    gates : int
        Simple gates (family ``generic``).
    cells : int
        Logic cells of an iCE40, see :func:`logic_cells`; 0 elsewhere.
    """

    lut: int = 0
    logic_lut: int = 0
    carry: int = 0
    lut_ram: int = 0
    mux: int = 0
    ff: int = 0
    bram: int = 0
    dsp: int = 0
    gates: int = 0
    cells: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    def __mul__(self, times: int) -> "Resources":
        return Resources(**{each.name: times * getattr(self, each.name) for each in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of the hierarchy and its resources, without those of blocks that are listed separately."""

    name: str
    resources: Resources


# Resources of a cell. On ECP5 a carry cell takes two look-up tables, and a memory of 16 × 4 bits takes four.
_ECP5 = {
    "LUT4": Resources(lut=1, logic_lut=1),
    "CCU2C": Resources(lut=2, carry=1),
    "TRELLIS_DPR16X4": Resources(lut=4, lut_ram=1),
    "PFUMX": Resources(mux=1),
    "L6MUX21": Resources(mux=1),
    "TRELLIS_FF": Resources(ff=1),
    "DP16KD": Resources(bram=1),
    "PDPW16KD": Resources(bram=1),
    "MULT18X18D": Resources(dsp=1),
    "ALU54B": Resources(),
}
# On iCE40 a carry cell lies beside the look-up table of the sum.
_ICE40 = {
    "SB_LUT4": Resources(lut=1, logic_lut=1),
    "SB_CARRY": Resources(carry=1),
    "SB_MAC16": Resources(dsp=1),
}
_XILINX = {
    **{f"LUT{inputs}": Resources(lut=1, logic_lut=1) for inputs in range(1, 7)},
    "INV": Resources(lut=1, logic_lut=1),
    "CARRY4": Resources(carry=1),
    "CARRY8": Resources(carry=1),
    "MUXF7": Resources(mux=1),
    "MUXF8": Resources(mux=1),
    "MUXF9": Resources(mux=1),
    **{name: Resources(ff=1) for name in ("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1")},
    **dict.fromkeys(("RAMB18E1", "RAMB18E2"), Resources(bram=1)),
    **dict.fromkeys(("RAMB36E1", "RAMB36E2"), Resources(bram=2)),
    **dict.fromkeys(("DSP48E1", "DSP48E2"), Resources(dsp=1)),
    **dict.fromkeys(("RAM32X1S", "RAM64X1S"), Resources(lut=1, lut_ram=1)),
    **dict.fromkeys(("RAM32X1D", "RAM64X1D"), Resources(lut=2, lut_ram=1)),
    **dict.fromkeys(("RAM32M", "RAM64M", "RAM128X1D"), Resources(lut=4, lut_ram=1)),
    **dict.fromkeys(("RAM32M16", "RAM64M8"), Resources(lut=8, lut_ram=1)),
    "RAM128X1S": Resources(lut=2, lut_ram=1),
    "RAM256X1S": Resources(lut=4, lut_ram=1),
    **dict.fromkeys(("RAM256X1D", "RAM512X1S"), Resources(lut=8, lut_ram=1)),
    "SRL16E": Resources(lut=1, lut_ram=1),
    "SRLC32E": Resources(lut=1, lut_ram=1),
}
_CELLS: dict[Family, Mapping[str, Resources]] = {
    Family.ECP5: _ECP5,
    Family.ICE40: _ICE40,
    Family.XILINX7: _XILINX,
    Family.ULTRASCALE_PLUS: _XILINX,
    Family.GENERIC: {},
}
# Cells that count as nothing: constants, buffers, notes about the hierarchy, clocks and pins of boards.
_NOTHING = {"$scopeinfo", "VCC", "GND", "VLO", "VHI", "BUFG", "IBUF", "OBUF"}
_NOTHING |= {"EHXPLLL", "DCCA", "SGSR", "TRELLIS_IO", "SB_IO", "SB_GB_IO", "SB_PLL40_PAD"}
_FREE = Resources()


def _resources(family: Family, kind: str) -> Resources:
    found = _CELLS[family].get(kind)
    if found is not None:
        return found
    if kind in _NOTHING:
        return _FREE
    if family is Family.ICE40 and kind.startswith("SB_DFF"):
        return Resources(ff=1)
    if family is Family.ICE40 and kind.startswith("SB_RAM40_4K"):
        return Resources(bram=1)
    if family is Family.GENERIC and kind.startswith("$"):
        return Resources(ff=1) if "DFF" in kind else Resources(gates=1)
    raise SynthesisError(f"the netlist has a cell {kind} that is unknown for {family}: please report it")


def read_cells(path: Path) -> dict[str, Any]:
    """All cells of a flat netlist by name, as Yosys writes them.

    Raises
    ------
    SynthesisError
        The file is not a netlist with a top module.
    """
    try:
        modules: dict[str, Any] = json.loads(path.read_text("utf-8"))["modules"]
        (top,) = (module for module in modules.values() if int(str(module["attributes"].get("top", "0")), 2))
        cells = top["cells"]
        if not all(map(_is_cell, cells.values())):
            raise ValueError
        return cells
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise SynthesisError(f"{path} is not a netlist of Yosys with a top module: remove it and try again") from None


def _is_cell(cell: dict[str, Any]) -> bool:
    """Whether a cell has a type, and for every port a direction and a list of wires: numbers, or constants as texts."""
    directions = cell["port_directions"]
    return isinstance(cell["type"], str) and all(
        isinstance(directions[port], str) and isinstance(bits, list) and all(isinstance(bit, int | str) for bit in bits)
        for port, bits in cell["connections"].items()
    )


def logic_cells(cells: Mapping[str, Any]) -> frozenset[str]:
    """Names of the cells in a flat iCE40 netlist that take a logic cell each. The other cells share one of these.

    A logic cell holds a look-up table, a flip-flop and a carry. A flip-flop shares the cell of the table that drives it
    and nothing else. A carry shares the cell of the table that has its operands and its carry-in at I1, I2 and I3,
    unless the carry-in is constant. Counts differ from those of nextpnr by less than 0.5 %.
    """
    ends = Counter(
        bit
        for cell in cells.values()
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "input"
        for bit in bits
    )
    tables = [_pins(cell) for cell in cells.values() if cell["type"] == "SB_LUT4"]
    outputs = {pins.get("O") for pins in tables}
    adders = Counter(tuple(map(pins.get, ("I1", "I2", "I3"))) for pins in tables)
    found = set()
    for name, cell in cells.items():
        kind, pins = cell["type"], _pins(cell)
        if kind == "SB_CARRY":
            operands = tuple(map(pins.get, ("I0", "I1", "CI")))
            shares = isinstance(pins.get("CI"), int) and adders[operands] > 0  # constants are strings
            adders[operands] -= shares
        elif kind.startswith("SB_DFF"):
            shares = pins.get("D") in outputs and ends[pins.get("D")] == 1
        else:
            shares = kind != "SB_LUT4"
        if not shares:
            found.add(name)
    return frozenset(found)


def _pins(cell: dict[str, Any]) -> dict[str, Any]:
    """The wire at each pin of a cell whose pins are one bit wide."""
    return {port: bits[0] for port, bits in cell["connections"].items() if bits}


def scopes_of(cells: Mapping[str, Any]) -> frozenset[str]:
    """Names of all submodules of a flat netlist. Yosys leaves a cell without function for each."""
    return frozenset(_without_numbers(name) for name, cell in cells.items() if cell["type"] == "$scopeinfo")


def _without_numbers(name: str) -> str:
    # Amaranth appends numbers to make names unique: heads$182 is heads.
    return re.sub(r"\$\d+(?=\.|$)", "", name)


def _path(name: str) -> list[str]:
    """Parts of a cell's name. The first parts are blocks; the last may belong to a signal."""
    # Cells without a name in blocks that were flattened late: $flatten\softmax.\walk.$abc$12.
    return _without_numbers(name.removeprefix("$flatten").replace("\\", "").rpartition(".")[0]).split(".")


def block_of(name: str, scopes: Container[str], *, depth: int = 1) -> str:
    """The block of a cell in a flat netlist: up to ``depth`` parts of its name, or ``TOP``.

    Parameters
    ----------
    scopes : set of str
        See :func:`scopes_of`. Other parts of a name belong to the name of a signal.
    """
    parts = _path(name)[:depth]
    while parts and ".".join(parts) not in scopes:
        parts.pop()
    return ".".join(parts) or TOP


def blocks(cells: Mapping[str, Any], family: Family, *, depth: int = 1) -> list[Block]:
    """Resources of each block, the largest first.

    Parameters
    ----------
    cells : dict
        See :func:`read_cells`.
    depth : int
        Levels of the hierarchy.

    Raises
    ------
    SynthesisError
        A cell has an unknown type.
    """
    scopes = scopes_of(cells)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for name, cell in cells.items():
        found[block_of(name, scopes, depth=depth)][cell["type"]] += 1
    alone = logic_cells(cells) if family is Family.ICE40 else ()
    lone = Counter(block_of(name, scopes, depth=depth) for name in alone)
    listed: list[Block] = []
    for name, kinds in found.items():
        parts = (_resources(family, kind) * count for kind, count in kinds.items())
        resources = sum(parts, Resources(cells=lone[name]))
        if resources != _FREE:
            listed.append(Block(name=name, resources=resources))
    return sorted(listed, key=lambda block: (-block.resources.lut - block.resources.gates, block.name))


def total(listed: Iterable[Block]) -> Resources:
    """Sum of all blocks."""
    return sum((block.resources for block in listed), Resources())
