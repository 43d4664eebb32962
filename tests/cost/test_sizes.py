"""Estimated sizes: the measured record, and how the estimates behave."""

import dataclasses
import json

import pytest
from thresher.cost.estimate import estimate, speedup
from thresher.cost.memories import FABRICS, Memory
from thresher.cost.sizes import BAND, COUNTS, FITTED, MEASURED, compared, measured, sizes
from thresher.spec import PRESETS, SPMM_PRESETS, AttentionConfig, ConfigError, SpmmConfig
from thresher.synth.devices import DEVICES

RECORD = json.loads(MEASURED.read_text(encoding="utf-8"))
AVAILABLE: dict[str, int] = dict.fromkeys(COUNTS, 1000)
UNITS = {"attention": PRESETS, "spmm": SPMM_PRESETS}
CONFIGS = [config for presets in UNITS.values() for config in presets.values()]


@pytest.mark.parametrize(("unit", "name"), [(unit, name) for unit, presets in UNITS.items() for name in presets])
def test_presets_are_within_the_band_of_their_record(unit, name):
    """``server`` was made block by block: its memories are, too."""
    config, found = UNITS[unit][name], 0
    for fabric in FABRICS:
        counted = measured(config, fabric)
        for count, entry in compared(config, fabric, counted).items() if counted else ():
            found += 1
            exact = 0.02 if name == "server" else 0.0
            assert abs(entry["error"] or 0.0) <= (BAND if count in FITTED else exact), (fabric, count, entry)
    assert found


def test_the_record_is_small():
    for unit in ("attention", "spmm"):
        for fabric in FABRICS:
            rows = [row for row in RECORD["units"] if row["unit"] == unit and fabric in row["sizes"]]
            assert 10 <= len(rows) <= 20


def test_recorded_configurations_are_complete():
    kinds = {"attention": AttentionConfig, "spmm": SpmmConfig}
    for row in RECORD["units"]:
        config = kinds[row["unit"]].from_json(json.dumps(row["configuration"]))
        assert measured(config, "ecp5") == row["sizes"]["ecp5"]


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize(
    ("config", "fields"),
    [
        (PRESETS["edge"], {"lanes": 64, "predictor_lanes": 64}),
        (PRESETS["edge"], {"output_lanes": 32}),
        (PRESETS["edge"], {"max_length": 512}),
        (PRESETS["tiny"], {"lanes": 2}),
        (SPMM_PRESETS["edge"], {"rows": 8, "drain_lanes": 16}),
        (SPMM_PRESETS["edge"], {"lanes": 64}),
    ],
)
def test_more_hardware_is_never_smaller(fabric, config, fields):
    small, large = sizes(config, fabric), sizes(dataclasses.replace(config, **fields), fabric)
    assert all(small[name] <= large[name] for name in COUNTS)
    assert small != large


def test_multipliers_by_hand():
    """The array, two per exponential and background, one for late normalisation, and two per output lane."""
    edge = PRESETS["edge"]
    assert sizes(edge, "ecp5")["dsp"] == 128 + 2 * 4 + 2 + 1 + 2 * edge.output_lanes
    assert sizes(edge, "ice40 without multipliers")["dsp"] == 0
    engine = SPMM_PRESETS["edge"]
    assert sizes(engine, "xilinx7")["dsp"] == engine.rows * engine.lanes + 2 * engine.drain_lanes


@pytest.mark.parametrize(
    ("memory", "blocks"),
    [
        (Memory(words=512, width=36), {"ecp5": 1, "ice40": 5}),
        (Memory(words=512, width=37), {"ecp5": 2, "ice40": 5}),
        (Memory(words=1024, width=18), {"ecp5": 1, "ice40": 5}),
        (Memory(words=16, width=32), {"ecp5": 0, "ice40": 2}),
        (Memory(words=16, width=8), {"ecp5": 0, "ice40": 1}),
        (Memory(words=4, width=8), {"ecp5": 0, "ice40": 0}),
        (Memory(words=4, width=8, block=True), {"ecp5": 1, "ice40": 1}),
        (Memory(words=256, width=8, clocked=False), {"ice40": 0}),
        (Memory(words=512, width=36, readers=2), {"ecp5": 2}),
        (Memory(words=1024, width=18, readers=2, shared=True), {"ecp5": 1}),
        (Memory(words=256, width=64, granules=8), {"xilinx7": 2}),
        (Memory(words=512, width=72, unread=36), {"ecp5": 1}),
    ],
)
def test_block_memories_by_hand(memory, blocks):
    assert {fabric: FABRICS[fabric].block_memories(memory) for fabric in blocks} == blocks


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_every_chip_has_a_fabric(device):
    assert (device.fabric in FABRICS) == (device.capacity is not None)
    assert bool(compared(PRESETS["tiny"], device.fabric, None)) == (device.capacity is not None)


def test_unknown_fabrics_are_rejected():
    with pytest.raises(ConfigError, match="sizes are estimated for ecp5"):
        sizes(PRESETS["tiny"], "generic")


@pytest.mark.parametrize("config", CONFIGS)
def test_estimates_of_presets(config):
    found = estimate(config, fabric="ecp5", available=AVAILABLE)
    assert list(found["resources"]) == list(COUNTS)
    assert found["multipliers"] == config.multipliers
    for row in found["cycles"]:
        assert row["dense_cycles_at_full_use"] / row["cycles"] <= 1.001 / (1 - row["sparsity"])
    faster, source = speedup(config, 0.75)
    assert 1 < faster <= 4.01
    assert source.startswith("estimated cycles, ")
    assert estimate(config, fabric="generic", available={})["resources"] == {}


def test_only_recorded_configurations_have_measurements():
    tiny = PRESETS["tiny"]
    assert measured(tiny, "ice40")
    assert measured(tiny, "generic") is None
    assert measured(dataclasses.replace(tiny, max_length=32), "ecp5") is None
    entry = compared(tiny, "ecp5", None)["lut4"]
    assert (entry["measured"], entry["error"], entry["band"]) == (None, None, BAND)
    assert compared(tiny, "ice40 without multipliers", dict.fromkeys(COUNTS, 0))["dsp"]["error"] is None
