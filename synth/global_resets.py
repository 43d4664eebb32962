"""Resets on the global network of an ECP5.

nextpnr gives the global network to clocks only. The reset of tens of thousands of flip-flops then takes ordinary wires
across the die, and the router of a large core makes no progress. On the global network, the reset takes a few short
wires in each tile.
"""

from collections import Counter
from typing import Any

from .multiplier_places import Die

__all__ = ["MANY", "reset_globally"]

MANY = 1000
"""Least number of flip-flops of a reset on the global network."""
BUFFERS = 12
"""Buffers at the top of a die, and most resets on the network."""

FLIP_FLOP, RESET = "TRELLIS_FF", "LSR"


def reset_globally(module: dict[str, Any], die: Die | None = None) -> int:
    """Insert a DCCA between a reset and its flip-flops, if there are many.

    Other readers of the reset keep their wire, because the network does not reach look-up tables.

    Parameters
    ----------
    module : dict
        A flat module in Yosys' JSON. Changed in place.
    die : Die, optional
        Needed if nextpnr works out of context. There, it would route the network in tiles only, and place the DCCA
        where no wire reaches it.

    Returns
    -------
    int
        Number of resets on the global network.
    """
    cells = module["cells"]
    flip_flops = [cell["connections"] for cell in cells.values() if cell["type"] == FLIP_FLOP]
    sinks = Counter(bit for pins in flip_flops for bit in pins.get(RESET, ()) if isinstance(bit, int))
    free = max((bit for bits in _bits(module) for bit in bits if isinstance(bit, int)), default=0) + 1
    large = sorted(bit for bit, count in sinks.most_common(BUFFERS) if count >= MANY)
    spread = {bit: free + i for i, bit in enumerate(large)}
    for pins in flip_flops:
        if RESET in pins:
            pins[RESET] = [spread.get(bit, bit) for bit in pins[RESET]]
    names = module.setdefault("netnames", {})
    for i, (bit, output) in enumerate(spread.items()):
        name = f"global_reset_{i}"
        cells[name] = {
            "hide_name": 0,
            "type": "DCCA",
            "parameters": {},
            "attributes": {},
            "port_directions": {"CLKI": "input", "CE": "input", "CLKO": "output"},
            "connections": {"CLKI": [bit], "CE": ["1"], "CLKO": [output]},
        }
        if die is not None:
            cells[name]["attributes"]["BEL"] = f"X{die.gap_column}/Y0/TDCC{i}"
            names[name] = {"hide_name": 0, "bits": [output], "attributes": {"ECP5_IS_GLOBAL": f"{1:032b}"}}
    return len(spread)


def _bits(module: dict[str, Any]) -> list[list[Any]]:
    """Bits of cells, ports and names. The number of any other bit is free."""
    connections = [bits for cell in module["cells"].values() for bits in cell["connections"].values()]
    return connections + [each["bits"] for kind in ("ports", "netnames") for each in module.get(kind, {}).values()]
