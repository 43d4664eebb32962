"""The cycle model of attention heads against what was measured on RTL, and against stages worked out by hand."""

import json
from pathlib import Path

import pytest
import thresher
from thresher.spec import AttentionConfig, Fill, preset
from thresher.spec.attention_cycles import HeadWork

EDGE, TINY = preset("edge"), preset("tiny")
BASELINE = json.loads((Path(thresher.__file__).parent / "bench" / "baselines" / "attention.json").read_text())


def work(config: AttentionConfig, length: int, head_dim: int, kept_blocks: float, pruned: bool = False) -> HeadWork:
    return HeadWork(
        config=config,
        query_length=length,
        key_length=length,
        head_dim=head_dim,
        kept_blocks=kept_blocks,
        pruned=pruned,
    )


@pytest.mark.parametrize("row", BASELINE, ids=lambda r: f"{r['preset']}-{r['length']}-{r['head_dim']}-{r['rho']}")
def test_measured_rows(row):
    for kept, found in (("kept_blocks", "cycles_per_head"), ("blocks", "dense_cycles_per_head")):
        config = preset(row["preset"])
        model = work(config, row["length"], row["head_dim"], row[kept])
        rel = 0.06 if config.compact else 0.01
        # Of short heads, single cycles of latency are more than 1 %.
        assert model.cycles == pytest.approx(row[found], rel=rel, abs=5 if row[found] < 400 else 0), model.stages


def test_limits_by_hand():
    """128 queries and keys, d = 64: 64 block rows, 2 chunks."""
    dense = work(EDGE, 128, 64, 64 * 64)
    assert dense.cycles == dense.stages["main array"] == 2 * 4096 * 2
    assert dense.stages["load"] == 3 * 128 * 2 + 1
    # Accumulators of a row are ready in 64 cycles and 8; the normaliser needs 2 · 32 / 4, which binds sparse rows.
    assert dense.stages["passes"] == pytest.approx(64 * 2 * (64 + 8))
    assert work(EDGE, 128, 64, 64).stages["passes"] == pytest.approx(64 * 2 * 16)
    # 16 blocks of a row and 8 are more than its words, with few exceptions.
    assert 64 * 2 * 24 < work(EDGE, 128, 64, 64 * 16).stages["passes"] < 64 * 2 * 24.1
    assert dense.stages["list"] == 4096 + 64 * 3
    assert dense.stages["predictor"] == 64 * 32
    # 16 keys are 4 groups: the threshold of a row, 22 quotient bits, takes longer than its tables and its groups.
    assert work(EDGE, 16, 64, 64).stages["predictor"] == 8 * 12
    few = work(EDGE, 128, 64, 64)
    assert few.cycles == few.stages["two slots"] == (few.alone + 2) / 2
    assert few.alone > dense.stages["predictor"]


def test_a_pruned_head_costs_its_prediction():
    pruned = work(EDGE, 128, 64, 0, pruned=True)
    assert pruned.cycles == pruned.stages["predictor"]
    assert "main array" not in pruned.stages
    assert pruned.alone < work(EDGE, 128, 64, 64).alone


@pytest.mark.parametrize("config", [EDGE, TINY, preset("server"), preset("edge", policy="hdp")])
@pytest.mark.parametrize("length", [1, 2, 3, 15, 16])
def test_more_blocks_never_cost_less(config, length):
    """Of pruned rows; nothing pruned saves the backgrounds."""
    blocks = -(-length // 2)
    found = [work(config, length, 8, kept) for kept in range(blocks, blocks**2)]
    for attribute in ("cycles", "alone"):
        values = [getattr(each, attribute) for each in found]
        assert values == sorted(values)
    assert all(0 < each.cycles <= each.alone for each in found)


def test_compact_cores_take_a_value_at_a_time():
    """16×16, d = 8, one lane, all blocks kept: 8 block rows and chunks; the normaliser takes 8 cycles per pass."""
    compact = AttentionConfig(max_length=16, max_head_dim=8, lanes=1, predictor_lanes=2, output_lanes=1, compact=True)
    dense = work(compact, 16, 8, 64)
    assert dense.stages["main array"] == 2 * 64 * 8
    # Two walks over 16 scores, and 15 cycles more from row to row; a reciprocal takes 32 cycles, or 36.
    assert dense.stages["softmax"] == pytest.approx(8 * (34 + 47))
    # The words of the last rows before, 2 · 8 beats, hold the first passes up by 8.
    assert work(compact, 16, 8, 8).stages["passes"] == pytest.approx(8 * 8 * 8 + 8)
    assert 0 < dense.cycles < dense.alone


def test_policy_counts():
    """Without backgrounds nothing divides; early normalisation takes a pass more."""
    fields = json.loads(EDGE.to_json())
    skip = AttentionConfig.from_json(json.dumps(fields | {"fill": Fill.SKIP}))
    assert work(skip, 10, 32, 10).alone < work(EDGE, 10, 32, 10).alone
    early = AttentionConfig.from_json(json.dumps(fields | {"normalise": "early"}))
    assert work(early, 128, 32, 1000).stages["softmax"] == 1000 * 2 + 64
    assert "softmax" not in work(EDGE, 128, 32, 1000).stages
