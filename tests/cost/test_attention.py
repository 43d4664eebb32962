"""Estimated cycles of attention heads: RTL of ``tiny``, the committed record, and how the estimates behave."""

import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from thresher.cost.attention import COMPACT_BAND, HeadWork, band
from thresher.sim.attention import AttentionSimulator
from thresher.spec import AttentionConfig, ConfigError, Normalise, head_command, preset
from thresher.spec.attention_command import DENSE_RHO

BASELINE = json.loads((Path(__file__).parents[2] / "bench" / "baselines" / "attention.json").read_text())
EDGE, TINY = preset("edge"), preset("tiny")
COMPACT = AttentionConfig(
    max_length=64, max_head_dim=32, lanes=4, predictor_lanes=8, output_lanes=1, compact=True, normalise=Normalise.EARLY
)
CONFIGS = {"edge": EDGE, "edge, hdp": preset("edge", policy="hdp"), "tiny": TINY, "compact, early": COMPACT}


def work(config: AttentionConfig, length: int, head_dim: int, kept_blocks: float, pruned: bool = False) -> HeadWork:
    return HeadWork(
        config=config,
        query_length=length,
        key_length=length,
        head_dim=head_dim,
        kept_blocks=kept_blocks,
        pruned=pruned,
    )


@pytest.mark.parametrize(
    "row",
    BASELINE,
    ids=lambda row: f"{row['preset']}-{row['length']}-{row['wanted_sparsity']}{'-causal' * row['causal']}",
)
def test_the_record_is_within_the_band(row):
    config = dataclasses.replace(preset(row["preset"]), causal=row["causal"])
    for prefix, kept in (("", row["kept_blocks"]), ("dense_", row["blocks"])):
        shape = {"query_length": row["length"], "key_length": row["length"], "head_dim": row["head_dim"]}
        found = HeadWork(config=config, **shape, kept_blocks=kept, causal=row["causal"]).cycles
        assert found == pytest.approx(row[f"{prefix}cycles_per_head"], rel=band(config))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_causal_head_has_the_blocks_that_its_queries_see(config):
    """8 of 10 positions: block rows of 2, 3, 4 and 5 blocks."""
    shape = {"config": config, "query_length": 8, "key_length": 10, "head_dim": 8}
    dense = HeadWork(**shape, kept_blocks=14, causal=True)
    whole = HeadWork(**shape, kept_blocks=20)
    assert dense.cycles <= whole.cycles
    assert dense.alone < whole.alone
    with pytest.raises(ConfigError, match="from 0 to 14"):
        HeadWork(**shape, kept_blocks=15, causal=True)


def test_tiny_takes_about_as_long_in_rtl():
    """A stream of equal heads, dense, and the first head by itself."""
    rng = np.random.default_rng(20)
    q, k, v = (rng.integers(-128, 128, (16, 8), dtype=np.int8) for _ in range(3))
    shape = {"query_length": 16, "key_length": 16, "head_dim": 8}
    command = head_command(TINY, **shape, score_scale=1e-4, output_scale=1.0, rho=DENSE_RHO)
    with AttentionSimulator(TINY) as simulator:
        runs = simulator.run([(command, q, k, v)] * 5)
    estimated = work(TINY, 16, 8, 64)
    assert estimated.cycles == pytest.approx((runs[3].finished - runs[1].finished) / 2, rel=COMPACT_BAND)
    assert estimated.alone == pytest.approx(runs[0].finished - runs[0].accepted, rel=COMPACT_BAND)


def test_a_dense_head_takes_the_time_of_the_pe_array():
    """Scores and weights of 64×64 blocks in two chunks."""
    dense = work(EDGE, 128, 64, 64 * 64)
    assert dense.cycles == dense.stages["PE array"] == 2 * 64 * 64 * 2
    assert max(dense.stages, key=dense.stages.__getitem__) == "PE array"


def test_a_pruned_head_is_only_loaded_and_predicted():
    pruned = work(EDGE, 128, 64, 0, pruned=True)
    assert pruned.cycles == pruned.stages["predictor"]
    assert "PE array" not in pruned.stages
    assert pruned.alone < work(EDGE, 128, 64, 64).alone


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("length", [1, 3, 16])
def test_more_blocks_never_cost_much_less(config, length):
    """A background needs a division only if blocks are pruned: dense heads may be a little faster than nearly dense."""
    blocks = -(-length // 2)
    found = [work(config, length, 8, kept) for kept in range(blocks, blocks**2 + 1)]
    assert all(after.cycles > 0.9 * before.cycles for before, after in pairwise(found))
    assert all(0 < each.cycles <= each.alone for each in found)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_longer_heads_cost_more(config):
    found = [work(config, length, 8, (length // 2) ** 2).cycles for length in (2, 4, 8, 16)]
    assert found == sorted(found)


@pytest.mark.parametrize("config", [EDGE, TINY])
def test_every_row_keeps_a_block(config):
    few, one = work(config, 16, 8, 6), work(config, 16, 8, 8)
    assert (few.cycles, few.stages) == (one.cycles, one.stages)


@pytest.mark.parametrize("kept", [-1, 65])
def test_impossible_numbers_of_blocks_are_rejected(kept):
    with pytest.raises(ConfigError, match=f"kept_blocks={kept} is not allowed: must be from 0 to 64"):
        work(EDGE, 16, 8, kept)


def test_the_largest_head_is_estimated():
    config = AttentionConfig(max_length=1024, max_head_dim=256, lanes=1, predictor_lanes=8, output_lanes=1)
    assert work(config, 1024, 256, 512 * 512).cycles == pytest.approx(2 * 512 * 512 * 256)
