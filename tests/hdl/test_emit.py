"""Verilog emission: the same bytes everywhere, nothing of this machine in them, and a true description of the ports."""

import os
import re
import subprocess
import sys

import pytest
from amaranth import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from thresher.hdl.attention.predictor.pipelined import Predictor
from thresher.hdl.emit import emit, interface, ports
from thresher.hdl.spmm.engine import Spmm
from thresher.spec import preset, spmm_preset

PROGRAM = """
import sys
from thresher.hdl.attention.predictor.pipelined import Predictor
from thresher.hdl.emit import emit
from thresher.spec import preset, spmm_preset
sys.stdout.write(emit(Predictor(preset("tiny")), name="predictor"))
"""


COMPONENT = Predictor(preset("tiny"))


@pytest.fixture(scope="module")
def predictor():
    return emit(COMPONENT, name="predictor")


def test_same_component_gives_the_same_text(predictor):
    assert emit(Predictor(preset("tiny")), name="predictor") == predictor
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-P", "-c", PROGRAM]
        again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert again == predictor, f"PYTHONHASHSEED={hash_seed}"


def test_nothing_of_this_machine_is_in_it(predictor):
    assert set(re.findall(r"\(\* *([\w.\\]+)", predictor)) <= {"full_case", "init", "no_rw_check", "parallel_case"}
    assert ".py" not in predictor
    assert os.path.dirname(sys.executable) not in predictor
    assert predictor.count("module predictor(") == 1


def test_nothing_is_declared_without_bits():
    """``[-1:0]`` is two bits in Verilog."""
    text = emit(Predictor(preset("edge")), name="predictor")
    assert "predictor_chunk" not in text  # of a single chunk no index is left
    assert "[-1:0]" not in text


def test_environment_is_left_alone(monkeypatch):
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
"""Every kind of port."""


def test_ports_are_described():
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


def test_description_agrees_with_the_emitted_ports(predictor):
    """Names, directions and widths as a reader of the Verilog finds them."""
    body = predictor[predictor.index("module predictor(") :]
    body = body[: body.index("endmodule")]
    found = {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body, re.MULTILINE)
    }
    expected = {"clk": ("input", 1), "rst": ("input", 1)}
    for port in ports(COMPONENT):
        there, back = ("input", "output") if port["direction"] == "in" else ("output", "input")
        if port["kind"] == "stream":
            expected[f"{port['name']}__payload"] = (there, port["width"])
            expected[f"{port['name']}__valid"] = (there, 1)
            expected[f"{port['name']}__ready"] = (back, 1)
        else:
            expected[port["name"]] = (there, port["width"])
    assert found == expected


def test_interface_holds_the_components_own_streams():
    obj = PORTS.create()
    streams, plain = interface(obj)
    assert streams["many__1"].interface is obj.many[1]
    assert plain["level"].value is obj.level


def test_memories_that_start_uniform_are_a_loop_for_simulators_only():
    """Line by line, a large design would have hundreds of thousands of them, and synthesis take minutes."""
    text = emit(Spmm(spmm_preset("edge")), name="spmm")
    assert len(text) < 2_300_000
    inside = re.findall(r"`ifndef SYNTHESIS\n(.*?)`endif", text, re.DOTALL)
    loop = re.compile(r"  initial begin : (\S+)_init\n    integer i;\n    for .* i < (\d+); .* \1\[i\] = .*;\n  end\n")
    found = [loop.fullmatch(part) for part in inside]
    assert all(found)
    assert max(int(match[2]) for match in found if match) == spmm_preset("edge").max_columns
    assert not re.search(r"\[0\] = (\d+'h0+);\n.*\[1\] = \1;", text)
