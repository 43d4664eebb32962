"""Resets of an ECP5 by the network that reaches all of the chip.

nextpnr gives that network to clocks only. A reset of tens of thousands of flip-flops then goes across the die in wires
that other connections need: in a large core the router drives out twice as many of them, and stands still. From the
network it takes a few short wires around each tile.
"""

from collections import Counter
from typing import Any

__all__ = ["MANY", "reset_globally"]

MANY = 1000
"""Flip-flops from which on their reset goes that way. There are sixteen such ways, more than clocks and resets."""

FLIP_FLOP, RESET = "TRELLIS_FF", "LSR"


def reset_globally(module: dict[str, Any]) -> int:
    """Put a DCCA between the resets of many flip-flops and these.

    What else reads such a signal stays where it is: the network leads to no look-up table.

    Parameters
    ----------
    module : dict
        Flat, in Yosys' JSON; changed in place.

    Returns
    -------
    int
        Resets that go that way now.
    """
    cells = module["cells"]
    flip_flops = [cell["connections"] for cell in cells.values() if cell["type"] == FLIP_FLOP]
    sinks = Counter(bit for pins in flip_flops for bit in pins.get(RESET, ()) if isinstance(bit, int))
    free = max((bit for bits in _bits(module) for bit in bits if isinstance(bit, int)), default=0) + 1
    spread = {bit: free + i for i, bit in enumerate(sorted(bit for bit, count in sinks.items() if count >= MANY))}
    for pins in flip_flops:
        if RESET in pins:
            pins[RESET] = [spread.get(bit, bit) for bit in pins[RESET]]
    for i, (bit, output) in enumerate(spread.items()):
        cells[f"global_reset_{i}"] = {
            "hide_name": 0,
            "type": "DCCA",
            "parameters": {},
            "attributes": {},
            "port_directions": {"CLKI": "input", "CE": "input", "CLKO": "output"},
            "connections": {"CLKI": [bit], "CE": ["1"], "CLKO": [output]},
        }
    return len(spread)


def _bits(module: dict[str, Any]) -> list[list[Any]]:
    """Of cells and ports; a wire that neither has may lend its name to a new one."""
    connections = [bits for cell in module["cells"].values() for bits in cell["connections"].values()]
    return connections + [port["bits"] for port in module["ports"].values()]
