"""Resets on the global network: which resets, and whether nextpnr routes them there."""

import json
import re
from pathlib import Path

import pytest
from thresher.synth.global_resets import MANY, reset_globally
from thresher.synth.multiplier_places import DIES, Die
from thresher.synth.tools import Source, find, run

pytestmark = pytest.mark.slow


def flip_flop(reset: int | str | None, q: int) -> dict:
    pins = {"CLK": [2], "DI": [3], "Q": [q]} | ({} if reset is None else {"LSR": [reset]})
    directions = dict.fromkeys(pins, "input") | {"Q": "output"}
    parameters = {
        "CEMUX": "1 ",
        "CLKMUX": "CLK",
        "GSR": "DISABLED",
        "LSRMUX": "LSR",
        "REGSET": "RESET",
        "SRMODE": "LSR_OVER_CE",
    }
    return {
        "hide_name": 0,
        "type": "TRELLIS_FF",
        "parameters": parameters,
        "attributes": {},
        "port_directions": directions,
        "connections": pins,
    }


def table(a: int, b: int, z: int) -> dict:
    return {
        "hide_name": 0,
        "type": "LUT4",
        "parameters": {"INIT": "1000100010001000"},
        "attributes": {},
        "port_directions": {"A": "input", "B": "input", "Z": "output"},
        "connections": {"A": [a], "B": [b], "Z": [z]},
    }


def module(**resets: int) -> dict:
    """Flip-flops with each reset, and tables that drive and read ``many``. ``port`` and ``few`` are ports."""
    bits = {"many": 4, "port": 6, "few": 5, "zero": "0", "none": None}
    which = [bits[name] for name, count in resets.items() for _ in range(count)]
    cells = {f"core.r{i}": flip_flop(reset, 10 + i) for i, reset in enumerate(which)}
    cells |= {"source": table(7, 3, 4), "reader": table(4, 10, 9)}
    inputs = {"clk": 2, "d": 3, "few": 5, "port": 6, "raw": 7}
    ports = {name: {"direction": "input", "bits": [bit]} for name, bit in inputs.items()}
    ports["q"] = {"direction": "output", "bits": [9]}
    names = {name: {"hide_name": 0, "bits": port["bits"], "attributes": {}} for name, port in ports.items()}
    return {"attributes": {"top": "1"}, "ports": ports, "cells": cells, "netnames": names}


def test_resets_of_many_flip_flops():
    netlist = module(many=MANY, port=MANY, few=MANY - 1, zero=MANY, none=3)
    unread = max(cell["connections"]["Q"][0] for cell in netlist["cells"].values() if "Q" in cell["connections"]) + 1
    netlist["netnames"]["unread"] = {"hide_name": 0, "bits": [unread], "attributes": {}}
    assert reset_globally(netlist) == 2
    buffers = [cell["connections"] for cell in netlist["cells"].values() if cell["type"] == "DCCA"]
    assert [(pins["CLKI"], pins["CE"], pins["CLKO"]) for pins in buffers] == [
        ([4], ["1"], [unread + 1]),
        ([6], ["1"], [unread + 2]),
    ]
    resets = [cell["connections"].get("LSR") for cell in netlist["cells"].values() if cell["type"] == "TRELLIS_FF"]
    large = [[unread + 1]] * MANY + [[unread + 2]] * MANY
    assert resets == large + [[5]] * (MANY - 1) + [["0"]] * MANY + [None] * 3
    assert netlist["cells"]["reader"]["connections"]["A"] == [4]


def test_netlists_without_large_resets_are_unchanged():
    netlist = module(few=MANY - 1, none=5)
    before = json.dumps(netlist)
    assert reset_globally(netlist) == 0
    assert json.dumps(netlist) == before
    assert reset_globally({"cells": {}, "ports": {}}) == 0


OPTIONS = ["--25k", "--package", "CABGA381", "--json", "top.json"]


def route(folder: Path, reset: str, *options: str, die: Die | None = None) -> str:
    """Let nextpnr route a design whose large reset is on the global network. Returns what it says."""
    netlist = module(**{reset: MANY, "none": 20})
    reset_globally(netlist, die)
    (folder / "top.json").write_text(json.dumps({"modules": {"top": netlist}}))
    run(find("nextpnr-ecp5", Source.AUTO), [*OPTIONS, *options], folder=folder, log="log")
    return (folder / "log").read_text()


def test_nextpnr_routes_resets_on_the_global_network(tmp_path):
    said = route(tmp_path, "many", "--lpf-allow-unconstrained", "--textcfg", "top.config")
    # Global 0 is the clock. The reset leaves the network in every tile.
    assert re.search(r"routing clock net .* using global 1", said)
    assert len(re.findall(r"arc: \S+ G_HPBX0100", (tmp_path / "top.config").read_text())) > MANY / 20


@pytest.mark.parametrize("reset", ["many", "port"])
def test_nextpnr_routes_them_out_of_context(tmp_path, reset):
    said = route(tmp_path, reset, "--out-of-context", "--write", "routed.json", die=DIES[28])
    assert "routing clock net global_reset_0 using global 0" in said
    names = json.loads((tmp_path / "routed.json").read_text())["modules"]["top"]["netnames"]
    assert "G_HPBX0000" in names["global_reset_0"]["attributes"]["ROUTING"]
