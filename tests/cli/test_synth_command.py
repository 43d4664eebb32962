"""The command ``synth``, with stand-ins for the tools."""

import dataclasses
import json
import time
from pathlib import Path

import pytest
from thresher.cost.estimate import estimate as estimate_of
from thresher.spec import PRESETS, SPMM_PRESETS
from thresher.synth import flow
from thresher.synth.devices import DEVICES, device
from thresher.synth.tools import Source

from ..synth import fake_tools
from .runner import invoke, refused

pytestmark = pytest.mark.slow

LFE5U_85F = device("lfe5u-85f")
PART = ("synth", "--preset", "tiny", "--unit", "value_sums", "--tools", "native")


@pytest.fixture(autouse=True)
def tools(tmp_path, monkeypatch):
    fake_tools.install(tmp_path / "bin", monkeypatch)
    monkeypatch.chdir(tmp_path)


def test_table_and_page(tmp_path):
    result = invoke(*PART, "--seeds", 3)
    assert result.exit_code == 0, result.stderr
    assert "value_sums of tiny on lfe5u-85f, speed grade 6; yosys 0.99 (native)" in result.stdout
    assert "8 of 83,640 LUT (0.0%)" in result.stdout
    assert "Fmax 82.0 MHz, median of seeds: 81.0, 82.0, 83.0" in result.stdout
    assert "Yosys 0.99 (native): value_sums for ecp5" in result.stderr  # what takes long is told
    page = tmp_path / "out" / "synth" / "tiny-value_sums-lfe5u-85f" / "report.html"
    assert page.read_text().startswith("<!doctype html>")


def test_json(tmp_path):
    result = invoke(*PART, "--no-pnr", "--json", "-o", tmp_path / "x")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["unit"], told["device"], told["lut4"], told["fmax_mhz"]) == ("value_sums", "lfe5u-85f", 8, None)
    assert Path(told["report"]) == tmp_path / "x" / "report.html"


def test_depth():
    told = json.loads(invoke(*PART, "--no-pnr", "--json", "--depth", 2).stdout)
    assert {block["name"]: block["lut"] for block in told["blocks"]} == {"(top)": 4, "softmax": 2, "softmax.tree": 2}


def test_changed_configuration(tmp_path):
    (tmp_path / "mine.json").write_text('{"lanes": 2}')
    invoke(*PART, "--no-pnr", "--config", tmp_path / "mine.json", "-o", "mine")
    verilog = {}
    for lanes in (1, 2):
        config = dataclasses.replace(PRESETS["tiny"], lanes=lanes)
        settings = {"preset": "tiny", "unit": "value_sums", "folder": tmp_path / str(lanes), "place": False}
        flow.measure(config, device=LFE5U_85F, source=Source.NATIVE, **settings)
        verilog[lanes] = (tmp_path / str(lanes) / "value_sums.v").read_text()
    assert (tmp_path / "mine" / "value_sums.v").read_text() == verilog[2] != verilog[1]


def test_a_part_has_no_multipliers_and_no_speedup():
    told = json.loads(invoke(*PART, "--json").stdout)
    names = ("multipliers", "lut4_per_multiplier", "speedup_75", "speedup_source", "gops_dense", "gops_effective_75")
    assert [told[name] for name in names] == [None] * len(names)


def test_too_large_says_by_how_much_of_what(monkeypatch):
    many = {f"m{i}": fake_tools.cell("DP16KD") for i in range(60)}
    monkeypatch.setenv("FAKE_NETLIST", fake_tools.netlist(many))
    result = invoke(*PART, "--device", "lfe5u-12f")
    assert result.exit_code == 1
    assert "60 of 56 block memories (107.1%)" in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert "4 block memories too many (60 of 56)" in line
    assert invoke(*PART, "--device", "lfe5u-12f", "--no-pnr").exit_code == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--unit", "nothing"], "must be one of attention,"),
        (["--unit", "drain", "--policy", "hdp"], "only attention has policies"),
        (["--speed", "9"], "lfe5u-85f has 6, 7, 8"),
        (["--device", "generic", "--speed", "6"], "only counted"),
        (["--no-pnr", "--speed", "6"], "leave --no-pnr out"),
        (["--config", "none.json"], "cannot read"),
    ],
)
def test_refusals(options, told):
    assert told in refused(*PART, *options)


def test_missing_and_failing_tools(tmp_path, monkeypatch):
    broken = tmp_path / "bin" / "yosys"
    broken.write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && { echo 1.0; exit; }\necho 'ERROR: out of luck' >&2\nexit 1\n"
    )
    result = invoke(*PART)
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert "yosys failed (out of luck): see its log" in line
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "yosys is not on PATH" in refused(*PART)


def test_an_estimate_takes_milliseconds():
    begun = time.thread_time()  # not the clock on the wall: the machine may be busy with other things
    for config in SPMM_PRESETS.values():
        estimate_of(config, fabric=LFE5U_85F.fabric, available=LFE5U_85F.available)
    assert time.thread_time() - begun < 1  # three presets


def test_estimate_command():
    told = json.loads(invoke("estimate", "--preset", "edge", "--unit", "spmm", "--json").stdout)
    assert told["multipliers"] == 128
    assert [row["sparsity"] for row in told["cycles"]] == [0.0, 0.5, 0.75, 0.9]
    told = json.loads(invoke("estimate", "--preset", "edge", "--json").stdout)
    taken = [row["cycles"] for row in told["cycles"]]
    assert taken[0] == 2 * 64 * 64 * 2  # without pruning, the array's own time: 64 × 64 blocks, two chunks, twice
    assert taken == sorted(taken, reverse=True)
    shown = invoke("estimate", "--preset", "tiny")
    assert shown.exit_code == 0
    assert "error" in shown.stdout
    assert "only attention has policies" in refused("estimate", "--unit", "spmm", "--policy", "hdp")


@pytest.mark.parametrize("name", DEVICES)
def test_estimates_for_every_chip(name):
    told = json.loads(invoke("estimate", "--preset", "tiny", "--device", name, "--json").stdout)["resources"]
    shown = invoke("estimate", "--preset", "tiny", "--device", name).stdout
    assert f"estimated for {name}" in shown
    capacity = device(name).capacity
    if capacity is None:
        assert told == {}
        assert "sizes are not estimated" in shown
        return
    assert "LUT4 and FF within ±30%" in shown
    assert told["lut4"]["available"] == capacity.lut
    assert told["dsp"]["estimate"] == (0 if name == "ice40hx8k" else 8)
    assert ("none there" in shown) == (name == "ice40hx8k")


def test_estimates_stand_beside_a_measurement():
    whole = ("synth", "--preset", "tiny", "--tools", "native", "--no-pnr")
    told = json.loads(invoke(*whole, "--json").stdout)["estimates"]
    assert told["lut4"]["measured"] == 8
    assert told["lut4"]["error"] == pytest.approx(told["lut4"]["estimate"] / 8 - 1)
    assert "estimated as a whole, which shares logic: lut4" in invoke(*whole, "--keep-hierarchy").stdout


def test_parts_have_no_estimates():
    assert json.loads(invoke(*PART, "--no-pnr", "--json").stdout)["estimates"] == {}
    assert "estimated" not in invoke(*PART, "--no-pnr").stdout
