"""Places of multipliers: which multipliers, which order, and whether nextpnr accepts them."""

import json

import pytest
from thresher.synth.devices import DEVICES, Family
from thresher.synth.multiplier_places import DIES, LARGE, place_multipliers
from thresher.synth.tools import Source, find, run

pytestmark = pytest.mark.slow


def module(**parts: int) -> dict:
    """Parts with a number of multipliers each, in order in the Verilog and reversed in the netlist."""
    names = [f"{part}.$_{i}" for part, count in parts.items() for i in range(count)]
    cells = {
        name: {"type": "MULT18X18D", "attributes": {"src": f"top.v:{9 + line}.1-{9 + line}.20|map.v:7.1-8.2"}}
        for line, name in enumerate(names)
    }
    return {"cells": dict(reversed(cells.items())) | {"x.$_9": {"type": "LUT4", "attributes": {}}}}


def places(netlist: dict) -> dict[str, str]:
    return {name: cell["attributes"]["BEL"] for name, cell in netlist["cells"].items() if "BEL" in cell["attributes"]}


def multipliers(name: str) -> int:
    capacity = DEVICES[name].capacity
    assert capacity
    return capacity.dsp


def test_every_ecp5_has_a_die():
    names = [name for name, each in DEVICES.items() if each.family is Family.ECP5]
    assert set(DIES) == {multipliers(name) for name in names}


@pytest.mark.parametrize("count", DIES)
def test_places_are_unique(count):
    walk = DIES[count].walk(count)
    assert len(walk) == len(set(walk)) == count
    assert all(set(DIES[count].walk(part)) <= set(walk) for part in range(count))


def test_rows_alternate_in_direction():
    """Neighbours in the Verilog are neighbours on the chip, even at the end of a row."""
    netlist = module(a=32, b=32, c=32, d=32)
    assert place_multipliers(netlist, DIES[156]) == 128
    found = places(netlist)
    assert [found[f"a.$_{i}"] for i in (0, 1, 2, 3, 4)] == [
        "X4/Y10/MULT18_0",
        "X5/Y10/MULT18_1",
        "X8/Y10/MULT18_4",
        "X9/Y10/MULT18_5",
        "X13/Y10/MULT18_0",
    ]
    assert (found["b.$_11"], found["b.$_12"]) == ("X101/Y10/MULT18_5", "X101/Y34/MULT18_5")
    assert (found["c.$_23"], found["c.$_24"]) == ("X4/Y34/MULT18_0", "X4/Y58/MULT18_0")


def test_small_parts_are_left_to_nextpnr():
    netlist = module(small=LARGE - 1, large=64)
    assert place_multipliers(netlist, DIES[72]) == 0  # does not fit, which is reported elsewhere
    netlist = module(small=LARGE - 1, large=LARGE)
    assert place_multipliers(netlist, DIES[72]) == 0  # less than half
    netlist = module(small=LARGE - 1, large=50)
    assert place_multipliers(netlist, DIES[72]) == 50
    assert {name.split(".")[0] for name in places(netlist)} == {"large"}


@pytest.mark.parametrize("name", ["lfe5u-25f", "lfe5u-45f", "lfe5u-85f"])
def test_nextpnr_knows_the_places(tmp_path, name):
    die = DIES[multipliers(name)]
    count = die.multipliers
    names = [f"core.$_{i}" for i in range(count)]
    cell = {"type": "MULT18X18D", "parameters": {}, "port_directions": {}, "connections": {}}
    cells = {name: {**cell, "hide_name": 0, "attributes": {}} for name in names}
    top = {"attributes": {"top": "1"}, "ports": {}, "cells": cells, "netnames": {}}
    assert place_multipliers(top, die) == count
    (tmp_path / "top.json").write_text(json.dumps({"modules": {"top": top}}))
    options = [*DEVICES[name].place, "--json", "top.json", "--out-of-context", "--no-route"]
    run(find("nextpnr-ecp5", Source.AUTO), options, folder=tmp_path, log="place.log")
    assert f"Placed {count} cells based on constraints" in (tmp_path / "place.log").read_text()


def test_small_parts_of_a_full_die_are_beside_their_large_part():
    rows = {"top.a.array": 32, "top.b.array": 32, "top.c.array": 32}
    small = {"top.b.near": 15, "top.c.near": 12, "top.a.near": 9, "top.a.rest": 6, "top.far": 15}
    netlist = module(**rows, **small)
    assert place_multipliers(netlist, DIES[156]) == sum(rows.values()) + sum(small.values())
    found = places(netlist)
    assert len(set(found.values())) == len(found)
    row = {part: {found[f"{part}.$_{i}"].split("/")[1] for i in range(count)} for part, count in (rows | small).items()}
    assert row["top.a.near"] == row["top.a.rest"] == row["top.a.array"] == {"Y10"}
    assert row["top.b.near"] == row["top.b.array"] == {"Y34"}
    assert row["top.c.near"] == row["top.c.array"] == {"Y58"}
    assert len(row["top.far"]) > 1  # no row has room for it


def test_small_parts_of_other_dies_have_no_places():
    netlist = module(a=130, b=15)
    assert place_multipliers(netlist, DIES[156]) == 130
