"""Registers of an ECP5 netlist that drive many cells, copied.

A wire to a thousand cells crosses the chip, and whenever the router takes a piece of it away, it starts over with all
the cells behind. Yosys makes one register of equal ones, so only behind it can there be several.
"""

import copy
import re
from collections import defaultdict
from typing import Any

__all__ = ["MOST_READERS", "split_fan_out"]

MOST_READERS = 64
"""Of a register: as many as the lanes of a few multipliers have."""


def split_fan_out(module: dict[str, Any], *, most: int = MOST_READERS) -> int:
    """Copy flip-flops of a flat module in Yosys' JSON until none drives more than ``most`` cells, in place.

    Readers whose names are neighbours share a copy: they are likely to be placed together. A copy has the input, enable
    and reset of its register.

    Returns
    -------
    int
        Flip-flops more than before.
    """
    cells = module["cells"]
    before = len(cells)
    registers = {cell["connections"]["Q"][0]: name for name, cell in cells.items() if cell["type"] == "TRELLIS_FF"}
    readers: dict[Any, list[tuple[str, str, int]]] = defaultdict(list)
    for name in cells:
        _read(readers, name, cells[name])
    free = 1 + max(bit for net in module["netnames"].values() for bit in net["bits"] if isinstance(bit, int))
    work = list(registers)
    while work:
        bit = work.pop()
        found = sorted(readers[bit], key=_place)
        groups = -(-len(found) // most)
        if groups < 2:
            continue
        register = cells[registers[bit]]
        each = -(-len(found) // groups)
        for group in range(1, groups):
            name = f"{registers[bit]}$copy{group}"
            cells[name] = copied = copy.deepcopy(register)
            copied["connections"]["Q"] = [free]
            module["netnames"][f"{name}.Q"] = {"hide_name": 1, "bits": [free], "attributes": {}}
            _read(readers, name, copied)
            for reader, port, index in found[group * each : (group + 1) * each]:
                cells[reader]["connections"][port][index] = free
            free += 1
        readers[bit] = found[:each]
        # Its copies read what it reads.
        work += [
            source
            for port in ("DI", "CE", "LSR")
            for source in register["connections"].get(port, [])
            if source in registers
        ]
    return len(cells) - before


def _read(readers: dict[Any, list[tuple[str, str, int]]], name: str, cell: dict[str, Any]) -> None:
    """Note what a cell reads: cell, port and place in it."""
    for port, bits in cell["connections"].items():
        if cell["port_directions"][port] != "output":
            for index, bit in enumerate(bits):
                readers[bit].append((name, port, index))


def _place(reader: tuple[str, str, int]) -> list[Any]:
    """Numbers in names by value, so that lanes are in order."""
    parts = re.split(r"(\d+)", reader[0])
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]
