"""Rules of pruning: what each keeps, in examples and as properties of all."""

from dataclasses import replace

import numpy as np
import pytest
from thresher.golden.attention.core import attention_head
from thresher.golden.baselines import RULES, view
from thresher.golden.baselines.attention import blocks_of, elements_of, masked_heads, row_background
from thresher.golden.baselines.energon import ONE, filter_round
from thresher.golden.baselines.hardware import head_magnitudes
from thresher.golden.baselines.rule import HeadView
from thresher.golden.baselines.top_k_blocks import count_kept, largest
from thresher.spec import head_command, preset
from thresher.spec.attention_config import Fill, HeadRule

EDGE = replace(preset("edge"), causal=True)
SEED = 11
LENGTHS = [(1, 1, False), (2, 5, False), (13, 13, False), (30, 27, False), (1, 7, True), (13, 13, True), (14, 27, True)]
"""Of queries and keys, and whether the head is causal."""


def operands(lq: int, lk: int, d: int = 32, *, rho: float = -1.0, causal: bool = False):
    """A command, Q, K and V of a random head."""
    random = np.random.default_rng([SEED, lq, lk])
    q, k, v = (random.integers(-127, 128, (n, d), dtype=np.int8) for n in (lq, lk, lk))
    command = head_command(
        EDGE, query_length=lq, key_length=lk, head_dim=d, score_scale=8e-5, output_scale=1.0, rho=rho, causal=causal
    )
    return command, q, k, v


def seen(lq: int, lk: int, *, causal: bool = False, **options) -> HeadView:
    command, q, k, _ = operands(lq, lk, causal=causal)
    return view(EDGE, command, q, k, **options)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_every_rule_keeps_less_and_less(rule, lengths, exact):
    """At one end of the parameter all that is visible, at the other little; in between never more than before."""
    lq, lk, causal = lengths
    head = seen(lq, lk, causal=causal, exact=exact)
    visible = np.tril(np.ones((lq, lk), np.bool_), lk - lq) if causal else np.ones((lq, lk), np.bool_)
    if not rule.elements:
        visible = blocks_of(EDGE, visible)
    kept = [rule.keep(head, value) for value in np.linspace(rule.dense, rule.sparse, 41)]
    np.testing.assert_array_equal(kept[0], visible, err_msg=f"seed {SEED}")
    assert not any((mask & ~visible).any() for mask in kept)
    counts = [int(mask.sum()) for mask in kept]
    assert counts == sorted(counts, reverse=True), f"seed {SEED}"
    assert counts[-1] <= max(len(kept[-1]), counts[0] // 2)


@pytest.mark.parametrize("policy", ["thresher", "hdp", "probability"])
@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.4])
@pytest.mark.parametrize(("lq", "lk", "causal"), [(30, 27, False), (27, 30, True)])
def test_the_hardwares_rules_are_those_of_the_attention_core(policy, rho, lq, lk, causal):
    config = replace(preset("edge", policy=policy), causal=True)
    command, q, k, v = operands(lq, lk, rho=rho, causal=causal)
    rule = RULES["probability" if policy == "probability" else "threshold"]
    expected = attention_head(config, command, q, k, v)
    mask = rule.keep(view(config, command, q, k), rho)
    output, kept, saturations = masked_heads(config, command, q, k, v, mask, elements=False)
    np.testing.assert_array_equal(output, expected.output, err_msg=f"seed {SEED}")
    assert saturations == expected.statistics.saturations
    assert expected.trace is not None
    np.testing.assert_array_equal(mask, expected.trace.selection.mask)
    np.testing.assert_array_equal(blocks_of(config, kept), mask)
    visible = 27 * 30 - 27 * 26 // 2 if causal else 27 * 30
    magnitude = expected.trace.selection.head_sum / (visible if config.head_rule is HeadRule.PER_ELEMENT else 1)
    assert head_magnitudes(view(config, command, q, k)) == pytest.approx(magnitude)


@pytest.mark.parametrize("causal", [False, True])
def test_all_elements_are_the_dense_head(causal):
    command, q, k, v = operands(12, 13, causal=causal)
    output, kept, saturations = masked_heads(EDGE, command, q, k, v, np.ones((12, 13), np.bool_), elements=True)
    expected = attention_head(EDGE, command, q, k, v)
    np.testing.assert_array_equal(output, expected.output)
    assert saturations == expected.statistics.saturations
    np.testing.assert_array_equal(kept, np.tri(12, 13, 1, dtype=np.bool_) if causal else np.ones((12, 13)))


def test_elements_that_fill_blocks_are_blocks():
    """With the fill ``skip`` there is no background, which elements have by row and blocks by block row."""
    config = replace(EDGE, fill=Fill.SKIP)
    command, q, k, v = operands(13, 12)
    blocks = np.random.default_rng(SEED).random((7, 6)) < 0.5
    blocks[:, 0] = True
    elements = elements_of(config, blocks, (13, 12))
    found, kept, _ = masked_heads(config, command, q, k, v, elements, elements=True)
    expected, block_kept, _ = masked_heads(config, command, q, k, v, blocks, elements=False)
    np.testing.assert_array_equal(found, expected, err_msg=f"seed {SEED}")
    np.testing.assert_array_equal(kept, block_kept)
    np.testing.assert_array_equal(blocks_of(config, elements), blocks)


@pytest.mark.parametrize("elements", [False, True])
@pytest.mark.parametrize("fill", Fill)
def test_empty_rows(fill, elements):
    """With the fill ``skip`` the largest score stays."""
    config = replace(EDGE, fill=fill)
    command, q, k, v = operands(4, 6)
    mask = np.zeros((4, 6) if elements else (2, 3), np.bool_)
    _, kept, _ = masked_heads(config, command, q, k, v, mask, elements=elements)
    assert kept.any() == (fill is Fill.SKIP)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("name", "causal"),
    [*((name, False) for name in RULES), *((name, True) for name in RULES if name != "random")],
)
def test_several_heads_at_once(name, exact, causal):
    """The same as one after another. Random masks are drawn in the order of the heads, unless they are causal."""
    rule, command = RULES[name], operands(13, 13, causal=causal)[0]
    q, k, v = np.random.default_rng(SEED).integers(-127, 128, (3, 4, 13, 32), dtype=np.int8)
    parameter = {"sanger": -4.0}.get(name, 0.2)

    def run(random: np.random.Generator, *own: np.ndarray):
        mask = rule.keep(view(EDGE, command, own[0], own[1], exact=exact, random=random), parameter)
        return masked_heads(EDGE, command, own[0], own[1], own[2], mask, elements=rule.elements)

    output, kept, saturations = run(np.random.default_rng(SEED), q, k, v)
    random = np.random.default_rng(SEED)
    single = [run(random, *own) for own in zip(q, k, v, strict=True)]
    np.testing.assert_array_equal(output, [each[0] for each in single], err_msg=f"seed {SEED}")
    np.testing.assert_array_equal(kept, [each[1] for each in single])
    assert saturations == sum(each[2] for each in single)


def test_the_background_of_a_row():
    ii = np.array([[4, 6, 9], [-1, -2, 5], [1, 2, 3]])
    kept = np.array([[0, 0, 1], [0, 0, 1], [1, 1, 1]], np.bool_)
    np.testing.assert_array_equal(row_background(EDGE, ii, ~kept), [5 * 256, -384, 0])
    np.testing.assert_array_equal(row_background(replace(EDGE, fill=Fill.ZERO), ii, ~kept), [0, 0, 0])


def test_largest():
    values, visible = np.array([[3, 9, 9, 1], [0, 0, 0, 0], [-5, -3, 8, 9]]), np.ones((3, 4), np.bool_)
    visible[2, 2:] = False
    kept = largest(values, np.array([2, 2, 1]), visible)
    np.testing.assert_array_equal(kept, [[0, 1, 1, 0], [1, 1, 0, 0], [0, 1, 0, 0]])
    assert [count_kept(share, np.array([10, 1])).tolist() for share in (0, 0.1, 0.11, 1)] == [
        [1, 1],
        [1, 1],
        [2, 1],
        [10, 1],
    ]


def test_energons_round():
    """Mean 2, maximum 5 of those alive."""
    scores, alive = np.array([[0, 1, 5, 99]]), np.array([[1, 1, 1, 0]], np.bool_)
    for alpha, expected in ((0, [0, 0, 1, 0]), (ONE, [0, 0, 1, 0]), (-ONE, [1, 1, 1, 0]), (-ONE // 2, [0, 1, 1, 0])):
        np.testing.assert_array_equal(filter_round(scores, alive, alpha), [expected])


def test_energon_drops_in_its_first_round_what_coarse_keys_show():
    """In exact selection the first round sees the predictor's scores."""
    head = seen(30, 27)
    assert head.coarse_scores.shape == head.scores.shape
    assert not np.array_equal(head.coarse_scores, head.scores)
    np.testing.assert_array_equal(seen(30, 27, exact=True).coarse_scores, head.scores)


def test_sanger_keeps_probabilities_above_its_threshold():
    head = seen(13, 12)
    weights = np.exp(head.scores * head.nats)
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(RULES["sanger"].keep(head, -4.0), probabilities >= 1 / 16)


def test_units_of_scores():
    """A unit of a score is 2^8 units of q·k; the exact scores are near the predicted ones."""
    head, exact = seen(30, 27), seen(30, 27, exact=True)
    assert head.nats == pytest.approx(8e-5 * 256, rel=1e-3)
    errors = head.scores - exact.scores
    assert np.corrcoef(head.scores.flat, exact.scores.flat)[0, 1] > 0.95
    assert 0 < np.abs(errors).max() < 200


@pytest.mark.parametrize("causal", [False, True])
def test_random_blocks_keep_as_many_as_top_k(causal):
    head = seen(27, 30, causal=causal, random=np.random.default_rng(SEED))
    first, second = (RULES["random"].keep(head, 0.4) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first.sum(axis=1), RULES["top-k-blocks"].keep(head, 0.4).sum(axis=1))
