"""Counts of cells in netlists, and reports of nextpnr."""

import json

import pytest
from thresher.spec import ConfigError
from thresher.synth.devices import DEVICES, Family, device
from thresher.synth.netlist import Resources, blocks, logic_cells, read_cells, scopes_of, total
from thresher.synth.timing import by_block, read_report
from thresher.synth.tools import SynthesisError

from . import fake_tools


@pytest.fixture
def netlist(tmp_path):
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps(fake_tools.NETLIST))
    return path


def test_blocks_of_a_netlist(netlist):
    listed = blocks(read_cells(netlist), Family.ECP5)
    assert [(block.name, block.resources) for block in listed] == [
        ("(top)", Resources(lut=4, lut_ram=1, mux=1, bram=1, dsp=1)),
        ("softmax", Resources(lut=4, logic_lut=2, carry=1, ff=1)),
    ]
    assert total(listed) == Resources(lut=8, logic_lut=2, carry=1, lut_ram=1, mux=1, ff=1, bram=1, dsp=1)


def test_deeper_blocks_are_submodules_only(netlist):
    listed = blocks(read_cells(netlist), Family.ECP5, depth=2)
    assert {block.name: block.resources.lut for block in listed} == {"(top)": 4, "softmax": 2, "softmax.tree": 2}


def of_kinds(kinds):
    """Cells of these types, without pins."""
    return {name: {"type": kind} for name, kind in kinds.items()}


def test_xilinx_and_gates():
    cells = {"a": "LUT6", "b": "LUT2", "c": "CARRY4", "d": "FDRE", "e": "RAM32M", "f": "RAMB36E1", "g": "DSP48E1"}
    (block,) = blocks(of_kinds(cells | {"h": "BUFG", "i": "RAMB18E1"}), Family.XILINX7)
    assert block.resources == Resources(lut=6, logic_lut=2, carry=1, lut_ram=1, ff=1, bram=3, dsp=1)
    (block,) = blocks(of_kinds({"a": "$_AND_", "b": "$_MUX_", "c": "$_SDFFE_PP0P_"}), Family.GENERIC)
    assert block.resources == Resources(gates=2, ff=1)


def ice40(kind: str, **pins: int | str) -> dict[str, object]:
    """A cell of an iCE40; wires are numbers, constants strings."""
    outputs = {"O", "Q", "CO", "RDATA"}
    return {
        "type": kind,
        "port_directions": {name: "output" if name in outputs else "input" for name in pins},
        "connections": {name: [bit] for name, bit in pins.items()},
    }


def test_logic_cells(tmp_path):
    cells = {
        "part": {"type": "$scopeinfo", "port_directions": {}, "connections": {}},
        "memory": ice40("SB_RAM40_4K", RDATA=50),
        # A chain: its first carry, whose carry-in is constant, the sum of the next operands, and one for its end.
        "part.first": ice40("SB_CARRY", I0=10, I1=11, CI="0", CO=12),
        "part.sum": ice40("SB_LUT4", I0="0", I1=13, I2=14, I3=12, O=15),
        "part.next": ice40("SB_CARRY", I0=13, I1=14, CI=12, CO=16),
        "part.other": ice40("SB_CARRY", I0=13, I1=14, CI=12, CO=17),
        "part.end": ice40("SB_LUT4", I0="0", I1="0", I2="0", I3=16, O=18),
        # Flip-flops behind the sum and the end; the latter is also read, so that its flip-flop stands alone.
        "part.sum_ff": ice40("SB_DFFESR", C=1, D=15, E=18, Q=20),
        "part.end_ff": ice40("SB_DFF", C=1, D=18, Q=21),
        # Behind a flip-flop, a memory, a constant; a table that only enables.
        "second_ff": ice40("SB_DFF", C=1, D=20, Q=22),
        "memory_ff": ice40("SB_DFFE", C=1, D=50, E=23, Q=24),
        "constant_ff": ice40("SB_DFFSR", C=1, D="0", Q=25),
        "enable": ice40("SB_LUT4", I0=21, I1=22, I2=24, I3=25, O=23),
    }
    path = tmp_path / "netlist.json"
    path.write_text(fake_tools.netlist(cells))
    cells = read_cells(path)
    alone = logic_cells(cells)
    beside = {"part.first", "part.other", "part.end_ff", "second_ff", "memory_ff", "constant_ff"}
    assert alone == {"part.sum", "part.end", "enable"} | beside
    listed = blocks(cells, Family.ICE40)
    assert [(block.name, block.resources) for block in listed] == [
        ("part", Resources(lut=2, logic_lut=2, carry=3, ff=2, cells=5)),
        ("(top)", Resources(lut=1, logic_lut=1, ff=3, bram=1, cells=4)),
    ]


def test_unknown_cells_are_errors():
    with pytest.raises(SynthesisError, match="STRANGE"):
        blocks(of_kinds({"a": "STRANGE"}), Family.ECP5)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"modules": {}}', '{"modules": {"a": {}}}'])
def test_files_that_are_no_netlist(tmp_path, text):
    path = tmp_path / "netlist.json"
    path.write_text(text)
    with pytest.raises(SynthesisError, match="not a netlist"):
        read_cells(path)


def test_report_of_nextpnr(tmp_path, netlist):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(fake_tools.REPORT))
    route = read_report(path, scopes_of(read_cells(netlist)))
    assert route.fmax_mhz == 80.0
    assert route.placed == {"TRELLIS_COMB": (9, 83640)}
    told = [(part.block, part.logic_ns, part.routing_ns, part.cells) for part in route.critical_path]
    assert told == [
        ("softmax", 0.5, 1.0, 1),
        ("softmax.tree", 0.25, 2.0, 1),
        ("softmax", 0.125, 0.0, 1),
        ("(top)", 0.0, 0.0, 1),
    ]
    summed = [(part.block, part.logic_ns, part.routing_ns, part.cells) for part in by_block(route.critical_path)]
    assert summed == [("softmax.tree", 0.25, 2.0, 1), ("softmax", 0.625, 1.0, 2), ("(top)", 0.0, 0.0, 1)]


def test_reports_without_a_clock_or_sense(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**fake_tools.REPORT, "fmax": {}}))
    with pytest.raises(SynthesisError, match="no path between two flip-flops"):
        read_report(path, frozenset())
    for text in ("", "[]", "{}", '{"fmax": {"clk": {}}}'):
        path.write_text(text)
        with pytest.raises(SynthesisError, match="not a report"):
            read_report(path, frozenset())


def test_devices():
    assert device("LFE5U-85F") is DEVICES["lfe5u-85f"]
    assert {each.family for each in DEVICES.values()} == set(Family)
    assert all(each.routable == (each.family in (Family.ECP5, Family.ICE40)) for each in DEVICES.values())
    with pytest.raises(ConfigError, match="must be one of lfe5u-12f"):
        device("lfe5u-99f")


def test_speed_grades():
    assert device("lfe5u-25f").speed(None) == 6
    assert device("lfe5u-25f").speed(8) == 8
    assert device("ice40up5k").speed(None) is None
    with pytest.raises(ConfigError, match="6, 7, 8"):
        device("lfe5u-25f").speed(5)
    with pytest.raises(ConfigError, match="leave it out"):
        device("ice40up5k").speed(6)
