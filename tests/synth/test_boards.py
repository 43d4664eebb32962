"""Boards: PLLs, pins, and the flow to a bitstream with fake tools."""

import json
import re
from pathlib import Path

import pytest
from thresher.hdl.link.linked_core import LinkedCore
from thresher.spec import SPMM_PRESETS, AttentionConfig, ConfigError, coprocessor_preset
from thresher.spec.on_chip_config import OnChipConfig
from thresher.synth import flow
from thresher.synth.boards import BOARDS, board
from thresher.synth.boards import design as module
from thresher.synth.boards.design import design, small_memories_in_luts
from thresher.synth.boards.pll import make_pll
from thresher.synth.devices import Family, device
from thresher.synth.tools import Source, SynthesisError

from ..cli.runner import invoke, refused
from ..hdl.link.link_bench import IDENTITY, TwoQueues
from . import fake_tools
from .fake_tools import calls

pytestmark = pytest.mark.slow

SMALL = AttentionConfig(max_length=4, max_head_dim=2, lanes=2, predictor_lanes=2, output_lanes=1)
BAUD = 1_000_000
PAGE = (Path(__file__).parents[2] / "docs" / "boards.md").read_text(encoding="utf-8")
ICEBREAKER_PINS = {"clk12_0__io": "35", "uart_0__rx__io": "6", "uart_0__tx__io": "9"}
ECPIX5_PINS = {"clk100_0__io": "K23", "rst_0__io": "AB1", "uart_0__rx__io": "R26", "uart_0__tx__io": "R24"}


@pytest.fixture(autouse=True)
def small_core(monkeypatch):
    """Two queues take the place of the core, which takes seconds to generate."""

    def linked(_config, link):
        return LinkedCore(TwoQueues(), link, identity=IDENTITY)

    monkeypatch.setattr(module, "linked_core", linked)


# -- PLLs --------------------------------------------------------------------------------------


ECP5_NAMES = ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV", "CLKOP_CPHASE")
ICE40_NAMES = ("DIVR", "DIVF", "DIVQ", "FILTER_RANGE")


@pytest.mark.parametrize(
    ("family", "input_mhz", "wanted", "expected"),
    [
        (Family.ECP5, 25, 50, (1, 2, 12, 5)),
        (Family.ECP5, 25, 66, (8, 21, 9, 4)),
        (Family.ECP5, 100, 50, (2, 1, 12, 5)),
        (Family.ICE40, 12, 24, (0, 63, 5, 1)),
        (Family.ICE40, 12, 24.13, (0, 63, 5, 1)),
    ],
)
def test_settings_of_plls(tmp_path, family, input_mhz, wanted, expected):
    """Settings of the tools in the wheels. An ECP5 divides its feedback, an iCE40 its oscillator."""
    pll = make_pll(family, input_mhz, wanted, folder=tmp_path, source=Source.YOWASP)
    assert pll.parameters == dict(zip(ECP5_NAMES if family is Family.ECP5 else ICE40_NAMES, expected, strict=True))
    a, b, c, _ = expected
    made = input_mhz * b / a if family is Family.ECP5 else input_mhz * (b + 1) / (a + 1) / 2**c
    assert pll.output_mhz == pytest.approx(made)
    assert pll.output_mhz == pytest.approx(wanted, rel=0.02)


def test_clock_far_from_the_nearest_is_rejected(tmp_path):
    with pytest.raises(ConfigError, match=r"clock=5\.6 is not allowed: the nearest clock that the PLL makes is 5 MHz"):
        make_pll(Family.ECP5, 25, 5.6, folder=tmp_path, source=Source.YOWASP)


@pytest.mark.parametrize(("family", "limits"), [(Family.ECP5, "3.125 to 400"), (Family.ICE40, "16 to 275")])
@pytest.mark.parametrize("wanted", [0.5, 2000, 1e308, float("inf"), float("nan")])
def test_clock_outside_the_range_is_rejected(tmp_path, family, limits, wanted):
    with pytest.raises(ConfigError, match=f"the PLL makes clocks from {limits} MHz"):
        make_pll(family, 12, wanted, folder=tmp_path, source=Source.AUTO)


def test_plls_without_settings(tmp_path, monkeypatch):
    fake_tools.install(tmp_path / "bin", monkeypatch)
    (tmp_path / "bin" / "icepll").write_text("#!/bin/sh\necho 1.0\n")
    with pytest.raises(SynthesisError, match="icepll printed no settings of a PLL: see its log"):
        make_pll(Family.ICE40, 12, 24, folder=tmp_path, source=Source.NATIVE)
    (tmp_path / "bin" / "icepll").write_text("#!/bin/sh\necho 'Error: out of range!'\nexit 1\n")
    with pytest.raises(SynthesisError, match=r"icepll failed \(out of range!\)"):
        make_pll(Family.ICE40, 12, 24, folder=tmp_path, source=Source.NATIVE)


# -- designs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "clock", "pins"),
    [
        ("ulx3s-85f", None, {"clk25_0__io": "G2", "uart_0__rx__io": "M1", "uart_0__tx__io": "L4"}),
        (
            "ecpix5-85f",
            None,
            {"clk100_0__io": "K23", "uart_0__rx__io": "R26", "uart_0__tx__io": "R24", "rst_0__io": "AB1"},
        ),
        ("icebreaker", None, {"clk12_0__io": "35", "uart_0__rx__io": "6", "uart_0__tx__io": "9"}),
        ("icebreaker", 24, {"clk12_0__io": "35", "uart_0__rx__io": "6", "uart_0__tx__io": "9"}),
    ],
)
@pytest.mark.usefixtures("tools")
def test_pins_and_clocks(tmp_path, name, clock, pins):
    made = design(board(name), SMALL, folder=tmp_path, clock_mhz=clock, baud=BAUD)
    text = made.constraints
    found = dict(re.findall(r'LOCATE COMP "(\S+)" SITE "(\S+)";', text)) or dict(
        re.findall(r"set_io (\S+) (\S+)", text)
    )
    assert found == pins
    assert made.clock_mhz == (clock or made.board.clock_mhz)
    assert made.achieved_baud == pytest.approx(BAUD, rel=0.02)
    header = made.verilog[made.verilog.index("module board(") :]
    ports = set(re.findall(r"\w+__io", header[: header.index(";")]))
    assert ports == set(pins), "ports of the Verilog and pins of the constraints differ"


@pytest.mark.usefixtures("tools")
def test_plls_are_only_used_for_other_clocks(tmp_path):
    assert "SB_PLL40_PAD" not in design(board("icebreaker"), SMALL, folder=tmp_path, baud=BAUD).verilog
    assert "SB_PLL40_PAD" in design(board("icebreaker"), SMALL, folder=tmp_path, clock_mhz=24, baud=BAUD).verilog
    assert "EHXPLLL" in design(board("ulx3s-85f"), SMALL, folder=tmp_path, baud=BAUD).verilog
    assert "EHXPLLL" not in design(board("ulx3s-85f"), SMALL, folder=tmp_path, clock_mhz=25, baud=BAUD).verilog


def test_impossible_designs_are_rejected(tmp_path):
    with pytest.raises(ConfigError, match="baud=5000000 is not allowed: must be from 184 to 3000000"):
        design(board("icebreaker"), SMALL, folder=tmp_path, baud=5_000_000)
    with pytest.raises(ConfigError, match="clock=13"):
        design(board("icebreaker"), SMALL, folder=tmp_path, clock_mhz=13, baud=BAUD)
    for clock in (-1, 0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="must be a number of megahertz"):
            design(board("icebreaker"), SMALL, folder=tmp_path, clock_mhz=clock, baud=BAUD)


@pytest.mark.parametrize(("name", "size", "blocks"), [("ulx3s-85f", 432, 216), ("icebreaker", 16, 32)])
def test_a_memory_that_is_too_large_is_rejected(tmp_path, name, size, blocks):
    config = OnChipConfig(coprocessor=coprocessor_preset("tiny"), memory_kib=size)
    with pytest.raises(ConfigError, match=f"memory={size} is not allowed: takes {blocks} block memories"):
        design(board(name), config, folder=tmp_path, baud=BAUD)


def test_boards_have_placeable_devices():
    for each in BOARDS.values():
        chip = device(each.device)
        assert chip.routable
        assert each.speed is None or each.speed in chip.speeds
        assert "{bitstream}" in each.load
        assert f"| `{each.name}` | " in PAGE, "not listed in docs/boards.md"
    with pytest.raises(ConfigError, match="must be one of ulx3s-85f"):
        board("none")


# -- the flow ----------------------------------------------------------------------------------


@pytest.fixture
def tools(tmp_path, monkeypatch):
    fake_tools.install(tmp_path / "bin", monkeypatch)


def build(folder, *, name="ulx3s-85f", **changes):
    settings = {"preset": "small", "unit": "attention", "folder": folder, "source": Source.NATIVE, **changes}
    return flow.build(SMALL, board=board(name), **settings)


@pytest.mark.usefixtures("tools")
def test_bitstream(tmp_path):
    told = []
    result = build(tmp_path, seeds=(1, 3, 2), tell=told.append, announce=told.append)
    assert result.board is not None
    assert result.board.bitstream == tmp_path / "ulx3s-85f.bit"
    assert (result.board.clock_mhz, result.board.timing_met) == (50, True)
    assert result.board.load == f"openFPGALoader -b ulx3s {tmp_path / 'ulx3s-85f.bit'}"
    packed = (tmp_path / "ulx3s-85f.bit").read_text()
    assert packed.startswith("packed placed by")
    assert "83.0" in packed, "not of the fastest seed"
    assert 'LOCATE COMP "uart_0__rx__io" SITE "M1";' in packed
    yosys, *placed, pack = calls(tmp_path)
    assert "synth_ecp5 -top board" in yosys
    for seed, line in zip((1, 3, 2), placed, strict=True):
        assert "--85k --package CABGA381 --speed 6 --timing-allow-fail --freq 50" in line
        assert f"--seed {seed} --lpf board.lpf --textcfg seed-{seed}.config" in line
        assert "out-of-context" not in line
    assert pack == "pack --compress seed-3.config ulx3s-85f.bit"
    assert "generating Radiona ULX3S 85F" in told
    assert result.to_dict()["board"]["bitstream"] == str(result.board.bitstream)
    json.dumps(result.to_dict())


@pytest.mark.usefixtures("tools")
def test_bitstream_for_ice40(tmp_path):
    result = build(tmp_path, name="icebreaker")
    assert result.board is not None
    assert result.board.bitstream == tmp_path / "icebreaker.bin"
    yosys, place, pack = calls(tmp_path)
    assert "synth_ice40 -top board -dsp" in yosys
    assert "--up5k --package sg48 --timing-allow-fail --freq 12" in place
    assert "--pcf board.pcf --asc seed-1.asc" in place
    assert pack == "pack seed-1.asc icebreaker.bin"
    netlist = json.loads((tmp_path / "board.netlist.json").read_text())
    assert "i__valid" in netlist["modules"]["unit"]["ports"], "ports of a complete design were dropped"


@pytest.mark.usefixtures("tools")
def test_placed_designs_are_reused_unless_lost(tmp_path):
    build(tmp_path)
    build(tmp_path)
    assert [line.split()[0] for line in calls(tmp_path)] == ["yosys", "nextpnr", "pack", "pack"]
    (tmp_path / "seed-1.config").unlink()
    build(tmp_path)
    assert [line.split()[0] for line in calls(tmp_path)[4:]] == ["nextpnr", "pack"]
    build(tmp_path, clock_mhz=40)
    assert [line.split()[0] for line in calls(tmp_path)[6:]] == ["yosys", "nextpnr", "pack"]


@pytest.mark.usefixtures("tools")
def test_files_of_another_design_are_not_packed(tmp_path, monkeypatch):
    build(tmp_path)
    whole = (tmp_path / "ulx3s-85f.bit").read_text()
    with monkeypatch.context() as other:
        other.setenv("FAKE_REPORT", json.dumps({"fmax": {"clk": {"achieved": 20.0}}}))
        other.setenv("FAKE_EXIT", "1")
        with pytest.raises(SynthesisError):
            build(tmp_path, clock_mhz=40)
    build(tmp_path)
    assert (tmp_path / "ulx3s-85f.bit").read_text() == whole
    (tmp_path / "seed-1.config").write_text("placed by another")
    build(tmp_path)
    assert (tmp_path / "ulx3s-85f.bit").read_text() == whole


@pytest.mark.usefixtures("tools")
def test_incomplete_netlist(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_ROOM", "300")
    for _ in range(2):
        with pytest.raises(SynthesisError, match=r"^board\.netlist\.json is cut short: make room on the disk of"):
            build(tmp_path, name="icebreaker")
    assert not (tmp_path / "board.netlist.json.key").exists()


@pytest.mark.usefixtures("tools")
def test_without_place_and_route(tmp_path):
    result = build(tmp_path, place=False)
    assert [line.split()[0] for line in calls(tmp_path)] == ["yosys"]
    assert result.board is not None
    assert (result.board.bitstream, result.board.timing_met) == (None, None)


def test_parts_are_rejected(tmp_path):
    with pytest.raises(ConfigError, match="boards hold one of attention, spmm"):
        build(tmp_path, unit="softmax")


def test_missing_packer_is_reported_first(tmp_path, monkeypatch):
    fake_tools.install(tmp_path / "bin", monkeypatch)
    (tmp_path / "bin" / "ecppack").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(SynthesisError, match="ecppack is not on PATH"):
        build(tmp_path)
    assert not (tmp_path / "calls.txt").exists()


def test_small_memories_use_look_up_tables():
    small = ["  reg [15:0] table [255:0];", "  reg ready [63:0];"]
    large = ["  reg [0:0] table [256:0];", "  reg [16:0] table [255:0];", "  reg [9:0] x;"]
    found = small_memories_in_luts("\n".join([*small, *large]))
    mark = '  (* ram_style = "distributed" *)'
    assert found.split("\n") == [mark, small[0], mark, small[1], *large]


@pytest.mark.parametrize("name", ["yosys", "nextpnr-ecp5"])
def test_missing_tool_is_reported_before_the_design_is_made(tmp_path, monkeypatch, name):
    fake_tools.install(tmp_path / "bin", monkeypatch)
    (tmp_path / "bin" / name).unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    told = []
    with pytest.raises(SynthesisError, match=f"{name} is not on PATH"):
        build(tmp_path, tell=told.append)
    assert told == []


# -- the command -------------------------------------------------------------------------------

COMMAND = ("synth", "--board", "ulx3s-85f", "--preset", "tiny", "--tools", "native", "--config", "small.json")


@pytest.fixture
def small(tmp_path):
    fields = json.loads(SMALL.to_json())
    (tmp_path / "small.json").write_text(json.dumps(fields))


@pytest.mark.usefixtures("tools", "small")
def test_command(tmp_path):
    result = invoke(*COMMAND, "--clock", 60, "--baud", 115200)
    assert result.exit_code == 0, result.stderr
    assert "Radiona ULX3S 85F: 60 MHz, 115,200 baud (0.0% off)" in result.stdout
    path = "out/synth/tiny-attention-ulx3s-85f/ulx3s-85f.bit"
    assert f"bitstream: {path} (load it with `openFPGALoader -b ulx3s {path}`)" in result.stdout
    assert (tmp_path / path).exists()
    told = json.loads(invoke(*COMMAND, "--json").stdout)
    assert (told["board"]["name"], told["board"]["timing_met"]) == ("ulx3s-85f", True)
    assert told["estimates"]["lut4"]["measured"] == 0, "the link counts for the unit"
    assert told["speedup_source"].startswith("estimated cycles")
    assert told["gops_effective_75"] == pytest.approx(told["speedup_75"] * told["gops_dense"])


@pytest.mark.usefixtures("tools", "small")
def test_page_of_a_board():
    assert invoke(*COMMAND, "--seeds", 2).exit_code == 0
    folder = Path("out/synth/tiny-attention-ulx3s-85f")
    page = (folder / "report.html").read_text()
    assert "<td>50 MHz, reached</td>" in page
    assert "1,000,000 baud (0.0% off)" in page
    assert f"<code>{folder}/ulx3s-85f.bit</code>" in page
    assert f"<code>openFPGALoader -b ulx3s {folder}/ulx3s-85f.bit</code>" in page
    assert "(estimated cycles, L=4, d=2)" in page
    assert invoke(*COMMAND, "--clock", 90).exit_code == 1
    page = (folder / "report.html").read_text()
    assert "<td>90 MHz, <span class='short'>not reached</span></td>" in page
    assert "openFPGALoader" not in page


@pytest.mark.usefixtures("tools", "small")
def test_missed_clock():
    result = invoke(*COMMAND, "--clock", 90)
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert "the design reaches 81.0 MHz, not 90 MHz: choose a slower --clock, more --seeds, or --allow-slow" in line
    assert "ulx3s-85f.bit (too slow for its clock)" in result.stdout
    assert "openFPGALoader" not in result.stdout
    allowed = invoke(*COMMAND, "--clock", 90, "--allow-slow")
    assert allowed.exit_code == 0
    assert "ulx3s-85f.bit (load it with `openFPGALoader" in allowed.stdout


@pytest.mark.usefixtures("tools", "small")
def test_unwritable_page_is_reported_first(tmp_path):
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    told = refused(*COMMAND, "-o", "out")
    assert "cannot write 'out/report.html': it is a folder, choose another output" in told
    assert not (tmp_path / "out" / "calls.txt").exists()


@pytest.mark.usefixtures("tools", "small")
def test_seeds_without_progress_are_reported(monkeypatch):
    monkeypatch.setenv("FAKE_ROUTER", json.dumps({"1": [7500] * 600}))
    line = "seed 1 was given up: the router of nextpnr-ecp5 stood still"
    shown = invoke(*COMMAND, "--seeds", 2)
    assert shown.exit_code == 0, shown.stderr
    assert line in shown.stdout
    told = json.loads(invoke(*COMMAND, "--seeds", 2, "--json").stdout)
    assert (told["notes"], told["seeds"]) == ([line], {"2": 82.0})
    assert "every seed: try other seeds (--seeds 2 has one more)" in invoke(*COMMAND).stderr


@pytest.mark.usefixtures("tools", "small")
def test_too_large_for_a_board(monkeypatch):
    many = {f"m{i}": fake_tools.cell("MULT18X18D") for i in range(200)}
    monkeypatch.setenv("FAKE_NETLIST", fake_tools.netlist(many))
    result = invoke(*COMMAND)
    assert result.exit_code == 1
    assert "44 multipliers too many (200 of 156); choose a smaller configuration" in result.stderr


@pytest.mark.usefixtures("tools", "small")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--device", "lfe5u-85f"], "do not give it with --board"),
        (["--speed", "6"], "do not give it with --board"),
        (["--unit", "drain", "--config", "other.json"], "boards hold one of attention, spmm"),
        (["--baud", "40000000"], "must be from"),
        (["--clock", "5000"], "the PLL makes clocks from"),
        (["--clock", "1e9"], "the PLL makes clocks from 3.125 to 400 MHz"),
        (["--clock", "0"], "must be a number of megahertz"),
        (["--clock", "nan"], "must be a number of megahertz"),
        (["--clock", "inf"], "must be a number of megahertz"),
    ],
)
def test_invalid_options_are_rejected(options, told, tmp_path):
    (tmp_path / "other.json").write_text(SPMM_PRESETS["tiny"].to_json())
    assert re.search(told, refused(*COMMAND, *options))


@pytest.mark.parametrize("options", [["--baud", BAUD], ["--allow-slow"]])
def test_options_of_boards_need_a_board(options):
    told = refused("synth", "--preset", "tiny", *options)
    assert "only boards have one, give --board" in told
    assert told.startswith(f"error: {options[0]}")
