"""Causal heads: what each query sees, in loops and in exact fractions, and against float attention."""

import dataclasses
import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from thresher.golden import attention_head
from thresher.golden.attention.core import attend
from thresher.golden.attention.selection import block_importance, kept_blocks, level_scale, select
from thresher.golden.attention.visible import visible_blocks, visible_positions
from thresher.spec import (
    PRESETS,
    AttentionConfig,
    BlockRule,
    CommandError,
    CommandValueError,
    Fill,
    HeadCommand,
    Importance,
    Normalise,
    head_command,
)

from ...operands import CORNERS, int8

EDGE = dataclasses.replace(PRESETS["edge"], causal=True)
LENGTHS = [(1, 1), (1, 7), (1, 8), (2, 2), (3, 3), (7, 7), (8, 8), (5, 8), (6, 8), (7, 12), (12, 13)]
"""Lq = 1, Lq = Lk odd and even, and Lq < Lk with odd and even offsets."""


def _command(config: AttentionConfig, lq: int, lk: int, **settings) -> HeadCommand:
    real: dict[str, Any] = dict(head_dim=8, score_scale=2e-4, output_scale=1.0) | settings
    return head_command(config, query_length=lq, key_length=lk, causal=True, **real)


def _operands(seed: int, lq: int, lk: int, corner: str = "random") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return int8(rng, lq, 8, corner=corner), int8(rng, lk, 8, corner=corner), int8(rng, lk, 8, corner=corner)


@pytest.mark.parametrize("block", [2, 4])
@pytest.mark.parametrize(("lq", "lk"), LENGTHS)
def test_the_queries_are_the_last_positions_and_see_the_keys_up_to_their_own(lq, lk, block):
    config = dataclasses.replace(EDGE, block=block)
    command = _command(config, lq, lk)
    visible = visible_positions(command)
    for i, j in itertools.product(range(lq), range(lk)):
        assert visible[i, j] == (j <= lk - lq + i)
    assert visible.sum(axis=1).tolist() == [command.visible_keys(i) for i in range(lq)]
    for (row, column), seen in np.ndenumerate(visible_blocks(config, command)):
        part = visible[row * block : (row + 1) * block, column * block : (column + 1) * block]
        assert seen == part.any()


def _blocks(visible: np.ndarray, b: int):
    """Block rows as lists of blocks; a block is the list of its positions that its query sees."""
    rows, columns = (-(-size // b) for size in visible.shape)
    for row in range(rows):
        parts = []
        for column in range(columns):
            places = itertools.product(range(row * b, (row + 1) * b), range(column * b, (column + 1) * b))
            inside = [(i, j) for i, j in places if i < visible.shape[0] and j < visible.shape[1] and visible[i, j]]
            if inside:
                parts.append((column, inside))
        yield row, parts


@pytest.mark.parametrize("block", [2, 4])
@pytest.mark.parametrize("importance", Importance)
@pytest.mark.parametrize(("lq", "lk"), LENGTHS)
def test_only_visible_positions_enter_importance_threshold_background_and_head_sum(lq, lk, importance, block):
    config = dataclasses.replace(EDGE, block=block, importance=importance)
    reduce = {Importance.MAX: max, Importance.SUM: sum, Importance.ABS_SUM: lambda values: sum(map(abs, values))}
    for seed, rho in enumerate((-1.0, -0.4, 0.0, 0.3, 0.99)):
        command = _command(config, lq, lk, rho=rho)
        ii = np.random.default_rng(seed).integers(-300, 301, (lq, lk))
        chosen = select(config, ii, command)
        visible = visible_positions(command)
        assert chosen.head_sum == sum(abs(int(value)) for value in ii[visible])
        for row, parts in _blocks(visible, block):
            values = [reduce[importance]([int(ii[place]) for place in places]) for _, places in parts]
            assert chosen.importance[row, [column for column, _ in parts]].tolist() == values
            r, mean = Fraction(command.rho, 256), Fraction(sum(values), len(values))
            threshold = r * max(values) + (1 - r) * mean if r >= 0 else -r * min(values) + (1 + r) * mean
            kept = [value >= threshold for value in values]
            mask = chosen.mask[row].tolist()
            assert mask == kept + [False] * (len(mask) - len(kept)), seed
            pruned = [
                int(ii[place]) for keep, (_, places) in zip(kept, parts, strict=True) if not keep for place in places
            ]
            expected = (sum(pruned) * 256) // len(pruned) if pruned else 0
            assert chosen.background[row] == expected


@pytest.mark.parametrize("block", [2, 4])
@pytest.mark.parametrize(("lq", "lk"), LENGTHS)
def test_only_visible_keys_enter_predicted_probabilities(lq, lk, block):
    config = dataclasses.replace(EDGE, block=block, block_rule=BlockRule.PROBABILITY)
    for seed, rho in enumerate((-1.0, -0.9, -0.6, 0.0, 0.9)):
        command = _command(config, lq, lk, rho=rho)
        ii = np.random.default_rng(seed).integers(-40, 41, (lq, lk))
        factor, shift = level_scale(config, command)
        visible = visible_positions(command)
        mask = kept_blocks(config, ii, command)
        for row, parts in _blocks(visible, block):
            keeps = [False] * mask.shape[1]
            for query in range(row * block, min((row + 1) * block, lq)):
                found = {}
                for column, places in parts:
                    values = [int(ii[i, j]) for i, j in places if i == query]
                    if values:
                        near = sum(abs(a - b) < 1 << (shift - 2) for a, b in itertools.pairwise(values))
                        found[column] = ((factor * max(values)) >> shift, 1 + near)
                largest = max(level for level, _ in found.values())
                weights = {column: (1 << 10) >> min(largest - level, 11) for column, (level, _) in found.items()}
                total = sum(weights[column] * count for column, (_, count) in found.items())
                for column, weight in weights.items():
                    keeps[column] |= 512 * weight >= (256 + command.rho) * total
            assert mask[row].tolist() == keeps, seed


@pytest.mark.parametrize("normalise", Normalise)
@pytest.mark.parametrize("fill", Fill)
@pytest.mark.parametrize(("lq", "lk"), LENGTHS)
def test_heads_are_float_attention_over_the_keys_that_each_query_sees(lq, lk, fill, normalise):
    config = dataclasses.replace(EDGE, fill=fill, normalise=normalise)
    for seed, rho in enumerate((-1.0, -0.5, 0.0, 0.5, 0.99)):
        q, k, v = _operands(seed, lq, lk)
        result = attention_head(config, _command(config, lq, lk, rho=rho), q, k, v)
        trace = result.trace
        assert trace is not None
        assert result.output is not None
        visible = np.tril(np.ones((lq, lk), bool), lk - lq)
        kept = trace.selection.mask.repeat(2, axis=0).repeat(2, axis=1)[:lq, :lk] & visible
        outside = {
            Fill.BACKGROUND: trace.selection.background.repeat(2)[:lq, None] * 2e-4,
            Fill.ZERO: np.zeros((lq, 1)),
            Fill.SKIP: np.full((lq, 1), -np.inf),
        }[fill]
        logits = np.where(kept, trace.scores * 2e-4, np.where(visible, outside, -np.inf))
        some = np.isfinite(logits).any(axis=1)
        weights = np.exp(logits[some] - logits[some].max(axis=1, keepdims=True))
        true = weights @ v.astype(float) / weights.sum(axis=1, keepdims=True)
        assert np.abs(result.output[some] - true).max() <= 1.5, seed
        # With the fill ``skip``, a query without a kept key that it sees has no weights.
        assert not result.output[~some].any()
        assert some.all() or fill is Fill.SKIP


@pytest.mark.parametrize("corner", CORNERS)
def test_a_key_changes_nothing_for_the_queries_before_it(corner):
    """With ρ = −1; other thresholds see both queries of a block row."""
    q, k, v = _operands(3, 9, 14, corner)
    command = _command(EDGE, 9, 14)
    whole = attention_head(EDGE, command, q, k, v).output
    for last in range(6, 14):
        other_k, other_v = k.copy(), v.copy()
        other_k[last], other_v[last] = 127, -128
        changed = attention_head(EDGE, command, q, other_k, other_v).output
        assert whole is not None
        assert changed is not None
        np.testing.assert_array_equal(changed[: last - 5], whole[: last - 5])


def test_a_query_that_keeps_no_key_that_it_sees_gives_the_mean_of_those_that_it_sees():
    """Lk − Lq = 1: the first query sees keys 0 and 1, the second one sees key 2 of the next block, too."""
    q, k, v = _operands(4, 2, 3)
    for fill in (Fill.BACKGROUND, Fill.ZERO):
        config = dataclasses.replace(EDGE, fill=fill)
        output = attention_head(config, _command(config, 2, 3), q, k, v, mask=np.array([[False, True]])).output
        assert output is not None
        assert np.abs(output[0] - v[:2].mean(axis=0)).max() <= 0.6
    skip = dataclasses.replace(EDGE, fill=Fill.SKIP)
    output = attention_head(skip, _command(skip, 2, 3), q, k, v, mask=np.array([[False, True]])).output
    assert output is not None
    assert not output[0].any()
    assert np.abs(output[1] - v[2]).max() <= 1


def test_blocks_beyond_the_diagonal_are_never_kept():
    q, k, v = _operands(5, 6, 6)
    result = attention_head(EDGE, _command(EDGE, 6, 6), q, k, v, mask=np.ones((3, 3), bool))
    assert result.statistics.kept_blocks == 6
    assert attention_head(EDGE, _command(EDGE, 6, 6), q, k, v).statistics.kept_blocks == 6


def test_a_causal_head_with_one_query_is_a_head_that_is_not_causal():
    q, k, v = _operands(6, 1, 13)
    command = _command(EDGE, 1, 13, rho=0.4)
    other, causal = (attention_head(EDGE, dataclasses.replace(command, causal=bit), q, k, v).output for bit in (0, 1))
    assert other is not None
    np.testing.assert_array_equal(causal, other)


def test_more_queries_than_keys_are_refused():
    q, k, v = _operands(0, 5, 4)
    result = attention_head(EDGE, _command(EDGE, 5, 4), q, k, v)
    assert result.output is None
    assert result.statistics.error is CommandError.CAUSAL
    assert attention_head(EDGE, dataclasses.replace(_command(EDGE, 5, 4), causal=0), q, k, v).output is not None


def test_a_core_without_the_option_has_no_such_bit():
    q, k, v = _operands(0, 4, 4)
    with pytest.raises(CommandValueError, match=r"causal=1 .* unless the core is generated with causal=True"):
        attention_head(PRESETS["edge"], _command(EDGE, 4, 4), q, k, v)


def test_the_head_threshold_counts_the_positions_that_are_seen():
    whole, causal = (
        head_command(
            EDGE, query_length=7, key_length=9, head_dim=8, score_scale=1e-4, output_scale=1.0, tau=2.0, causal=bit
        )
        for bit in (0, 1)
    )
    assert whole.head_threshold == 2 * 63
    assert causal.head_threshold == 2 * (63 - 21)
    assert block_importance(EDGE, np.ones((7, 9), np.int64), causal)[0, -1] == 0


def test_several_heads_share_one_command():
    rng = np.random.default_rng(2)
    q, k, v = int8(rng, 3, 5, 8), int8(rng, 3, 6, 8), int8(rng, 3, 6, 8)
    command = _command(EDGE, 5, 6)
    visible = np.broadcast_to(visible_positions(command), (3, 5, 6))
    wide_q, wide_k, wide_v = (each.astype(np.int64) for each in (q, k, v))
    found = attend(EDGE, command, wide_q, wide_k, wide_v, visible, np.zeros((3, 5), np.int64))
    for head in range(3):
        alone = attention_head(EDGE, command, q[head], k[head], v[head]).output
        np.testing.assert_array_equal(found.output[head], alone)
