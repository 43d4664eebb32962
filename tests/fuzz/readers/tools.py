"""What Yosys and nextpnr write."""

from pathlib import Path

from thresher.synth.boards.pll import read_settings
from thresher.synth.devices import Family
from thresher.synth.netlist import blocks, read_cells, scopes_of, total
from thresher.synth.timing import by_block, read_report

from ...synth.fake_tools import ICE40_CELLS, NETLIST, REPORT
from ..reader import FuzzReader
from ..trees import kinded_bytes, kinded_tree

__all__ = ["READERS"]


def _read(data: bytes, folder: Path) -> None:
    """The first line says what the rest is: a report, settings of a PLL, or a netlist of a family."""
    kind, _, content = data.partition(b"\n")
    path = folder / "file"
    path.write_bytes(content)
    match kind.decode("latin-1"):
        case "report":
            by_block(read_report(path, {"softmax", "softmax.tree"}).critical_path)
        case "pll":
            read_settings(path, Family.ECP5)
        case name:
            family = Family(name) if name in set(Family) else Family.ECP5
            cells = read_cells(path)
            scopes_of(cells)
            total(blocks(cells, family, depth=2))


def _seeds() -> dict[str, bytes]:
    ice40 = {"modules": {"unit": {"attributes": {"top": "1"}, "ports": {}, "cells": ICE40_CELLS}}}
    return {
        "report": kinded_bytes(["report", REPORT]),
        "ecp5": kinded_bytes([str(Family.ECP5), NETLIST]),
        "ice40": kinded_bytes([str(Family.ICE40), ice40]),
        "pll": b"pll\npll u (.CLKI_DIV(2), .CLKFB_DIV(3), .CLKOP_DIV(4'b0011), .CLKOP_CPHASE(0), .RST(1'b0));",
    }


READERS = {
    "tools": FuzzReader(
        name="tools",
        what="netlists of Yosys, reports of nextpnr, settings of PLLs",
        read=_read,
        seeds=_seeds,
        split=kinded_tree,
        join=kinded_bytes,
        words=[
            *("modules", "attributes", "top", "cells", "connections", "port_directions", "input", "type", "$scopeinfo"),
            *(
                "SB_LUT4",
                "SB_CARRY",
                "SB_DFF",
                "fmax",
                "achieved",
                "utilization",
                "critical_paths",
                "path",
                "from",
                "to",
            ),
            *("delay", "report"),
        ],
    ),
}
