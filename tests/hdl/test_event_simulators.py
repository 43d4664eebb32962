"""Emitted Verilog drives all its signals in event simulators, in every edition of the language."""

import itertools
import re

import pytest
from thresher.hdl.emit import emit
from thresher.hdl.unit_files import make_unit
from thresher.spec import SPMM_PRESETS, VECTOR_PRESETS, Fill, Normalise
from thresher.spec.verilog_names import UnitConfig

from ..icarus import EDITIONS, INITIAL, compile_quietly
from .configs import both_kinds, tiny

pytestmark = pytest.mark.slow

OPTIONS = list(itertools.product(Fill, Normalise))
CORES = both_kinds(
    {f"{fill.value}-{mode.value}": tiny(max_length=10, fill=fill, normalise=mode) for fill, mode in OPTIONS}
)
UNITS: dict[str, UnitConfig] = {**CORES, "spmm": SPMM_PRESETS["tiny"], "vector": VECTOR_PRESETS["tiny"]}


@pytest.fixture(scope="module", params=UNITS)
def verilog(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("emitted") / "unit.v"
    path.write_text(emit(make_unit(UNITS[request.param]), name="unit"))
    return path


def test_every_combinational_block_runs_at_the_start(verilog):
    text = verilog.read_text()
    blocks = re.findall(r"^ *always @\*.*\n.*", text, re.MULTILINE)
    assert blocks
    assert set(blocks) == {"  always @* begin\n    if (\\$start ) begin end"}
    for module in re.findall(r"^module .*?^endmodule$", text, re.MULTILINE | re.DOTALL):
        assert module.count("  initial \\$start <= 0;\n") == ("always @*" in module)


def test_no_memory_needs_its_initial_words(verilog):
    """A chip has none. Loops for simulators set all words of some memories to 0."""
    for_simulators = re.compile(r"^`ifndef SYNTHESIS\n(.*?)^`endif\n", re.MULTILINE | re.DOTALL)
    text = verilog.read_text()
    values = re.findall(r"\[i\] = \d+'[a-z](\w+);", "".join(for_simulators.findall(text)))
    assert values
    assert {value.strip("0") for value in values} == {""}
    others = INITIAL.sub("", for_simulators.sub("", text))
    assert set(re.findall(r"^ *initial .*", others, re.MULTILINE)) == {"  initial \\$start <= 0;"}


@pytest.mark.parametrize("edition", EDITIONS)
def test_icarus_compiles_without_warnings(verilog, edition):
    compile_quietly(verilog, top="unit", edition=edition)
