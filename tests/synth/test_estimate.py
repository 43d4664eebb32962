"""Estimates of size: near what Yosys counts, at once, and growing with the hardware."""

import dataclasses
import json
from pathlib import Path

import pytest
import thresher
from thresher.spec import PRESETS, SPMM_PRESETS, AttentionConfig, ConfigError, SpmmConfig
from thresher.synth.estimate import FEATURES, block_resources, merged, resources
from thresher.synth.netlist import Resources

SIZES = Path(thresher.__file__).parent / "bench" / "baselines" / "sizes.json"
ROWS = json.loads(SIZES.read_text())


def config_of(row):
    kind = AttentionConfig if row["unit"] == "attention" else SpmmConfig
    return kind.from_json(json.dumps(row["configuration"]))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['unit']} {row['name']}")
def test_estimates_are_near_the_committed_sizes(row):
    told = resources(config_of(row))
    for name in ("lut", "ff", "bram", "dsp"):
        size = sum(block[name] for block in row["blocks"].values())
        assert abs(getattr(told, name) - size) <= max(0.15 * size, 2), name


def test_parts_sum_up_to_the_whole():
    for config in (*PRESETS.values(), *SPMM_PRESETS.values()):
        assert sum(block_resources(config).values(), Resources()) == resources(config)


def test_parts():
    assert resources(PRESETS["edge"], "softmax") == block_resources(PRESETS["edge"])["softmax"]
    with pytest.raises(ConfigError, match="estimated are attention, spmm, predictor"):
        resources(PRESETS["edge"], "head_loader")


def test_more_lanes_are_larger():
    small = PRESETS["edge"]
    large = dataclasses.replace(small, lanes=64)
    assert resources(large).dsp > resources(small).dsp
    assert resources(large, "pe_array").lut > 1.5 * resources(small, "pe_array").lut


def test_every_block_of_a_netlist_is_in_one_of_the_estimate():
    blocks = {"row_engine_0": {"lut": 1}, "row_engine_11": {"lut": 2}, "(top)": {"lut": 4}, "order": {"lut": 8}}
    assert merged(blocks | {"drain": {"lut": 16}}) == {
        "row_engines": {"lut": 3},
        "rest": {"lut": 12},
        "drain": {"lut": 16},
    }
    for row in ROWS:
        assert set(merged(row["blocks"])) <= set(FEATURES[row["unit"]])
