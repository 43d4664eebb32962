"""Registers taken into multipliers: which ones, and a proof by Yosys' SAT solver that the netlist is equivalent."""

import json

import pytest
from thresher.synth.multiplier_registers import take_registers_in
from thresher.synth.tools import Source, find, run

pytestmark = pytest.mark.slow

CYCLES = 7
"""Longer than the memory of any design."""

# Ports of MULT18X18D that Yosys or the change connect.
MODEL = """
module MULT18X18D({ports}, output {outputs});
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0", REG_INPUTB_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE1", REG_OUTPUT_RST = "RST1";
  wire signed [17:0] a_in = {{{a}}}, b_in = {{{b}}};
  reg signed [17:0] a_held = 0, b_held = 0;
  reg signed [35:0] p_held = 0;
  wire signed [17:0] a = REG_INPUTA_CLK == "NONE" ? a_in : a_held;
  wire signed [17:0] b = REG_INPUTB_CLK == "NONE" ? b_in : b_held;
  wire signed [18:0] wide_a = {{SIGNEDA & a[17], a}}, wide_b = {{SIGNEDB & b[17], b}};
  wire signed [35:0] product = wide_a * wide_b;
  always @(posedge CLK0) if (CE0) a_held <= RST0 ? 18'd0 : a_in;
  always @(posedge CLK0) if (CE0) b_held <= RST0 ? 18'd0 : b_in;
  always @(posedge CLK1) if (CE1) p_held <= RST1 ? 36'd0 : product;
  assign {{{p}}} = REG_OUTPUT_CLK == "NONE" ? product : p_held;
endmodule
"""

HEAD = "module top(input clk, input rst, input en, input signed [2:0] a, b, c, output reg signed [5:0] p, q);\n"
PLAIN = """
  reg signed [2:0] x = 0, y = 0;
  initial {p, q} = 0;
  always @(posedge clk) begin x <= a; y <= b; p <= x * y; end
"""
DESIGNS = {
    # name: body, multipliers whose operands and whose products are taken in
    "plain": (PLAIN + "always @* q = 0;", 1, 1),
    "another reader of an operand": (PLAIN + "always @(posedge clk) q <= x;", 1, 1),
    "shared operand": (
        "reg signed [2:0] x = 0, y = 0, z = 0; initial {p, q} = 0;"
        "always @(posedge clk) begin x <= a; y <= b; z <= c; p <= x * y; q <= x * z; end",
        2,
        2,
    ),
    "chain": (
        "reg signed [2:0] x = 0, y = 0, z = 0; initial {p, q} = 0;"
        "always @(posedge clk) begin x <= a; y <= b; z <= c; p <= x * y; q <= p[2:0] * z; end",
        1,
        2,
    ),
    "reset": (
        "reg signed [2:0] x = 0, y = 0; initial {p, q} = 0; always @* q = 0;"
        "always @(posedge clk) begin x <= a; if (rst) y <= 0; else y <= b; p <= x * y; end",
        0,
        1,
    ),
    "enable": (
        "reg signed [2:0] x = 0, y = 0; initial {p, q} = 0; always @* q = 0;"
        "always @(posedge clk) begin x <= a; y <= b; if (en) p <= x * y; end",
        1,
        1,
    ),
    "two enables": (
        "reg signed [2:0] x = 0, y = 0; initial {p, q} = 0; always @* q = 0;"
        "always @(posedge clk) begin if (en) x <= a; if (rst) y <= b; p <= x * y; end",
        0,
        1,
    ),
    "everything enabled": (
        "reg signed [2:0] x = 0, y = 0; initial {p, q} = 0; always @* q = 0;"
        "always @(posedge clk) if (en) begin x <= a; y <= b; p <= x * y; end",
        1,
        1,
    ),
    "initial value": (
        "reg signed [2:0] x = 1, y = 0; initial {p, q} = 0; always @* q = 0;"
        "always @(posedge clk) begin x <= a; y <= b; p <= x * y; end",
        0,
        1,
    ),
    "other edge": (
        "reg signed [2:0] x = 0, y = 0; initial {p, q} = 0; always @* q = 0;"
        "always @(negedge clk) begin x <= a; y <= b; end always @(posedge clk) p <= x * y;",
        0,
        1,
    ),
    "only some of the product": (
        "reg signed [2:0] x = 0, y = 0; reg signed [5:0] r; initial {p, q} = 0; always @* q = 0;"
        "always @* r = x * y; always @(posedge clk) begin x <= a; y <= b; p <= r >>> 2; end",
        1,
        1,
    ),
    "product read at once, too": (
        "reg signed [2:0] x = 0, y = 0; initial p = 0;"
        "always @* q = x * y; always @(posedge clk) begin x <= a; y <= b; p <= x * y; end",
        1,
        0,
    ),
}


def model() -> str:
    def bits(letter: str, count: int) -> list[str]:
        return [f"{letter}{i}" for i in range(count)]

    a, b, c, p = bits("A", 18), bits("B", 18), bits("C", 18), bits("P", 36)
    others = ["SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB", "CLK0", "CE0", "RST0", "CLK1", "CE1", "RST1"]
    return MODEL.format(
        ports=", ".join(f"input {name}" for name in [*a, *b, *c, *others]),
        outputs=", ".join(p),
        a=", ".join(reversed(a)),
        b=", ".join(reversed(b)),
        p=", ".join(reversed(p)),
    )


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """Folder of the designs, each mapped to an ECP5, and of the netlists with their registers taken in."""
    folder = tmp_path_factory.mktemp("mapped")
    script = []
    for index, (body, *_) in enumerate(DESIGNS.values()):
        (folder / f"{index}.v").write_text(f"{HEAD}{body}\nendmodule\n")
        script.append(f"read_verilog {index}.v; synth_ecp5 -noiopad -top top; write_json {index}.json; design -reset")
    run(find("yosys", Source.AUTO), ["-p", "; ".join(script)], folder=folder, log="map.log")
    for index in range(len(DESIGNS)):
        module = json.loads((folder / f"{index}.json").read_text())["modules"]["top"]
        take_registers_in(module)
        (folder / f"{index}.changed.json").write_text(json.dumps({"modules": {"top": module}}))
    return folder


@pytest.mark.parametrize("name", DESIGNS)
def test_registers_that_are_taken_in(mapped, name):
    _, operands, products = DESIGNS[name]
    changed = mapped / f"{list(DESIGNS).index(name)}.changed.json"
    cells = json.loads(changed.read_text())["modules"]["top"]["cells"].values()
    multipliers = [cell["parameters"] for cell in cells if cell["type"] == "MULT18X18D"]
    assert sum("REG_INPUTA_CLK" in each for each in multipliers) == operands
    assert sum("REG_INPUTB_CLK" in each for each in multipliers) == operands
    assert sum("REG_OUTPUT_CLK" in each for each in multipliers) == products


def test_changed_netlists_are_equivalent(mapped):
    """The solver knows one edge of the clock only."""
    (mapped / "model.v").write_text(model())
    script = [
        f"log design: {name}; read_verilog {index}.v; prep -top top; rename top gold; design -stash gold; "
        f"read_json {index}.changed.json; read_verilog model.v; "
        "read_verilog -overwrite +/lattice/cells_sim_ecp5.v; "
        "hierarchy -top top; prep -flatten -top top; rename top gate; design -stash gate; "
        "design -copy-from gold gold; design -copy-from gate gate; "
        "miter -equiv -flatten -make_outputs gold gate miter; hierarchy -top miter; "
        f"dffunmap; sat -verify -prove trigger 0 -seq {CYCLES} -set-init-zero miter; design -reset"
        for index, (name, (body, *_)) in enumerate(DESIGNS.items())
        if "negedge" not in body
    ]
    run(find("yosys", Source.AUTO), ["-p", "; ".join(script)], folder=mapped, log="check.log")
    assert (mapped / "check.log").read_text().count("SAT proof finished - no model found: SUCCESS!") == len(script)
