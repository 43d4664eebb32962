"""Fakes of Yosys, nextpnr, the packers and the PLL tools. They write small netlists and reports."""

import dataclasses
import json
import sys
from pathlib import Path

from thresher.spec import PRESETS
from thresher.synth.devices import Capacity, device
from thresher.synth.flow import measure
from thresher.synth.measurement import Measurement
from thresher.synth.tools import Source


def cell(kind: str) -> dict[str, object]:
    wires = {"CLK": [2], "DI": [3], "Q": [4]} if kind == "TRELLIS_FF" else {}
    directions = {name: "output" if name == "Q" else "input" for name in wires}
    return {"type": kind, "parameters": {}, "port_directions": directions, "connections": wires}


def netlist(cells: dict[str, dict[str, object]]) -> str:
    """For the variable ``FAKE_NETLIST``: a netlist of these cells."""
    return json.dumps({"modules": {"unit": {"attributes": {"top": "1"}, "ports": {}, "cells": cells}}})


NETLIST = {
    "modules": {
        "LUT4": {"attributes": {"blackbox": "00000000000000000000000000000001"}, "cells": {}},
        "unit": {
            "attributes": {"top": "00000000000000000000000000000001"},
            "ports": {"clk": {"direction": "input", "bits": [2]}, "i__valid": {"direction": "input", "bits": [3]}},
            "cells": {
                "softmax$12": cell("$scopeinfo"),
                "softmax$12.tree$3": cell("$scopeinfo"),
                "softmax$12.tree$3.sum_CCU2C": cell("CCU2C"),
                "softmax$12.row.field[0]_LUT4": cell("LUT4"),
                "softmax$12.row.field[1]_LUT4": cell("LUT4"),
                "softmax$12.queue_FF": cell("TRELLIS_FF"),
                "memory.0.0": cell("TRELLIS_DPR16X4"),
                "wide": cell("PFUMX"),
                "product": cell("MULT18X18D"),
                "operands": cell("DP16KD"),
            },
        },
    }
}
"""On ECP5: 2 + 2 tables in softmax, of which its tree has two, and 4 beside."""

ICE40_CELLS = {"a": cell("SB_LUT4"), "b": cell("SB_DFFESR"), "c": cell("SB_CARRY")}


def _step(kind: str, delay: float, cell: str, to: str) -> dict[str, object]:
    end = {"loc": [1, 2], "port": "Q"}
    return {"type": kind, "delay": delay, "from": {"cell": cell, **end}, "to": {"cell": to, **end}}


REPORT = {
    "fmax": {"clk": {"achieved": 80.0, "constraint": 100.0}, "other": {"achieved": 400.0, "constraint": 100.0}},
    "utilization": {"TRELLIS_COMB": {"used": 9, "available": 83640}},
    "critical_paths": [
        {"from": "<async>", "to": "posedge clk", "path": [_step("routing", 99.0, "pin", "x")]},
        {
            "from": "posedge clk",
            "to": "posedge clk",
            "path": [
                _step("clk-to-q", 0.5, "softmax$12.queue_FF", "softmax$12.queue_FF"),
                _step("routing", 1.0, "softmax$12.queue_FF", "softmax$12.tree$3.sum_CCU2C"),
                _step("logic", 0.25, "softmax$12.tree$3.sum_CCU2C", "softmax$12.tree$3.sum_CCU2C"),
                _step("routing", 2.0, "softmax$12.tree$3.sum_CCU2C", "softmax$12.row.field[0]_LUT4"),
                _step("logic", 0.125, "softmax$12.row.field[0]_LUT4", "softmax$12.row.field[0]_LUT4"),
                _step("setup", 0.0, "wide", "wide"),
            ],
        },
    ],
}

YOSYS = """
import json, os, re, sys
from pathlib import Path
if "--version" in sys.argv:
    print("Yosys 0.99 (fake)"); sys.exit()
with Path("calls.txt").open("a") as calls:
    calls.write("yosys " + " ".join(sys.argv[1:]) + "\\n")
script = sys.argv[-1]
print("1. Executing Verilog-2005 frontend: unit.v")
print(os.environ.get("FAKE_TOLD", ""))
design = json.loads(os.environ["FAKE_NETLIST"])
if "synth_ice40" in script:
    design["modules"]["unit"]["cells"] = json.loads(os.environ["FAKE_ICE40"])
room = os.environ.get("FAKE_ROOM", "all")
if room != "none":
    text = json.dumps(design) if room == "all" else json.dumps(design)[: int(room)]
    Path(re.search(r"write_json (\\S+)", script)[1]).write_text(text)
"""

NEXTPNR = """
import json, os, sys, time
from pathlib import Path
if "--version" in sys.argv:
    print('"nextpnr" -- Next Generation Place and Route (Version nextpnr-0.99)', file=sys.stderr); sys.exit()
with Path("calls.txt").open("a") as calls:
    calls.write("nextpnr " + " ".join(sys.argv[1:]) + "\\n")
print("Info: Packing constants..", file=sys.stderr)
report = json.loads(os.environ["FAKE_REPORT"])
report["fmax"]["clk"]["achieved"] += int(sys.argv[sys.argv.index("--seed") + 1])
for i, left in enumerate(json.loads(os.environ["FAKE_ROUTER"]).get(sys.argv[sys.argv.index("--seed") + 1], [0])):
    line = f"{1000 * i:10d} | {i:8d} {i:10d} | {1000:4d} {0:5d} | {left:9d}| {0.3:10.2f} {i:10.2f}|"
    if sys.argv[sys.argv.index("--router") + 1] == "router2":
        line = f"    iter={i + 1} wires={100 * i} overused={left} overuse={left} archfail=NA"
    print(f"Info: {line}", flush=True)
if left:
    time.sleep(60)  # and so on
Path(sys.argv[sys.argv.index("--report") + 1]).write_text(json.dumps(report)[: int(os.environ["FAKE_REPORT_ROOM"])])
for option, kind in (("--textcfg", "lpf"), ("--asc", "pcf")):
    if option in sys.argv:
        constraints = Path(sys.argv[sys.argv.index("--" + kind) + 1]).read_text()
        Path(sys.argv[sys.argv.index(option) + 1]).write_text(f"placed by {report['fmax']}\\n{constraints}")
sys.exit(int(os.environ["FAKE_EXIT"]))
"""

PACKER = """
import sys
from pathlib import Path
if "--version" in sys.argv:
    print("Version 0.9-9"); sys.exit()
with Path("calls.txt").open("a") as calls:
    calls.write("pack " + " ".join(sys.argv[1:]) + "\\n")
source, target = sys.argv[-2:]
Path(target).write_text("packed " + Path(source).read_text())
"""

PLL = """
import sys
from pathlib import Path
if "--version" in sys.argv:
    print("Version 0.9-9"); sys.exit()
given, wanted = (round(float(sys.argv[sys.argv.index(option) + 1])) for option in ("-i", "-o"))
ecp5 = f".CLKI_DIV({given}), .CLKFB_DIV({wanted}), .CLKOP_DIV({600 // wanted}), .CLKOP_CPHASE(0), .RST(1'b0)"
ice40 = f".DIVR(4'b0000), .DIVF(7'b{wanted * 32 // given - 1:07b}), .DIVQ(3'b101), .FILTER_RANGE(3'b001)"
Path(sys.argv[sys.argv.index("-f") + 1]).write_text(ecp5 if "ecppll" in sys.argv[0] else ice40)
"""

PROGRAMS = {
    "yosys": YOSYS,
    "nextpnr-ecp5": NEXTPNR,
    "nextpnr-ice40": NEXTPNR,
    "ecppack": PACKER,
    "icepack": PACKER,
    "ecppll": PLL,
    "icepll": PLL,
}


def run(
    folder: Path, *, name: str = "lfe5u-85f", capacity: Capacity | None = None, unit: str = "value_sums", **options
) -> Measurement:
    """Measure a unit of ``tiny`` with the fakes."""
    chip = device(name) if capacity is None else dataclasses.replace(device(name), capacity=capacity)
    settings = {"preset": "tiny", "unit": unit, "folder": folder, "source": Source.NATIVE, **options}
    return measure(PRESETS["tiny"], device=chip, **settings)


def calls(folder: Path) -> list[str]:
    """The command lines of the fakes that ran in a folder."""
    return (folder / "calls.txt").read_text().splitlines()


def install(folder: Path, monkeypatch) -> None:
    """Put the programs of this file on PATH, before everything else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in PROGRAMS.items():
        program = folder / name
        program.write_text(f"#!{sys.executable}\n{text}")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("FAKE_NETLIST", json.dumps(NETLIST))
    monkeypatch.setenv("FAKE_ICE40", json.dumps(ICE40_CELLS))
    monkeypatch.setenv("FAKE_REPORT", json.dumps(REPORT))
    # What may go wrong: how much of the netlist ("none": no file, "all") and of the report is written; by seed, what
    # nextpnr's router tells of what is left, before it hangs unless the last is 0; exit code of nextpnr.
    monkeypatch.setenv("FAKE_ROOM", "all")
    monkeypatch.setenv("FAKE_REPORT_ROOM", "1000000")
    monkeypatch.setenv("FAKE_ROUTER", "{}")
    monkeypatch.setenv("FAKE_EXIT", "0")
