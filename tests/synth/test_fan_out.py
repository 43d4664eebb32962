"""Copies of registers that drive many cells: none drives too many, and the netlist does what it did."""

import json
from collections import Counter

import pytest
from thresher.synth.fan_out import split_fan_out
from thresher.synth.tools import Source, find, run

CYCLES = 5
"""More than the design remembers."""

WIDTH = 23
# Two registers in a row, enabled and reset, and one alone; each reaches all bits of ``p`` or ``q``.
DESIGN = f"""
module top(input clk, input rst, input en, input x, input [{WIDTH - 1}:0] a, output reg [{WIDTH - 1}:0] p, q);
  reg first = 0, second = 0, third = 0;
  initial begin p = 0; q = 0; end
  always @(posedge clk) begin
    if (rst) first <= 0; else if (en) first <= x;
    second <= first;
    third <= x ^ en;
    p <= a ^ {{{WIDTH}{{second}}}};
    if (first) q <= a & {{{WIDTH}{{third}}}};
  end
endmodule
"""


def drives(module: dict) -> Counter:
    """Readers of each bit that a flip-flop drives."""
    flops = [cell for cell in module["cells"].values() if cell["type"] == "TRELLIS_FF"]
    found = Counter({cell["connections"]["Q"][0]: 0 for cell in flops})
    for cell in module["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                found.update(bit for bit in bits if bit in found)
    return found


@pytest.mark.parametrize("most", [2, 5, WIDTH, 1000])
def test_it_does_what_it_did(tmp_path, most):
    yosys = find("yosys", Source.AUTO)
    (tmp_path / "top.v").write_text(DESIGN)
    run(
        yosys,
        ["-p", "read_verilog top.v; synth_ecp5 -noiopad -top top; write_json mapped.json"],
        folder=tmp_path,
        log="map.log",
    )
    design = json.loads((tmp_path / "mapped.json").read_text())
    module = design["modules"]["top"]
    before = drives(module)
    added = split_fan_out(module, most=most)
    after = drives(module)
    assert max(before.values()) >= WIDTH
    assert max(after.values()) <= most
    assert len(after) == len(before) + added
    assert (added > 0) == (max(before.values()) > most)
    design["modules"] = {"top": module}
    (tmp_path / "changed.json").write_text(json.dumps(design))
    check = (
        "read_verilog top.v; prep -top top; rename top gold; design -stash gold; "
        "read_json changed.json; read_verilog -overwrite +/lattice/cells_sim_ecp5.v; "
        "hierarchy -top top; prep -flatten -top top; rename top gate; design -stash gate; "
        "design -copy-from gold gold; design -copy-from gate gate; "
        "miter -equiv -flatten -make_outputs gold gate miter; hierarchy -top miter; "
        f"dffunmap; sat -verify -prove trigger 0 -seq {CYCLES} -set-init-zero miter"
    )
    run(yosys, ["-p", check], folder=tmp_path, log="check.log")
