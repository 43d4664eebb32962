"""Verilog emission: reproducible bytes without traces of the machine, and the description of the ports."""

import dataclasses
import gc
import os
import re
import subprocess
import sys

import pytest
from amaranth import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from thresher.hdl.attention.predictor.pipelined import Predictor
from thresher.hdl.emit import emit, interface, ports, tidy
from thresher.hdl.spmm.engine import Spmm
from thresher.hdl.yosys import to_verilog
from thresher.spec import preset, spmm_preset

from .configs import tiny
from .verilog_ports import declared_ports, described_ports

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


def test_garbage_collection_is_as_before():
    before = gc.get_threshold()
    emit(Predictor(preset("tiny")), name="predictor")
    assert gc.get_threshold() == before


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


def test_description_matches_the_emitted_ports(predictor):
    assert described_ports(ports(COMPONENT)) == declared_ports(predictor, "predictor")


def test_interface_holds_the_components_own_streams():
    obj = PORTS.create()
    streams, plain = interface(obj)
    assert streams["many__1"].interface is obj.many[1]
    assert plain["level"].value is obj.level


def test_memories_of_zeros_are_initialised_in_a_loop():
    """Line by line, large memories would take synthesis minutes. The loop is for simulators only."""
    config = dataclasses.replace(spmm_preset("tiny"), max_columns=2048)
    text = emit(Spmm(config), name="spmm")
    inside = re.findall(r"`ifndef SYNTHESIS\n(.*?)`endif", text, re.DOTALL)
    loop = re.compile(r"  initial begin : (\S+)_init\n    integer i;\n    for .* i < (\d+); .* \1\[i\] = .*;\n  end\n")
    found = [loop.fullmatch(part) for part in inside]
    assert all(found)
    assert max(int(match[2]) for match in found if match) == config.max_columns
    assert not re.search(r"\[0\] = (\d+'h0+);\n.*\[1\] = \1;", text)


class Memories(wiring.Component):
    """A memory of zeros, one of one word, and one with initial words."""

    o: Out(24)

    def elaborate(self, platform):
        m = Module()
        for index, (depth, init) in enumerate(((4, []), (1, []), (4, [0, 7, 0, 9]))):
            m.submodules[f"memory_{index}"] = memory = Memory(shape=8, depth=depth, init=init)
            read = memory.read_port()
            write = memory.write_port()
            m.d.comb += [self.o[8 * index : 8 * index + 8].eq(read.data), write.en.eq(1)]
        return m


def test_initial_words_are_kept(monkeypatch):
    """Only they reach Yosys: the zeros of large memories would take most of the time."""
    seen = []
    monkeypatch.setattr("thresher.hdl.emit.to_verilog", lambda text: to_verilog(seen.append(text) or text))
    text = emit(Memories(), name="memories")
    assert seen[0].count("cell $meminit_v2") == 1
    assert re.findall(r"i < (\d+); i = i \+ 1\) memory_\d\[i\] = 8'h0;", text) == ["4", "1"]
    assert re.findall(r"^    memory_2\[(\d)\] = 8'h0(\d);", text, re.MULTILINE) == [*zip("0123", "0709", strict=True)]


RAW = r"""
module core(clk, \heads$1 );
  wire \core.rows ;
  \core.heads$12  \heads$12  (
    .clk(clk)
  );
  \core.rows.row[1]  \row[1]  (
  );
  \core.rows.row_1$2  other (
  );
  assign \core.rows  = clk;
endmodule
module \core.heads$12 (clk);
endmodule
module \core.rows.row[1] (clk);
endmodule
module \core.rows.row_1$2 (clk);
endmodule
"""


def test_modules_have_plain_names_that_differ():
    """Signals keep theirs, even if one is that of a module."""
    text = tidy(RAW)
    assert re.findall(r"^module (.*)\(", text, re.MULTILINE) == [
        "core", "core__heads", "core__rows__row_1", "core__rows__row_1_2",
    ]  # fmt: skip
    assert re.findall(r"^  (\w+ .*) \($", text, re.MULTILINE) == [
        r"core__heads \heads$12 ", r"core__rows__row_1 \row[1] ", "core__rows__row_1_2 other",
    ]  # fmt: skip
    assert r"assign \core.rows  = clk;" in text


def test_all_modules_of_a_component_start_with_its_name(predictor):
    modules = re.findall(r"^module (\S+?) ?\(", predictor, re.MULTILINE)
    assert len(modules) > 1
    assert [name for name in modules if not re.fullmatch(r"predictor(__\w+)?", name)] == []
