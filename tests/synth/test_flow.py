"""The steps from a configuration to a measurement, with stand-ins for the tools."""

import json
import re
from html.parser import HTMLParser

import pytest
from thresher.hdl.verilog import emit
from thresher.spec import PRESETS, SPMM_PRESETS, ConfigError
from thresher.synth import flow, html, units
from thresher.synth.devices import device
from thresher.synth.flow import measure
from thresher.synth.multiplier_places import DIES
from thresher.synth.tools import Source
from thresher.synth.verilog import OutputError

from . import fake_tools

TINY = PRESETS["tiny"]


@pytest.fixture(autouse=True)
def tools(tmp_path, monkeypatch):
    fake_tools.install(tmp_path / "bin", monkeypatch)


def run(folder, *, name="lfe5u-85f", **changes):
    settings = {"preset": "tiny", "unit": "value_sums", "folder": folder, "source": Source.NATIVE, **changes}
    return measure(TINY, device=device(name), **settings)


def calls(folder):
    return (folder / "calls.txt").read_text().splitlines()


def test_a_measurement(tmp_path):
    told = []
    result = run(tmp_path, seeds=(1, 2, 5), speed=7, tell=told.append, announce=told.append)
    assert {seed: route.fmax_mhz for seed, route in result.routes.items()} == {1: 81.0, 2: 82.0, 5: 85.0}
    assert result.fmax_mhz == 82.0
    yosys, *placed = calls(tmp_path)
    assert "synth_ecp5 -noiopad -top value_sums" in yosys
    for seed, line in zip((1, 2, 5), placed, strict=True):
        assert {"--85k", "--out-of-context", "--timing-allow-fail"} <= set(line.split())
        assert f"--speed 7 --timing-allow-fail --freq 100 --seed {seed}" in line
    assert any("Yosys 0.99 (native)" in line for line in told)
    assert "Yosys: Verilog-2005 frontend: unit.v" in told
    assert "nextpnr, seed 5: Packing constants.." in told


def test_the_json_of_a_measurement(tmp_path):
    told = json.loads(json.dumps(run(tmp_path, seeds=(1, 2, 5)).to_dict()))
    expected = {"lut4": 8, "logic_lut4": 2, "carry": 1, "ff": 1, "bram": 1, "dsp": 1, "speed": 6, "lanes": 4}
    assert {name: told[name] for name in expected} == expected
    assert told["fmax_mhz"] == {"median": 82.0, "min": 81.0, "max": 85.0}
    assert told["fits"]["lut"] == {"used": 8, "available": 83640, "share": 8 / 83640, "missing": 0}
    assert [part["block"] for part in told["critical_path"]] == ["softmax.tree", "softmax", "(top)"]
    assert told["tools"] == {"yosys": "0.99 (native)", "nextpnr-ecp5": "nextpnr-0.99 (native)"}
    assert set(told["seconds"]) == {"yosys", "seed 1", "seed 2", "seed 5"}
    assert told["gops_dense"] is None  # a part computes nothing on its own


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


def test_nothing_is_made_twice(tmp_path):
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


def test_a_soiled_note_is_no_note(tmp_path):
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


def test_devices_that_are_only_counted(tmp_path, monkeypatch):
    cells = {"a": {"type": "$_AND_"}}
    design = {"modules": {"unit": {"attributes": {"top": "1"}, "cells": cells}}}
    monkeypatch.setenv("FAKE_NETLIST", json.dumps(design))
    result = run(tmp_path, name="generic")
    assert (result.resources.gates, result.fits, result.routes) == (1, {}, {})
    with pytest.raises(ConfigError, match="only counted"):
        run(tmp_path, name="xc7a35t", speed=1)


def test_what_does_not_fit_is_not_placed(tmp_path, monkeypatch):
    many = {f"m{i}": fake_tools.cell("MULT18X18D") for i in range(30)}
    monkeypatch.setenv("FAKE_NETLIST", fake_tools.netlist(many))
    result = run(tmp_path, name="lfe5u-25f")
    assert [line.split()[0] for line in calls(tmp_path)] == ["yosys"]
    assert {name: fit.missing for name, fit in result.too_large.items()} == {"dsp": 2}
    assert result.notes == ("not placed: lfe5u-25f is too small",)
    assert "lacks 2 DSP" in html.page(result)


def test_many_multipliers_are_given_their_places(tmp_path, monkeypatch):
    cells = {f"array.m{i}": fake_tools.cell("MULT18X18D") | {"attributes": {"src": f"unit.v:{i}.1"}} for i in range(16)}
    monkeypatch.setenv("FAKE_NETLIST", fake_tools.netlist(cells))
    run(tmp_path, name="lfe5u-25f")
    design = json.loads((tmp_path / "value_sums.netlist.json").read_text())
    found = [cell["attributes"]["BEL"] for cell in design["modules"]["unit"]["cells"].values()]
    assert found == DIES[28].walk(16)
    run(tmp_path, name="lfe5u-85f")  # in the same folder: another chip's places
    design = json.loads((tmp_path / "value_sums.netlist.json").read_text())
    assert not any("BEL" in cell["attributes"] for cell in design["modules"]["unit"]["cells"].values())


def test_a_netlist_for_ice40_keeps_only_the_clock(tmp_path):
    result = run(tmp_path, name="ice40up5k")
    assert result.speed is None
    assert (result.resources.lut, result.resources.carry, result.resources.ff) == (1, 1, 1)
    design = json.loads((tmp_path / "value_sums.netlist.json").read_text())
    assert set(design["modules"]["unit"]["ports"]) == {"clk"}
    assert "synth_ice40 -dsp -top" in calls(tmp_path)[0]
    run(tmp_path, name="ice40hx8k", place=False)
    assert "synth_ice40 -top" in calls(tmp_path)[-1]


def test_names_with_brackets_do_not_reach_yosys(tmp_path):
    run(tmp_path, unit="pe_array", place=False)
    text = (tmp_path / "pe_array.v").read_text()
    assert re.search(r"\\\S+\(\d+\)", text)
    assert not re.search(r"\\\S*\[", text)


def test_a_folder_that_cannot_be_written(tmp_path):
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
def test_units_of_the_other_kind(name, config):
    with pytest.raises(ConfigError, match="must be one of"):
        units.make(name, config)


def test_the_page_needs_nothing_else(tmp_path):
    class Reader(HTMLParser):
        tags: list[str]

        def handle_starttag(self, tag, attrs):
            self.tags.append(tag)
            names = {name for name, _ in attrs}
            assert not names & {"src", "href", "srcset", "onload"}

    text = html.write(run(tmp_path, seeds=(1, 2), preset="<tiny>"), tmp_path / "x.html").read_text()
    reader = Reader()
    reader.tags = []
    reader.feed(text)
    assert reader.tags.count("svg") == 4
    assert not {"script", "link", "img", "iframe"} & set(reader.tags)
    assert "<tiny>" not in text
    assert "&lt;tiny&gt;" in text
    assert "82.0 MHz" in text
