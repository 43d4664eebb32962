"""Moves registers beside multipliers of an ECP5 into them.

A MULT18X18D has registers at its inputs and at its product, which Yosys does not use. A register outside costs a
flip-flop per bit and a further wire.
"""

from collections import defaultdict
from typing import Any

__all__ = ["take_registers_in"]

OPERAND_BITS = 18
PRODUCT_BITS = 36
ZEROS = ("0", "x")
OPERANDS = [f"{operand}{bit}" for operand in "AB" for bit in range(OPERAND_BITS)]
PRODUCT = [f"P{bit}" for bit in range(PRODUCT_BITS)]


def take_registers_in(module: dict[str, Any]) -> int:
    """Move flip-flops of a flat module in Yosys' JSON into its multipliers. Changes the module.

    The registers of both operands move or of neither, because nextpnr cannot time other cases. The register of the
    product is independent. Registers need one clock and enable, no reset, and zero as initial value. A register that
    feeds other cells stays for these.

    Returns
    -------
    int
        Number of removed flip-flops.
    """
    netlist = _Netlist(module)
    before = len(module["cells"])
    multipliers = [name for name, cell in module["cells"].items() if cell["type"] == "MULT18X18D"]
    # A register between two multipliers moves into the first.
    for take in (netlist.take_product, netlist.take_operands):
        for name in multipliers:
            take(name)
    netlist.drop_unread()
    return before - len(module["cells"])


class _Netlist:
    """Register and readers (cell, port) of each bit, and the bits whose registers moved into multipliers."""

    def __init__(self, module: dict[str, Any]):
        self.cells = module["cells"]
        self.registers: dict[Any, str] = {}
        self.readers: dict[Any, set[tuple[str, str]]] = defaultdict(set)
        self.taken: set[Any] = set()
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] != "output":
                    for bit in bits:
                        self.readers[bit].add((name, port))
            if _is_plain(cell):
                self.registers[cell["connections"]["Q"][0]] = name
        for port in module["ports"].values():
            for bit in port["bits"]:
                self.readers[bit].add(("", ""))

    def take_operands(self, name: str) -> None:
        multiplier = self.cells[name]
        wires = multiplier["connections"]
        places = [place for place in OPERANDS if wires.get(place, ["0"])[0] not in ZEROS]
        if not places or any(wires[place][0] not in self.registers for place in places):
            return
        found = {place: self.cells[self.registers[wires[place][0]]]["connections"] for place in places}
        controls = {_control(self.cells[self.registers[wire["Q"][0]]]) for wire in found.values()}
        if len(controls) > 1:
            return
        for place, wire in found.items():
            self.readers[wire["Q"][0]].discard((name, place))
            self.readers[wire["DI"][0]].add((name, place))
            self.taken.add(wire["Q"][0])
            wires[place] = list(wire["DI"])
        _use(multiplier, controls.pop(), 0, "REG_INPUTA", "REG_INPUTB")

    def take_product(self, name: str) -> None:
        multiplier = self.cells[name]
        wires = multiplier["connections"]
        found: dict[str, str] = {}
        for place in PRODUCT:
            bits = wires.get(place, [])
            readers = self.readers[bits[0]] if bits else set()
            if not readers:
                continue
            reader, port = next(iter(readers))
            if len(readers) > 1 or port != "DI" or not _is_plain(self.cells[reader]):
                return
            found[place] = reader
        controls = {_control(self.cells[reader]) for reader in found.values()}
        if len(controls) != 1:
            return
        for place, reader in found.items():
            wires[place] = self.cells.pop(reader)["connections"]["Q"]
            self.registers.pop(wires[place][0])
        _use(multiplier, controls.pop(), 1, "REG_OUTPUT")

    def drop_unread(self) -> None:
        for bit in self.taken:
            if not self.readers[bit]:
                del self.cells[self.registers[bit]]


def _is_plain(cell: dict[str, Any]) -> bool:
    """Whether a cell is a flip-flop with rising edge, optional enable, no reset, and zero as initial value."""
    if cell["type"] != "TRELLIS_FF":
        return False
    settings, wires = cell["parameters"], cell["connections"]
    return (
        settings.get("CEMUX", "1").strip() in ("1", "CE")
        and settings.get("CLKMUX", "CLK") == "CLK"
        and settings.get("REGSET", "RESET") == "RESET"
        and wires.get("LSR", ["0"])[0] in ZEROS
    )


def _control(register: dict[str, Any]) -> tuple[Any, Any]:
    """Clock and enable of a register."""
    wires = register["connections"]
    enabled = register["parameters"].get("CEMUX", "1").strip() == "1"
    return wires["CLK"][0], "1" if enabled else wires["CE"][0]


def _use(multiplier: dict[str, Any], control: tuple[Any, Any], index: int, *registers: str) -> None:
    """Use registers of a multiplier with clock, enable and reset number ``index``. The reset is constant 0."""
    bits = dict(zip(("CLK", "CE", "RST"), (*control, "0"), strict=True))
    for kind, bit in bits.items():
        wire = f"{kind}{index}"
        multiplier["connections"][wire] = [bit]
        multiplier["port_directions"][wire] = "input"
        for register in registers:
            multiplier["parameters"][f"{register}_{kind}"] = wire
