"""The cycle model of attention heads against what was measured on RTL, and against stages worked out by hand."""

import json
from itertools import accumulate
from pathlib import Path

import pytest
from thresher.cost.attention_cycles import HeadWork
from thresher.spec import AttentionConfig, ConfigError, Fill, preset

EDGE, TINY = preset("edge"), preset("tiny")
BASELINE = json.loads((Path(__file__).parents[2] / "bench" / "baselines" / "attention.json").read_text())


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
        assert model.cycles == pytest.approx(row[found], rel=0.01), model.stages


def test_limits_by_hand():
    """128 queries and keys, d = 64: 64 block rows, 2 chunks."""
    dense = work(EDGE, 128, 64, 64 * 64)
    assert dense.cycles == dense.stages["main array"] == 2 * 4096 * 2
    assert dense.stages["load"] == 3 * 128 * 2 + 1
    # Accumulators of a row are ready in 64 cycles and 8; the normaliser needs 2 · 32 / 4, which binds sparse rows.
    assert dense.stages["passes"] == 64 * 2 * (64 + 8)
    assert work(EDGE, 128, 64, 64).stages["passes"] == 64 * 2 * 16
    # 16 blocks of a row and 8 are more than its words, of long rows and short ones.
    assert work(EDGE, 128, 64, 64 * 16).stages["passes"] == 64 * 2 * 24
    assert dense.stages["list"] == 4096 + 64 * 3
    # A row of 32 key groups after another, and a cycle between two heads.
    assert dense.stages["predictor"] == 64 * 32 + 1
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
    """But for the backgrounds of rows of which nothing is pruned; compact cores, for the turns of the normaliser, and
    for which rows have most of them."""
    spare = 12 if config.compact else 20 if config.fill is Fill.BACKGROUND else 2
    blocks = -(-length // 2)
    found = [work(config, length, 8, kept) for kept in range(blocks, blocks**2)]
    for attribute in ("cycles", "alone"):
        values = [getattr(each, attribute) for each in found]
        assert all(value + spare >= most for value, most in zip(values, accumulate(values, max), strict=True))
    assert all(0 < each.cycles <= each.alone for each in found)


def test_compact_cores_take_a_value_at_a_time():
    """16×16, d = 8, one lane: 8 block rows and chunks; the normaliser takes 8 cycles per pass."""
    dense, sparse = work(TINY, 16, 8, 64), work(TINY, 16, 8, 8)
    assert dense.stages["main array"] == dense.cycles == 2 * 64 * 8
    # A beat of the predictor is four chunks, and its block's four values begin with the last of them.
    assert dense.stages["predictor"] == 8 * 8 * (4 + 3) + 30
    # Accumulators of 8 blocks are ready in 8 cycles and 5.
    assert dense.stages["passes"] == 8 * 8 * (8 + 5)
    assert sparse.stages["passes"] == 8 * 8 * 8
    # A reciprocal takes 28 cycles, one per place, and turns of 4 to be taken: of one key's weight there are 4 places.
    # Two walks over 16 scores take about as long; from row to row there are 15 cycles more.
    one_key = HeadWork(config=TINY, query_length=16, key_length=1, head_dim=8, kept_blocks=8)
    assert one_key.stages["softmax"] == 16 * (28 + 4 + 4)
    assert 16 * (28 + 4) <= sparse.stages["softmax"] <= one_key.stages["softmax"]
    assert 8 * (4 * 16 + 15) <= dense.stages["softmax"] <= 8 * (4 * 16 + 15 + 8)
    assert sparse.cycles == pytest.approx(sparse.stages["two slots"], abs=2)


@pytest.mark.parametrize(
    ("shape", "rows", "alone", "cycles"),
    [
        ((1, 1, 1), (1,), 160, 80),
        ((15, 1, 5), (1,) * 8, 932, 576),
        ((16, 16, 8), (), 870, 478),
        ((16, 8, 1), (), 241, 193),
        ((9, 3, 7), (), 283, 142.5),
    ],
)
def test_compact_cores_to_the_cycle(shape, rows, alone, cycles):
    """Measured on RTL, of heads of which all is known: of one key, or pruned."""
    queries, keys, head_dim = shape
    model = HeadWork(
        config=TINY,
        query_length=queries,
        key_length=keys,
        head_dim=head_dim,
        kept_blocks=sum(rows),
        pruned=not rows,
        row_blocks=rows,
    )
    assert (model.alone, model.cycles) == (alone, cycles)


@pytest.mark.parametrize("config", [EDGE, TINY])
def test_every_row_keeps_a_block(config):
    """A sparsity that asks for fewer blocks than there are rows takes as long as one of each."""
    few, one = work(config, 16, 8, 6), work(config, 16, 8, 8)
    assert (few.cycles, few.stages) == (one.cycles, one.stages)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kept_blocks": 65}, "kept_blocks=65 is not allowed: must be from 0 to 64"),
        ({"kept_blocks": -1}, "kept_blocks=-1 is not allowed: must be from 0 to 64"),
        ({"row_blocks": (8,) * 7}, "must be 8 numbers of blocks, each from 1 to 8"),
        ({"row_blocks": (9,) + (1,) * 7}, "must be 8 numbers of blocks, each from 1 to 8"),
        ({"row_blocks": (0,) + (8,) * 7}, "must be 8 numbers of blocks, each from 1 to 8"),
        ({"row_blocks": (1,) * 8}, "must add up to kept_blocks"),
        ({"row_blocks": (4,) * 8, "pruned": True}, "none of a pruned head"),
    ],
)
def test_heads_that_there_are_not(fields, told):
    with pytest.raises(ConfigError, match=told):
        HeadWork(**dict(config=EDGE, query_length=16, key_length=16, head_dim=8, kept_blocks=32) | fields)


@pytest.mark.parametrize("config", [EDGE, TINY])
def test_blocks_between_whole_numbers(config):
    """Means over heads are between those of whole numbers."""
    low, middle, high = (work(config, 16, 8, kept) for kept in (40, 40.25, 41))
    for attribute in ("cycles", "alone"):
        low_value, value, high_value = (getattr(each, attribute) for each in (low, middle, high))
        assert value == pytest.approx(0.75 * low_value + 0.25 * high_value)


def test_blocks_of_known_rows():
    """Four rows, two of 16 blocks and two of one, two passes each. Short passes take 1 + 8 cycles until the normaliser,
    which takes 16 for each, has one in hand and one before it: that is two passes behind the long ones."""
    known = HeadWork(config=EDGE, query_length=8, key_length=32, head_dim=64, kept_blocks=34, row_blocks=(16, 16, 1, 1))
    chance = HeadWork(config=EDGE, query_length=8, key_length=32, head_dim=64, kept_blocks=34)
    assert known.stages["passes"] == 4 * (16 + 8) + 2 * (1 + 8) + 2 * 16
    assert known.stages["passes"] != chance.stages["passes"]
    assert known.stages["main array"] == chance.stages["main array"]


def test_long_compact_heads_are_quick():
    """Passes that are like the ones before are not followed one by one: 512 rows, 64 passes each."""
    config = AttentionConfig(
        max_length=1024, max_head_dim=64, lanes=1, predictor_lanes=8, predictor_blocks=4, output_lanes=1, compact=True
    )
    long = work(config, 1024, 64, 512 * 512)
    assert long.cycles == pytest.approx(long.stages["main array"], rel=1e-3)


def test_policy_counts():
    """Without backgrounds nothing divides; early normalisation takes a pass more."""
    fields = json.loads(EDGE.to_json())
    skip = AttentionConfig.from_json(json.dumps(fields | {"fill": Fill.SKIP}))
    assert work(skip, 10, 32, 10).alone < work(EDGE, 10, 32, 10).alone
    early = AttentionConfig.from_json(json.dumps(fields | {"normalise": "early"}))
    assert work(early, 128, 32, 1000).stages["softmax"] == 1000 * 2 + 64
    assert "softmax" not in work(EDGE, 128, 32, 1000).stages
