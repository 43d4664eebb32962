"""Choosing a sparsity: the table, the choice, and bad input."""

import json
from collections import Counter

import pytest
from thresher.cost.attention import HeadWork
from thresher.model import load_model
from thresher.runtime.attention import HeadShape
from thresher.runtime.evaluate import evaluate
from thresher.runtime.pick import DEFAULT_RHOS, Point, choose, head_cycles, pick
from thresher.spec import ThresherError, preset

EDGE = preset("edge")

LONG = "a wonderful and deeply moving portrait of three friends who learn , late and with some pain , to be kind ;" * 2
"""Short texts gain nothing, because the divisions of backgrounds take longer than the pruned blocks."""


@pytest.fixture
def sst2(tmp_path):
    path = tmp_path / "sst2.tsv"
    rows = (f"{LONG} film .\t1", "dull\t0", f"the worst {LONG} hours of my life .\t0", "awful\t1", f"{LONG} great\t1")
    path.write_text("sentence\tlabel\n" + "\n".join(rows) + "\n")
    return path


def point(speedup: float, block_sparsity: float) -> Point:
    return Point(rho=0, score=0, change=0, change_int8=0, cycles=1, block_sparsity=block_sparsity, speedup=speedup)


POINTS = [point(1, 0), point(1.4, 0.5), point(1.3, 0.4), point(1.997, 0.8), point(2, 0.9)]


@pytest.mark.parametrize(
    ("target", "expected"),
    [(0.5, (0, True)), (1, (0, True)), (1.2, (2, True)), (1.35, (1, True)), (2, (4, True)), (2.1, (3, False))],
)
def test_choice(target, expected):
    """The smallest sparsity that is fast enough, or else the smallest within 1 % of the fastest."""
    assert choose(POINTS, target) == expected


def test_cycles_are_those_of_the_model_head_by_head():
    shapes = Counter({HeadShape(10, 32, 7, False): 3, HeadShape(25, 64, 0, True): 2})
    heads = [(10, 32, 7, False)] * 3 + [(25, 64, 0, True)] * 2
    expected = sum(
        HeadWork(
            config=EDGE, query_length=length, key_length=length, head_dim=d, kept_blocks=kept, pruned=pruned
        ).cycles
        for length, d, kept, pruned in heads
    )
    assert head_cycles(EDGE, shapes) == pytest.approx(expected)
    assert head_cycles(EDGE, Counter()) == 0


def test_the_table(default_model, sst2):
    seen = []
    found = pick(
        default_model,
        "sst2",
        sst2,
        config=EDGE,
        target_speedup=1.2,
        rhos=(0.5, -0.5, 0.5),
        jobs=1,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (5, 5)
    assert [each.rho for each in found.points] == [-1, -0.5, 0.5]
    dense, some, most = found.points
    assert (dense.block_sparsity, dense.speedup, dense.change_int8) == (0, 1, 0)
    assert 0 < some.block_sparsity < most.block_sparsity < 1
    assert dense.cycles > some.cycles > most.cycles
    assert most.speedup == dense.cycles / most.cycles > 1.2
    assert found.reached
    assert found.point.block_sparsity <= most.block_sparsity
    assert (found.examples, found.sentences, found.metric) == (5, 5, "accuracy")
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["points"][0]["rho"] == -1
    # The same figures as an evaluation by itself.
    alone = evaluate(default_model, "sst2", sst2, config=EDGE, rho=0.5, jobs=1).results
    assert found.fp32 == alone["fp32"].score
    assert dense.score == alone["int8"].score
    assert (most.score, most.block_sparsity) == (alone["pruned"].score, alone["pruned"].block_sparsity)


def test_cycles_count_every_head(default_model, sst2):
    found = pick(default_model, "sst2", sst2, config=EDGE, target_speedup=2, rhos=[0.0], limit=1, jobs=1)
    length = len(default_model.encode(f"{LONG} film ."))
    dense = HeadShape(length, 64, (-(-length // 2)) ** 2, False)
    assert found.sentences == 1
    assert found.points[0].cycles == pytest.approx(head_cycles(EDGE, Counter({dense: 4})))


def test_stsb_counts_both_sentences(make_model, tmp_path):
    path = tmp_path / "stsb.tsv"
    path.write_text("score\tsentence1\tsentence2\n5.0\ta b c\ta b c\n3.2\ta b c\ta b d\n0\ta\tb h h\n")
    model = load_model(make_model(architectures=["BertModel"], id2label=None))
    tiny = preset("tiny", policy="hdp")
    found = pick(model, "stsb", path, config=tiny, target_speedup=100, rhos=[0.5], jobs=1)
    assert (found.examples, found.sentences, found.metric) == (3, 6, "spearman")
    assert not found.reached
    assert found.point.speedup >= 0.99 * max(each.speedup for each in found.points)


def test_default_thresholds_are_in_order_and_legal():
    assert list(DEFAULT_RHOS) == sorted(set(DEFAULT_RHOS))
    assert -1 < DEFAULT_RHOS[0] < DEFAULT_RHOS[-1] < 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target_speedup": 0}, "target_speedup=0"),
        ({"target_speedup": float("nan")}, "target_speedup=nan"),
        ({"rhos": [-1.0]}, "pruning off is always"),
        ({"rhos": [1.0]}, "between -1 and 1"),
        ({"rhos": []}, "from 1 to 100"),
        ({"config": preset("tiny")}, "choose a larger preset"),
        ({"task": "stsb"}, "stsb"),
    ],
)
def test_refused(default_model, sst2, changes, words):
    given = {"config": EDGE, "target_speedup": 1.5, "rhos": [0.5], "task": "sst2", "jobs": 1} | changes
    with pytest.raises(ThresherError, match=words) as caught:
        pick(default_model, data=sst2, **given)
    assert "\n" not in str(caught.value)
