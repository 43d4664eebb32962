"""From a configuration to a measurement, with fake tools."""

import dataclasses
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from thresher.hdl.emit import emit
from thresher.spec import PRESETS, SPMM_PRESETS, ConfigError
from thresher.spec.files import OutputError
from thresher.synth import flow, html, steps, units
from thresher.synth.devices import Capacity, device
from thresher.synth.flow import measure
from thresher.synth.measurement import Fit
from thresher.synth.multiplier_places import DIES
from thresher.synth.steps import Pins, Plan
from thresher.synth.tools import Source, SynthesisError

from ..bench_scripts import bench_script
from . import fake_tools
from .fake_tools import calls, run

pytestmark = pytest.mark.slow

TINY = PRESETS["tiny"]


@pytest.fixture(autouse=True)
def tools(tmp_path, monkeypatch):
    fake_tools.install(tmp_path / "bin", monkeypatch)


def test_measurement(tmp_path):
    told = []
    result = run(tmp_path, seeds=(1, 2, 5), speed=7, tell=told.append, announce=told.append)
    assert {seed: route.fmax_mhz for seed, route in result.routes.items()} == {1: 81.0, 2: 82.0, 5: 85.0}
    assert result.fmax_mhz == 82.0
    yosys, *placed = calls(tmp_path)
    assert "synth_ecp5 -top value_sums -noiopad" in yosys
    for seed, line in zip((1, 2, 5), placed, strict=True):
        assert {"--85k", "--out-of-context", "--timing-allow-fail"} <= set(line.split())
        assert f"--speed 7 --timing-allow-fail --freq 100 --router router1 --seed {seed}" in line
    assert any("Yosys 0.99 (native)" in line for line in told)
    assert "Yosys: Verilog-2005 frontend: unit.v" in told
    assert "nextpnr, seed 5: Packing constants.." in told


def test_json_of_a_measurement(tmp_path):
    told = json.loads(json.dumps(run(tmp_path, seeds=(1, 2, 5)).to_dict()))
    expected = {"lut4": 8, "logic_lut4": 2, "carry": 1, "ff": 1, "bram": 1, "dsp": 1, "cells": 0, "speed": 6}
    assert {name: told[name] for name in expected} == expected
    assert told["fmax_mhz"] == {"median": 82.0, "min": 81.0, "max": 85.0}
    assert told["fits"]["lut"] == {"used": 8, "available": 83640, "share": 8 / 83640, "missing": 0}
    assert [part["block"] for part in told["critical_path"]] == ["softmax.tree", "softmax", "(top)"]
    assert told["tools"] == {"yosys": "0.99 (native)", "nextpnr-ecp5": "nextpnr-0.99 (native)"}
    assert set(told["seconds"]) == {"yosys", "seed 1", "seed 2", "seed 5"}
    assert told["median_seed"] == 2
    # A part computes nothing on its own.
    for name in (
        "gops_dense",
        "gops_effective_75",
        "speedup_75",
        "speedup_source",
        "multipliers",
        "lut4_per_multiplier",
    ):
        assert told[name] is None


def test_operations_per_second(tmp_path):
    result = measure(
        SPMM_PRESETS["tiny"],
        preset="tiny",
        unit="spmm",
        device=device("lfe5u-85f"),
        folder=tmp_path,
        source=Source.NATIVE,
        speedup_75=3.5,
    )
    assert result.gops_dense == pytest.approx(2 * 8 * 81e6 / 1e9)
    assert result.gops_effective_75 == pytest.approx(3.5 * 2 * 8 * 81e6 / 1e9)
    told = result.to_dict()
    assert (told["multipliers"], told["lut4_per_multiplier"], told["speedup_75"]) == (8, 1.0, 3.5)


def test_files_are_reused(tmp_path):
    first = run(tmp_path, seeds=(1, 2))
    assert len(calls(tmp_path)) == 3
    again = run(tmp_path, seeds=(1, 2))
    assert len(calls(tmp_path)) == 3
    assert again == first
    run(tmp_path, seeds=(1, 2, 3))
    assert len(calls(tmp_path)) == 4
    run(tmp_path, seeds=(1,), speed=8)
    assert len(calls(tmp_path)) == 5
    (tmp_path / "value_sums.netlist.json").unlink()
    run(tmp_path, place=False)
    assert len(calls(tmp_path)) == 6


def test_another_design_in_the_same_folder(tmp_path, monkeypatch):
    run(tmp_path)
    monkeypatch.setattr(flow, "emit", lambda *args, **kwargs: emit(*args, **kwargs) + "\n// changed\n")
    run(tmp_path)
    assert [line.split()[0] for line in calls(tmp_path)] == ["yosys", "nextpnr", "yosys", "nextpnr"]


def test_files_of_an_interrupted_run_are_not_reused(tmp_path, monkeypatch):
    first = run(tmp_path, place=False)

    def interrupted(_module):
        raise KeyboardInterrupt

    with monkeypatch.context() as other:
        other.setattr(flow, "emit", lambda *args, **kwargs: emit(*args, **kwargs) + "\n// changed\n")
        other.setenv("FAKE_NETLIST", fake_tools.netlist({"only": fake_tools.cell("LUT4")}))
        other.setattr(steps, "take_registers_in", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, place=False)
    again = run(tmp_path, place=False)
    assert again.resources == first.resources
    assert [line.split()[0] for line in calls(tmp_path)] == ["yosys"] * 3


@pytest.mark.parametrize(("name", "tool"), [("value_sums.netlist.json", "yosys"), ("seed-1.json", "nextpnr")])
@pytest.mark.parametrize("change", [lambda text: text[:-20], lambda text: text.replace("softmax", "other")])
def test_changed_files_are_made_again(tmp_path, name, tool, change):
    first = run(tmp_path)
    whole = (tmp_path / name).read_text()
    (tmp_path / name).write_text(change(whole))
    again = run(tmp_path)
    assert again.to_dict() | {"seconds": {}} == first.to_dict() | {"seconds": {}}
    assert (tmp_path / name).read_text() == whole
    assert [line.split()[0] for line in calls(tmp_path)] == ["yosys", "nextpnr", tool]


def test_second_run_in_a_folder_is_rejected(tmp_path):
    def another(_line):
        run(tmp_path)

    with pytest.raises(OutputError, match=r"another run is at work in .*: wait until it ends, or choose another"):
        run(tmp_path, announce=another)
    assert run(tmp_path).fmax_mhz == 81.0


def test_lock_is_released_when_its_process_is_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from thresher.synth import flow\n"
        "with flow._claimed(Path(sys.argv[1])): print('locked', flush=True); time.sleep(300)\n"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "locked\n"
            with pytest.raises(OutputError, match="another run is at work"):
                run(tmp_path, place=False)
        finally:
            other.kill()
    assert run(tmp_path, place=False).resources.dsp == 1


@pytest.mark.parametrize(("room", "told"), [("300", "is cut short: make room"), ("none", "was not written: read")])
def test_incomplete_netlist(tmp_path, monkeypatch, room, told):
    monkeypatch.setenv("FAKE_ROOM", room)
    for name in ("lfe5u-85f", "ice40up5k", "xc7a35t"):
        with pytest.raises(SynthesisError, match=rf"^value_sums\.netlist\.json {told}"):
            run(tmp_path, name=name)
    monkeypatch.setenv("FAKE_ROOM", "all")
    assert run(tmp_path).resources.dsp == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Warning: Driver-driver conflict for \\a [0] between cell b and constant", "made a wrong netlist"),
        ("ERROR: invalid OPTION_ABITS/WIDTH combination", "cannot make a memory of one port .* two row engines"),
    ],
)
def test_errors_of_yosys(tmp_path, monkeypatch, line, told):
    """Yosys may have written a netlist all the same."""
    monkeypatch.setenv("FAKE_TOLD", line)
    with pytest.raises(SynthesisError, match=f"^yosys {told}"):
        run(tmp_path, place=False)
    monkeypatch.setenv("FAKE_TOLD", "")
    assert run(tmp_path, place=False).resources.dsp == 1


def test_older_netlist_does_not_replace_a_missing_one(tmp_path, monkeypatch):
    run(tmp_path, place=False)
    monkeypatch.setenv("FAKE_ROOM", "none")
    with pytest.raises(SynthesisError, match="was not written"):
        run(tmp_path, name="lfe5u-25f", place=False)


def test_incomplete_report(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_REPORT_ROOM", "100")
    with pytest.raises(SynthesisError, match=r"^seed-1\.json is cut short: make room"):
        run(tmp_path)
    monkeypatch.setenv("FAKE_REPORT_ROOM", "1000000")
    assert run(tmp_path).fmax_mhz == 81.0


def test_bench_reports_errors_in_one_line(tmp_path, monkeypatch, capsys):
    bench = bench_script("synth")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("sys.argv", ["synth.py", "--output", str(tmp_path / "file"), "--tools", "native"])
    assert bench.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: cannot write ")
    monkeypatch.setattr("sys.argv", ["synth.py", "--seeds", "-2"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "-2 is not a number of runs" in capsys.readouterr().err


def test_damaged_note_is_ignored(tmp_path):
    run(tmp_path, place=False)
    (tmp_path / "value_sums.netlist.json.key").write_text("{")
    run(tmp_path, place=False)
    assert len(calls(tmp_path)) == 2


def test_without_place_and_route(tmp_path):
    result = run(tmp_path, place=False)
    assert [line.split()[0] for line in calls(tmp_path)] == ["yosys"]
    assert (result.fmax_mhz, result.speed, result.critical_path, result.gops_dense) == (None, None, (), None)
    assert result.to_dict()["fmax_mhz"] is None
    with pytest.raises(ConfigError, match="leave --no-pnr out"):
        run(tmp_path, place=False, speed=6)
    with pytest.raises(ConfigError, match="leave --no-pnr out"):
        run(tmp_path, place=False, clock_mhz=50)


def test_the_target_clock(tmp_path):
    """Without one it is 100 MHz. Another target is another run of nextpnr, on the same netlist."""
    run(tmp_path, clock_mhz=62.5)
    run(tmp_path)
    assert [line.split()[0] for line in calls(tmp_path)] == ["yosys", "nextpnr", "nextpnr"]
    assert "--freq 62.5 " in calls(tmp_path)[1]
    assert "--freq 100 " in calls(tmp_path)[2]


@pytest.mark.parametrize("clock", [0, -1, math.nan, math.inf])
def test_a_target_clock_is_positive(clock, tmp_path):
    with pytest.raises(ConfigError, match="must be a number of megahertz"):
        run(tmp_path / "out", clock_mhz=clock)
    assert not (tmp_path / "out").exists()


def test_devices_without_place_and_route(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_NETLIST", fake_tools.netlist({"a": fake_tools.cell("$_AND_")}))
    result = run(tmp_path, name="generic")
    assert (result.resources.gates, result.fits, result.routes) == (1, {}, {})
    assert run(tmp_path, name="generic", keep_hierarchy=True).notes == (), "gates are always counted by block"
    with pytest.raises(ConfigError, match="only counted"):
        run(tmp_path, name="xc7a35t", speed=1)


@pytest.mark.parametrize(
    ("name", "whole", "by_block"),
    [
        (
            "lfe5u-25f",
            "synth_ecp5 -top value_sums -noiopad;",
            "synth_ecp5 -top value_sums -noflatten -noiopad; flatten;",
        ),
        (
            "ice40up5k",
            "synth_ice40 -top value_sums -dsp -run",
            "synth_ice40 -top value_sums -noflatten -dsp -run map_ram",
        ),
        ("ice40hx8k", "synth_ice40 -top value_sums;", "synth_ice40 -top value_sums -noflatten; flatten;"),
        ("xc7a35t", "-top value_sums -flatten; autoname;", "-noclkbuf -top value_sums; flatten;"),
    ],
)
def test_keep_hierarchy(tmp_path, monkeypatch, name, whole, by_block):
    """A flat netlist is not reused for one by block."""
    monkeypatch.setenv("FAKE_NETLIST", fake_tools.netlist({}))
    monkeypatch.setenv("FAKE_ICE40", "{}")
    result = run(tmp_path, name=name, place=False, keep_hierarchy=True)
    assert result.notes == (flow.ALONE,)
    assert result.to_dict()["keep_hierarchy"]
    assert run(tmp_path, name=name, place=False).notes == ()
    first, second = calls(tmp_path)
    assert by_block in first
    assert "flatten; opt_clean" in first
    assert whole in second


@pytest.mark.parametrize("pins", [None, Pins(constraints="", package="CABGA381")])
def test_resets_use_the_global_network_of_an_ecp5(pins):
    plan = Plan(top="top", verilog="", device=device("lfe5u-25f"), speed=6, pins=pins)
    other = dataclasses.replace(plan, device=device("ice40up5k"))
    assert "moving resets to the global network" in steps.changes(plan)
    assert "moving resets to the global network" not in steps.changes(other)


def test_too_large_designs_are_not_placed(tmp_path, monkeypatch):
    many = {f"m{i}": fake_tools.cell("MULT18X18D") for i in range(30)}
    monkeypatch.setenv("FAKE_NETLIST", fake_tools.netlist(many))
    result = run(tmp_path, name="lfe5u-25f")
    assert [line.split()[0] for line in calls(tmp_path)] == ["yosys"]
    assert {name: fit.missing for name, fit in result.too_large.items()} == {"dsp": 2}
    assert result.notes == ("not placed: lfe5u-25f is too small",)
    page = html.page(result)
    assert "lacks 2 multipliers" in page
    assert "30 of 28 (107.1%)" in page
    assert "look-up tables by block" not in page, "there are none"


def test_logic_cells_of_an_ice40_must_fit(tmp_path, monkeypatch):
    """Look-up tables and flip-flops fit separately, but not together."""
    tables = {f"t{i}": fake_tools.cell("SB_LUT4") for i in range(4)}
    monkeypatch.setenv("FAKE_ICE40", json.dumps(tables | {f"f{i}": fake_tools.cell("SB_DFF") for i in range(3)}))
    result = run(tmp_path, name="ice40up5k", capacity=Capacity(lut=5, ff=5, bram=1, dsp=1))
    assert (result.resources.lut, result.resources.ff, result.resources.cells) == (4, 3, 7)
    assert result.too_large == {"lut": Fit(used=7, available=5, share=1.4, missing=2)}
    assert [line.split()[0] for line in calls(tmp_path)] == ["yosys"]
    assert "lacks 2 logic cells" in html.page(result)


NO_ROOM = """#!/bin/sh
[ "$1" = --version ] && { echo 'nextpnr-0.99'; exit; }
echo 'Info: Device utilisation:'
echo 'Info: 	         ICESTORM_LC:    6683/   5280   126%'
echo 'Info: 	        ICESTORM_RAM:      28/     30    93%'
echo "ERROR: Unable to place cell 'a_LC', no BELs remaining to implement cell type 'ICESTORM_LC'"
exit 1
"""


def test_full_device_is_reported_with_counts(tmp_path):
    (tmp_path / "bin" / "nextpnr-ice40").write_text(NO_ROOM)
    told = "does not fit ice40up5k: 1,403 too many (6,683 of 5,280 ICESTORM_LC by nextpnr's count); choose a smaller"
    with pytest.raises(SynthesisError, match=re.escape(told)):
        run(tmp_path, name="ice40up5k")


def test_many_multipliers_are_placed(tmp_path, monkeypatch):
    cells = {f"array.m{i}": fake_tools.cell("MULT18X18D") | {"attributes": {"src": f"unit.v:{i}.1"}} for i in range(16)}
    monkeypatch.setenv("FAKE_NETLIST", fake_tools.netlist(cells))
    run(tmp_path, name="lfe5u-25f")
    design = json.loads((tmp_path / "value_sums.netlist.json").read_text())
    found = [cell["attributes"]["BEL"] for cell in design["modules"]["unit"]["cells"].values()]
    assert found == DIES[28].walk(16)
    run(tmp_path, name="lfe5u-85f")  # in the same folder: another chip's places
    design = json.loads((tmp_path / "value_sums.netlist.json").read_text())
    assert not any("BEL" in cell["attributes"] for cell in design["modules"]["unit"]["cells"].values())


def test_ice40_netlist_keeps_only_the_clock(tmp_path):
    result = run(tmp_path, name="ice40up5k")
    assert result.speed is None
    assert (result.resources.lut, result.resources.carry, result.resources.ff) == (1, 1, 1)
    design = json.loads((tmp_path / "value_sums.netlist.json").read_text())
    assert set(design["modules"]["unit"]["ports"]) == {"clk"}
    assert "synth_ice40 -top value_sums -dsp -run begin:map_ram; simplemap t:SB_MAC16" in calls(tmp_path)[0]
    run(tmp_path, name="ice40hx8k", place=False)
    assert "synth_ice40 -top value_sums; write_json" in calls(tmp_path)[-1]


def test_brackets_in_names_are_replaced(tmp_path):
    run(tmp_path, unit="pe_array", place=False)
    text = (tmp_path / "pe_array.v").read_text()
    assert re.search(r"\\\S+\(\d+\)", text)
    assert not re.search(r"\\\S*\[", text)


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        run(tmp_path / "file" / "folder")


PARTS = sorted({*units.ATTENTION_UNITS, *units.SPMM_UNITS} - {"attention", "spmm"})


@pytest.mark.parametrize("name", PARTS)
def test_parts_can_be_emitted(name):
    config = TINY if name in units.ATTENTION_UNITS else SPMM_PRESETS["tiny"]
    top, component = units.make(name, config)
    assert top == name
    assert f"module {name}(" in emit(component, name=top)


@pytest.mark.parametrize(("name", "config"), [("spmm", TINY), ("attention", SPMM_PRESETS["tiny"]), ("none", TINY)])
def test_units_of_the_other_kind_are_rejected(name, config):
    with pytest.raises(ConfigError, match="must be one of"):
        units.make(name, config)


def test_page_refers_to_no_other_file(tmp_path):
    class Reader(HTMLParser):
        tags: list[str]

        def handle_starttag(self, tag, attrs):
            self.tags.append(tag)
            names = {name for name, _ in attrs}
            assert not names & {"src", "href", "srcset", "onload"}

    estimates = {"lut4": {"estimate": 1234, "measured": 1000, "error": 0.234, "band": 0.3}}
    text = html.write(run(tmp_path, seeds=(1, 2), preset="<tiny>"), tmp_path / "x.html", estimates).read_text()
    reader = Reader()
    reader.tags = []
    reader.feed(text)
    # Shares of the device, look-up tables, flip-flops, memories and multipliers by block, seeds, critical path.
    assert reader.tags.count("figure") == 7
    assert text.count("class='frame'") == 4  # all of the device, of each share
    assert "Critical path of seed 1" in text
    assert re.search(r"yosys \d+\.\d s, seed 1 \d+\.\d s, seed 2 \d+\.\d s", text)
    assert "<td>1,234</td><td>1,000</td><td>+23.4%</td>" in text
    assert not {"script", "link", "img", "iframe"} & set(reader.tags)
    assert "<tiny>" not in text
    assert "&lt;tiny&gt;" in text
    assert "82.0 MHz" in text
