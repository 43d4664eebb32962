"""Estimates of size: near what Yosys counts, at once, and growing with the hardware."""

import dataclasses
import json

import pytest
from thresher.spec import PRESETS, SPMM_PRESETS, AttentionConfig, ConfigError
from thresher.synth.devices import DEVICES, device
from thresher.synth.estimate import COEFFICIENTS, block_resources, merged, resources
from thresher.synth.fabric import ECP5, FABRICS, ICE40, ICE40_LOGIC, XILINX7, fabric_of
from thresher.synth.netlist import Resources

from ..bench_scripts import bench_script

COMPACT = AttentionConfig(max_length=16, max_head_dim=8, lanes=1, predictor_lanes=2, output_lanes=1, compact=True)

bench = bench_script("sizes")
ROWS = json.loads(bench.SIZES.read_text())
FITTED = [row for row in ROWS if bench.fits(row)]


def name_of(row):
    return " ".join(bench.key_of(row))


def near(row, coefficients=None):
    """Of the few block memories and multipliers one may be off: Yosys may see that a word has a constant bit."""
    told, counted = bench.estimated(row, coefficients), bench.sizes(row)
    for name in ("lut", "ff"):
        assert told[name] == pytest.approx(counted[name], rel=0.15), name
    for name in ("bram", "dsp"):
        assert told[name] == pytest.approx(counted[name], rel=0.02, abs=1), name


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_estimates_are_near_the_committed_sizes(row):
    """Those that were held out when the coefficients were fitted, too."""
    near(row)


@pytest.mark.parametrize("row", FITTED, ids=name_of)
def test_no_size_is_near_only_because_it_was_fitted(row):
    near(row, bench.fit([other for other in FITTED if other["fabric"] == row["fabric"] and other is not row]))


def test_coefficients_are_those_of_the_committed_sizes():
    # If sizes were counted again: python bench/sizes.py --fit
    committed, found = json.loads(COEFFICIENTS.read_text()), bench.fit_all(FITTED)
    assert {row["name"] for row in ROWS} > {row["name"] for row in FITTED}
    assert set(committed) == set(FABRICS)
    for fabric, units in found.items():
        for unit, blocks in units.items():
            for block, counts in blocks.items():
                for name, factors in counts.items():
                    assert committed[fabric][unit][block][name] == pytest.approx(factors, rel=0.01, abs=1e-6), (
                        fabric,
                        unit,
                        block,
                        name,
                    )


def test_sizes_are_those_of_the_presets_baseline():
    """What was counted for the fit is the hardware that ``bench/synth.py`` counts; versions of Yosys differ by less."""
    presets = {(row["preset"], row["unit"], row["device"]): row for row in bench_script("synth").known().values()}
    compared = 0
    for row in ROWS:
        key = row["name"], row["unit"], FABRICS[row["fabric"]].counted_on
        if key in presets:
            compared += 1
            counted = bench.sizes(row)
            for name, field in (("lut4", "lut"), ("ff", "ff"), ("bram", "bram"), ("dsp", "dsp")):
                assert counted[field] == pytest.approx(presets[key][name], rel=0.03), (key, name)
    assert compared >= 3


def test_fabrics_of_devices():
    assert {name for name, each in DEVICES.items() if fabric_of(each) is None} == {"generic", "xczu3eg"}
    for fabric in FABRICS.values():
        assert fabric_of(device(fabric.counted_on)) is fabric


def test_memories_by_hand():
    """An ECP5 writes 9 bits together, an iCE40 single ones; what is small is LUT RAM, or flip-flops."""
    assert ECP5.memory(512, 36) == ECP5.memory(513, 18) == (1, 0)
    assert ECP5.memory(512, 32, granules=4) == ECP5.memory(512, 4, granules=4) == (1, 0)
    assert ECP5.memory(16, 36) == (0, 9)
    assert XILINX7.memory(16, 36) == XILINX7.memory(32, 36) == (0, 6)
    assert ICE40.memory(256, 16, granules=16) == (1, 0)
    assert ICE40.memory(512, 16) == (2, 0)
    assert ICE40.memory(4, 16) == (0, 64)
    # Two readers: an ECP5's memory has two ports, of 18 bits each.
    assert ECP5.memory(512, 36, both_read=True) == (2, 0)
    assert ICE40.memory(256, 16, both_read=True) == (2, 0)


def test_parts_sum_up_to_the_whole():
    for config in (*PRESETS.values(), *SPMM_PRESETS.values(), COMPACT):
        assert sum(block_resources(config).values(), Resources()) == resources(config)


def test_parts():
    assert resources(PRESETS["edge"], "softmax") == block_resources(PRESETS["edge"])["softmax"]
    with pytest.raises(ConfigError, match="estimated are attention, spmm, predictor"):
        resources(PRESETS["edge"], "head_loader")
    assert resources(COMPACT, on=ICE40_LOGIC).dsp == 0


def test_more_lanes_are_larger():
    small = PRESETS["edge"]
    large = dataclasses.replace(small, lanes=64)
    assert resources(large).dsp > resources(small).dsp
    assert resources(large, "pe_array").lut > 1.5 * resources(small, "pe_array").lut


def test_multipliers_by_hand():
    """`edge`: 4 · 32 in the array; 2 for each of 4 exponentials, and 2; 2 for each of 4 outputs, and 1."""
    assert resources(PRESETS["edge"]).dsp == 128 + 10 + 9
    assert resources(COMPACT).dsp == 4 + 2 + 2
    assert resources(SPMM_PRESETS["edge"]).dsp == 4 * 32 + 2 * 8


def test_block_memories_by_hand():
    """`edge`: Q is 512 words of 2 · 256 bits, each half 29 bytes of 9 bits, 4 bytes to a memory; K and V are twice as
    many words, for which a memory has 2 bytes. Words of nibbles are 4 and 8 granules of 15 bytes."""
    assert resources(PRESETS["edge"], "scratchpads").bram == 15 + 29 + 15 + 30
    # A table per result lane; 2 · 32 banks of 2,048 bytes, for every two engines; 2,048 words of 68 bits; 512 rows in
    # their order.
    assert resources(SPMM_PRESETS["edge"]).bram == 8 + 2 * 64 + 8 + 1


def test_every_block_of_a_netlist_is_in_one_of_the_estimate():
    blocks = {"row_engine_0": {"lut": 1}, "row_engine_11": {"lut": 2}, "(top)": {"lut": 4}, "order": {"lut": 8}}
    told = merged(SPMM_PRESETS["tiny"], blocks | {"drain": {"lut": 16}})
    assert {name: counts for name, counts in told.items() if counts} == {
        "row_engines": {"lut": 3},
        "rest": {"lut": 12},
        "drain": {"lut": 16},
    }
    told = merged(COMPACT, {"softmax": {"lut": 1}, "pe_array": {"lut": 2}, "(top)": {"lut": 4}})
    assert {name: counts for name, counts in told.items() if counts} == {
        "compact softmax": {"lut": 1},
        "pe_array": {"lut": 2},
        "compact rest": {"lut": 4},
    }
