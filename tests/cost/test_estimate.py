"""Estimates of size: near what Yosys counts, at once, and growing with the hardware."""

import dataclasses
import json

import pytest
from thresher.cost.estimate import COEFFICIENTS, block_resources, merged, resources
from thresher.cost.fabric import ECP5, FABRICS, GENERIC, ICE40, ICE40_LOGIC, ULTRASCALE_PLUS, XILINX7, Memory, fabric_of
from thresher.spec import PRESETS, SPMM_PRESETS, AttentionConfig, ConfigError
from thresher.spec.attention_config import Fill, Normalise
from thresher.synth.devices import DEVICES, device
from thresher.synth.netlist import Resources
from thresher.synth.units import ATTENTION_UNITS, SPMM_UNITS

from ..bench_scripts import bench_script

COMPACT = AttentionConfig(max_length=16, max_head_dim=8, lanes=1, predictor_lanes=2, output_lanes=1, compact=True)

bench = bench_script("sizes")
ROWS = json.loads(bench.SIZES.read_text())
FITTED = [row for row in ROWS if bench.fits(row)]
ALONE = [(row, part) for row in ROWS for part in row["alone"]]


def name_of(row):
    return " ".join(bench.key_of(row))


def near(row, coefficients=None, part=None):
    """Counts within 15 %. Memories and multipliers are those of a part by itself; of a whole, one may be off: Yosys may
    see that a word has a constant bit."""
    told, counted = bench.estimated(row, coefficients, part), bench.sizes(row, part)
    for name in bench.fitted_of(row):
        assert told[name] == pytest.approx(counted[name], rel=0.15), name
    for name in ("bram", "dsp"):
        assert told[name] == pytest.approx(counted[name], rel=0, abs=part is None), name


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_estimates_are_near_the_committed_sizes(row):
    """Those that were held out when the coefficients were fitted, too."""
    near(row)


@pytest.mark.parametrize(("row", "part"), ALONE, ids=lambda each: each if isinstance(each, str) else name_of(each))
def test_estimates_are_near_parts_alone(row, part):
    near(row, part=part)


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
    assert {fabric_of(each) for each in DEVICES.values()} == set(FABRICS.values())
    for fabric in FABRICS.values():
        assert fabric_of(device(fabric.counted_on)) is fabric


def test_block_memories_hold_what_they_can():
    """An ECP5 writes 9 bits together, an iCE40 single ones."""
    one = Memory(blocks=1)
    assert ECP5.memory(512, 36) == ECP5.memory(512, 32, granules=4) == ECP5.large(4, 4) == one
    assert ECP5.memory(513, 36) == 2 * one
    assert ICE40.memory(256, 16, granules=16) == one
    assert ICE40.memory(512, 16) == 2 * one
    # Two readers: an ECP5's memory has two ports, of 18 bits each; an iCE40's has one that reads.
    assert ECP5.memory(512, 36, readers=2, at_writer=True) == 2 * one
    assert ICE40.memory(256, 16, readers=2) == 2 * one


def test_small_memories_are_look_up_tables_or_flip_flops():
    assert ECP5.memory(16, 36) == ECP5.small(16, 36) == Memory(cells=9 * 4)
    assert XILINX7.memory(16, 36) == XILINX7.memory(32, 36) == Memory(cells=6 * 4)
    assert ULTRASCALE_PLUS.memory(64, 7) == ULTRASCALE_PLUS.memory(32, 14) == Memory(cells=8)
    assert ICE40.memory(4, 16) == Memory(cells=64)
    assert GENERIC.memory(512, 36) == GENERIC.large(512, 36) == Memory(cells=512 * 36)


def test_memories_are_made_of_what_costs_yosys_less():
    """Costs by hand, each as its pass tells it: a block memory of an ECP5 128, a cell of LUT RAM 4, a reader 2, half
    for each bit that is chosen from, 12 for the old word."""
    # 28 cells, and 3 · 28 + 4 halves: 112 + 44 + 2 of 130.
    assert ECP5.memory(64, 28) == Memory(blocks=1)
    # 24 cells, and 3 · 24 + 4 halves: 96 + 38 + 2 of 130, or of 142.
    assert ECP5.memory(64, 24) == Memory(blocks=1)
    assert ECP5.memory(64, 24, old=True) == Memory(cells=24 * 4)
    # With one port for both, a word of 128 bits: 8 · 64 / 2 of two of 129 and the reader.
    assert XILINX7.memory(128, 64, at_writer=True) == Memory(cells=32 * 4)
    assert XILINX7.memory(128, 64) == Memory(blocks=2)
    # 64 words above each other of 7 cells and 2 thirds, 61 and 1 and 11; block memories of Xilinx give the old word.
    assert XILINX7.memory(128, 23, old=True) == XILINX7.memory(128, 23) == Memory(blocks=1)
    # Two readers, one of them where is written: 16 · 8 and 2, or 129 and 2.
    assert ULTRASCALE_PLUS.memory(256, 8, readers=2, at_writer=True) == Memory(cells=8 * 8)
    assert ULTRASCALE_PLUS.memory(256, 9, readers=2, at_writer=True) == Memory(blocks=1)


def test_cells_whose_bits_are_never_read_are_removed():
    """But it is the whole word by which a kind is chosen."""
    assert ICE40.memory(256, 40, unread=frozenset(range(12, 40))) == Memory(blocks=1)
    assert ICE40.memory(256, 40, unread=frozenset(range(1, 32))) == Memory(blocks=2)
    assert ECP5.small(16, 10, unread=frozenset(range(4))) == Memory(cells=2 * 4)
    assert ECP5.memory(512, 40, unread=frozenset(range(1, 40))) == Memory(blocks=1)
    assert GENERIC.small(16, 10, unread=frozenset({3})) == Memory(cells=16 * 9)


def test_parts_sum_up_to_the_whole():
    for config in (*PRESETS.values(), *SPMM_PRESETS.values(), COMPACT):
        assert sum(block_resources(config).values(), Resources()) == resources(config)


@pytest.mark.parametrize("fabric", FABRICS.values(), ids=FABRICS)
@pytest.mark.parametrize("config", [*PRESETS.values(), COMPACT, *SPMM_PRESETS.values()])
def test_all_that_is_synthesised_on_its_own_has_an_estimate(config, fabric):
    for unit in ATTENTION_UNITS if isinstance(config, AttentionConfig) else SPMM_UNITS:
        counts = resources(config, unit, fabric)
        assert counts.ff > 0, unit
        assert getattr(counts, fabric.logic) > 0, unit


def test_parts():
    """Of what there is several of, the estimate is that of one."""
    engines = block_resources(SPMM_PRESETS["edge"])["row_engines"]
    assert resources(SPMM_PRESETS["edge"], "row_engine").dsp == engines.dsp / 4 == 32
    assert resources(SPMM_PRESETS["edge"], "tile_memory").bram == 64
    with pytest.raises(ConfigError, match="estimated are attention and its parts head_loader"):
        resources(PRESETS["edge"], "drain")
    assert resources(COMPACT, on=ICE40_LOGIC).dsp == resources(COMPACT, on=GENERIC).dsp == 0


def test_more_lanes_are_larger():
    small = PRESETS["edge"]
    large = dataclasses.replace(small, lanes=64)
    assert resources(large).dsp > resources(small).dsp
    assert resources(large, "pe_array").lut > 1.5 * resources(small, "pe_array").lut


def test_multipliers_by_hand():
    """`edge`: 4 · 32 in the array; 2 for each of 4 exponentials, and 2; 2 for each of 4 outputs, and 1."""
    assert resources(PRESETS["edge"]).dsp == 128 + 10 + 9
    assert resources(COMPACT).dsp == 4 + 2 + 2
    # An iCE40 multiplies 16 bits: 18 of what comes out take two.
    assert resources(PRESETS["edge"], on=ICE40).dsp == 128 + 10 + 4 * 3 + 1
    # And so do sums of 18 bits, but not of 17.
    long = dataclasses.replace(PRESETS["edge"], max_length=512)
    assert resources(long, on=ICE40).dsp == 128 + 10 + 4 * 4 + 1
    # Early: one for each weight and the background's, none for what the scales share; nothing for what is skipped.
    early = dataclasses.replace(PRESETS["edge"], normalise=Normalise.EARLY)
    assert resources(early).dsp == 128 + 10 + 5 + 8
    assert resources(dataclasses.replace(early, fill=Fill.SKIP)).dsp == 128 + 10 + 5 + 4
    # What comes out then has 19 bits, of which the hardware makes two products.
    wide = dataclasses.replace(early, max_length=512, weight_bits=8)
    assert wide.output_operand_bits == 19
    assert {resources(wide, on=each).dsp for each in (ECP5, XILINX7, ULTRASCALE_PLUS)} == {128 + 10 + 5 + 4 * 3}
    assert resources(dataclasses.replace(COMPACT, fill=Fill.SKIP)).dsp == 4 + 2 + 1
    assert resources(dataclasses.replace(COMPACT, normalise=Normalise.EARLY)).dsp == 4 + 3 + 2
    assert resources(SPMM_PRESETS["edge"]).dsp == 4 * 32 + 2 * 8


def test_block_memories_by_hand():
    """`edge`: Q is 512 words of 2 · 256 bits, each half 29 bytes of 9 bits, 4 bytes to a memory; K and V are twice as
    many words, for which a memory has 2 bytes. Words of nibbles are 4 and 8 granules of 15 bytes."""
    assert block_resources(PRESETS["edge"])["scratchpads"].bram == 15 + 29 + 15 + 30
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
