"""Other tools read emitted Verilog, and find nothing wrong with it."""

import json
import re
from pathlib import Path

import pytest
from thresher.spec import AttentionConfig, CoprocessorConfig, Fill, SpmmConfig, WeightFormat
from thresher.spec.buses import Bus
from thresher.synth.tools import SynthesisError

from ..hdl.configs import both_kinds, tiny
from . import four_states, lint, structure, table
from .designs import DESIGNS, RANDOM, SHORT, Design

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
WAYS = {check.name: check for check in table.CHECKS}


@pytest.fixture(scope="module", params=SHORT, ids=lambda each: each.name)
def design(request) -> Design:
    return request.param


@pytest.fixture(scope="module")
def verilog(design, tmp_path_factory) -> Path:
    return design.write(tmp_path_factory.mktemp("design"))


@pytest.mark.parametrize("name", WAYS)
def test_a_tool_finds_nothing(design, verilog, name):
    check = WAYS[name]
    if check.version() is None:
        pytest.skip(f"{name} is not installed (docs/simulation.md, other tools)")
    check.run(design, verilog)


CORES = both_kinds({"core": tiny(), "causal": tiny(causal=True)})


@pytest.mark.parametrize("name", CORES)
def test_no_path_leads_through_a_core(name, tmp_path):
    """Both kinds of cores, causal or not: :data:`SHORT` has not all of them."""
    design = Design(name=name, config=CORES[name], bus=Bus.STREAMS)
    structure.check_yosys(design, design.write(tmp_path))


def test_random_designs_differ():
    """They have stages of both kinds, causal cores, every fill and normaliser, and every weight format."""
    configs = [each.config for each in RANDOM]
    assert len(configs) == len({each.to_json() for each in configs}) == 20
    cores = [each for each in configs if isinstance(each, AttentionConfig)]
    for name, values in {"compact": {False, True}, "causal": {False, True}, "fill": set(Fill), "block": {2, 4}}.items():
        assert {getattr(each, name) for each in cores} == values, name
    assert len({(each.block_rule, each.score, each.split, each.importance) for each in cores}) > 5
    engines = [each for each in configs if isinstance(each, SpmmConfig)]
    assert {item for each in engines for item in each.formats} == set(WeightFormat)
    assert {each.cores for each in configs if isinstance(each, CoprocessorConfig)} == {1, 2}


def test_names_of_designs_differ():
    assert len({each.name for each in DESIGNS}) == len(DESIGNS)
    assert len(SHORT) < len(DESIGNS) / 3


HEAD = """module dut(input clk, input rst, input i__valid, input i__payload, output i__ready,
  output o__valid, output o__payload, input o__ready);
"""
BODIES = {
    "a latch": "reg a; always @* if (i__valid) a = i__payload; assign o__payload = a, o__valid = 0, i__ready = 0;",
    "a loop": "wire a = ~o__payload & i__payload; assign o__payload = ~a, o__valid = 0, i__ready = 0;",
    "a path": "assign o__payload = 0, o__valid = 0, i__ready = o__ready;",
    "no driver": "wire a; assign o__payload = a, o__valid = 0, i__ready = 0;",
}


def faulty(folder: Path, body: str) -> tuple[Design, Path]:
    """A module with this body, as a design."""
    (folder / "dut.v").write_text(f"{HEAD}{body}\nendmodule\n")
    streams = [
        {"name": name, "kind": "stream", "direction": way, "width": 1} for name, way in (("i", "in"), ("o", "out"))
    ]
    description = {"ports": streams, "clock": "clk", "reset": "rst", "reset_active": "high"}
    (folder / "dut.json").write_text(json.dumps(description))
    return SHORT[0], folder / "dut.v"


@pytest.mark.parametrize("what", BODIES)
def test_yosys_finds(what, tmp_path):
    with pytest.raises((AssertionError, SynthesisError)):
        structure.check_yosys(*faulty(tmp_path, BODIES[what]))


def test_a_sound_module_passes(tmp_path):
    given = faulty(tmp_path, "assign o__payload = 0, o__valid = 0, i__ready = 0;")
    structure.check_yosys(*given)
    if lint.icarus_version() is not None:
        four_states.check_idle(given[1])


@pytest.mark.parametrize(
    "body", ["reg a; always @(posedge clk) a <= i__valid ? i__payload : a;", "wire a = i__payload;"]
)
def test_four_states_find_what_no_reset_sets(body, tmp_path):
    if lint.icarus_version() is None:
        pytest.skip("Icarus Verilog is not installed: apt install iverilog")
    with pytest.raises(AssertionError, match="unknown o__valid"):
        four_states.check_idle(faulty(tmp_path, f"{body} assign o__payload = a, o__valid = a, i__ready = 0;")[1])


@pytest.mark.parametrize("name", ["Icarus", "Verilator", "old Verilator", "slang"])
def test_a_lint_finds(name, tmp_path):
    """A part of a vector that does not exist."""
    if WAYS[name].version() is None:
        pytest.skip(f"{name} is not installed")
    with pytest.raises(AssertionError):
        WAYS[name].run(*faulty(tmp_path, "wire [3:0] a = 4'd0; assign o__payload = a[7], o__valid = 0, i__ready = 0;"))


def test_docs_name_every_waiver(tmp_path):
    text = (DOCS / "simulation.md").read_text(encoding="utf-8")
    section = text.split("## Other tools\n")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| `([\w-]+)`", section, re.MULTILINE))
    quiet = lint.verilator_waivers(SHORT[0].write(tmp_path).read_text(encoding="utf-8"))
    assert named == {*quiet, *lint.SLANG_WAIVERS}


def test_page_keeps_the_rows_of_other_designs():
    cells = {check.name: "1.0" for check in table.CHECKS}
    first = table.page({DESIGNS[0].name: cells})
    both = table.page({DESIGNS[1].name: {**cells, "slang": "failed: x"}}, first)
    rows = both.splitlines()[-2:]
    assert [row.split("|")[1].strip() for row in rows] == [DESIGNS[0].name, DESIGNS[1].name]
    assert "failed: x" in rows[1]


def test_committed_page_lists_no_failure():
    text = table.PAGE.read_text(encoding="utf-8")
    listed = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][1:]
    assert listed
    assert listed == [each.name for each in DESIGNS if each.name in listed]
    assert "failed" not in text
