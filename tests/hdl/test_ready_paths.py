"""Ports of streams have registers, or logic behind registers: no path leads through a unit from valid to ready."""

import pytest
from thresher.hdl.emit import emit, interface
from thresher.hdl.unit_files import make_unit
from thresher.spec import SPMM_PRESETS, VECTOR_PRESETS
from thresher.spec.verilog_names import UnitConfig
from thresher.synth.tools import Source, find, run

from .configs import both_kinds, tiny

pytestmark = pytest.mark.slow

UNITS: dict[str, UnitConfig] = {
    **both_kinds({"core": tiny(), "causal": tiny(causal=True)}),
    "spmm": SPMM_PRESETS["tiny"],
    "vector": VECTOR_PRESETS["tiny"],
}

STATE = "$dff,$dffe,$sdff,$sdffe,$sdffce,$mem_v2"


@pytest.mark.parametrize("name", UNITS)
def test_ready_does_not_depend_on_valid(name, tmp_path):
    unit = make_unit(UNITS[name])
    (tmp_path / "unit.v").write_text(emit(unit, name="unit"))
    script = ["read_verilog unit.v", "hierarchy -top unit", "proc", "flatten", "opt -full", "cd unit"]
    inputs = [port.name for port in interface(unit)[0].values() if port.direction == "in"]
    assert inputs
    for stream in inputs:
        script += [f"select -write {stream}.txt w:{stream}__ready %ci*:-{STATE} i:* %i", "select -clear"]
    run(find("yosys", Source.YOWASP), ["-q", "-p", "; ".join(script)], folder=tmp_path, log="yosys.log")
    paths = {
        (f"{stream}__ready", line.removeprefix("unit/"))
        for stream in inputs
        for line in (tmp_path / f"{stream}.txt").read_text().splitlines()
    }
    assert not paths
