"""Importance, threshold, mask, background and head rule against loops in exact fractions."""

import dataclasses
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.golden.attention.selection import (
    background_scores,
    block_importance,
    block_mask,
    level_scale,
    probability_mask,
    select,
)
from thresher.spec import PRESETS, AttentionConfig, BlockRule, Fill, HeadCommand, Importance

TINY = PRESETS["tiny"]
SHAPES = [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5), (8, 8), (16, 15)]


def _config(**changes) -> AttentionConfig:
    return dataclasses.replace(TINY, **changes)


def _predictions(shape: tuple[int, int], seed: int, peak: int = 512) -> np.ndarray:
    return np.random.default_rng(seed).integers(-peak, peak + 1, shape)


def _members(ii: np.ndarray, b: int, i: int, j: int) -> list[int]:
    """II of one block, positions outside the sequence left out."""
    rows, columns = ii.shape
    return [
        int(ii[r, c]) for r in range(i * b, min((i + 1) * b, rows)) for c in range(j * b, min((j + 1) * b, columns))
    ]


_REDUCE = {
    Importance.MAX: max,
    Importance.SUM: sum,
    Importance.ABS_SUM: lambda values: sum(map(abs, values)),
}


@pytest.mark.parametrize("block", [2, 4])
@pytest.mark.parametrize("rule", Importance)
@pytest.mark.parametrize("shape", SHAPES)
def test_importance(block, rule, shape):
    ii = _predictions(shape, seed=shape[0])
    importance = block_importance(_config(block=block, importance=rule), ii)
    assert importance.shape == (math.ceil(shape[0] / block), math.ceil(shape[1] / block))
    for (i, j), value in np.ndenumerate(importance):
        assert value == _REDUCE[rule](_members(ii, block, i, j))


def test_outside_is_not_zero_for_max():
    """A block at the edge whose inside is all negative keeps its negative maximum."""
    assert block_importance(_config(), np.full((3, 3), -5)).tolist() == [[-5, -5], [-5, -5]]


def _threshold(row: list[int], rho: Fraction) -> Fraction:
    """Θ as the contract writes it."""
    mean = Fraction(sum(row), len(row))
    return rho * max(row) + (1 - rho) * mean if rho >= 0 else -rho * min(row) + (1 + rho) * mean


@given(
    st.lists(st.lists(st.integers(-16384, 16384), min_size=9, max_size=9), min_size=1, max_size=4),
    st.integers(1, 9),
    st.integers(-256, 255),
)
def test_mask_is_the_threshold_in_fractions(rows, width, rho):
    importance = np.array(rows)[:, :width]
    mask = block_mask(importance, rho)
    for row, kept in zip(importance.tolist(), mask.tolist(), strict=True):
        threshold = _threshold(row, Fraction(rho, 256))
        assert kept == [value >= threshold for value in row]
        assert kept[row.index(max(row))]


@given(st.lists(st.integers(-16384, 16384), min_size=1, max_size=40))
def test_rho_minus_one_keeps_all_and_a_larger_rho_keeps_no_more(row):
    importance = np.array([row])
    assert block_mask(importance, -256).all()
    kept = [set(np.flatnonzero(block_mask(importance, rho)[0])) for rho in range(-256, 256, 16)]
    for more, fewer in itertools.pairwise(kept):
        assert fewer <= more


@pytest.mark.parametrize("rho", [-256, -255, -1, 0, 1, 255])
def test_equal_importances_are_all_kept(rho):
    for value in (-16384, -1, 0, 1, 16384):
        assert block_mask(np.full((2, 7), value), rho).all()


@pytest.mark.parametrize("block", [2, 4])
@pytest.mark.parametrize("bits", [2, 4, 6])
@pytest.mark.parametrize("shape", SHAPES)
def test_background_is_the_floor_of_the_mean(block, bits, shape):
    config = _config(block=block, fraction_bits=bits)
    ii = _predictions(shape, seed=shape[1])
    nq, nk = math.ceil(shape[0] / block), math.ceil(shape[1] / block)
    mask = np.random.default_rng(7).random((nq, nk)) < 0.5
    background = background_scores(config, ii, mask)
    for i in range(nq):
        pruned = [value for j in range(nk) if not mask[i, j] for value in _members(ii, block, i, j)]
        expected = math.floor(4**bits * Fraction(sum(pruned), len(pruned))) if pruned else 0
        assert background[i] == expected


@pytest.mark.parametrize("fill", [Fill.ZERO, Fill.SKIP])
def test_other_fills_have_no_background(fill):
    ii = np.full((4, 4), -100)
    assert not background_scores(_config(fill=fill), ii, np.zeros((2, 2), bool)).any()


def test_a_background_never_beats_the_row_maximum_of_its_predictions():
    """With importance ``max`` a pruned block's predictions lie below the row's largest, and so does their mean."""
    for seed in range(20):
        ii = _predictions((16, 16), seed)
        chosen = select(_config(), ii, HeadCommand(query_length=16, key_length=16, head_dim=8, rho=64))
        assert (chosen.background <= chosen.importance.max(axis=1) * 256).all(), seed


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_head_is_pruned_strictly_below_its_threshold(offset):
    ii = _predictions((5, 9), seed=3)
    total = sum(abs(int(value)) for value in ii.flat)
    command = HeadCommand(query_length=5, key_length=9, head_dim=8, head_threshold=total + offset)
    chosen = select(_config(), ii, command)
    assert chosen.head_sum == total
    assert chosen.pruned == (offset > 0)


def test_no_threshold_prunes_no_head_even_of_zeros():
    command = HeadCommand(query_length=4, key_length=4, head_dim=8, rho=255)
    chosen = select(_config(), np.zeros((4, 4), np.int64), command)
    assert not chosen.pruned
    assert chosen.mask.all()


def test_a_given_mask_takes_the_place_of_the_threshold():
    ii = _predictions((6, 6), seed=1)
    mask = np.eye(3, dtype=bool)
    command = HeadCommand(query_length=6, key_length=6, head_dim=8)
    chosen = select(_config(), ii, command, mask)
    assert (chosen.mask == mask).all()
    assert (chosen.background == background_scores(_config(), ii, mask)).all()


def _kept_by_probability(config: AttentionConfig, ii: np.ndarray, command: HeadCommand) -> list[list[bool]]:
    """The rule ``probability`` as the contract writes it, in exact fractions."""
    b, (lq, lk) = config.block, ii.shape
    factor, s = level_scale(config, command)
    cutoff = Fraction(256 + command.rho, 512)
    kept = [[False] * math.ceil(lk / b) for _ in range(math.ceil(lq / b))]
    for query, row in enumerate(ii.tolist()):
        levels, counts = [], []
        for start in range(0, lk, b):
            keys = row[start : start + b]
            levels.append(math.floor(Fraction(factor * max(keys), 2**s)))
            counts.append(1 + sum(abs(x - y) < 2 ** (s - 2) for x, y in itertools.pairwise(keys)))
        weights = [math.floor(Fraction(2) ** (10 - max(levels) + level)) for level in levels]
        total = sum(count * weight for count, weight in zip(counts, weights, strict=True))
        for block, weight in enumerate(weights):
            kept[query // b][block] |= weight >= cutoff * total
    return kept


@pytest.mark.parametrize("block", [2, 4])
@pytest.mark.parametrize("shape", SHAPES)
@given(
    st.integers(0, 2**17 - 1),
    st.integers(0, 15),
    st.integers(2, 6),
    st.one_of(st.sampled_from([-256, -255, 255]), st.integers(-256, 255)),
    st.integers(0, 2**32 - 1),
)
def test_probability_is_the_rule_in_fractions(block, shape, multiplier, shift, bits, rho, seed):
    config = _config(block=block, fraction_bits=bits, block_rule=BlockRule.PROBABILITY)
    command = HeadCommand(
        query_length=shape[0], key_length=shape[1], head_dim=8, rho=rho, score_multiplier=multiplier, score_shift=shift
    )
    ii = _predictions(shape, seed, config.prediction_peak)
    assert probability_mask(config, ii, command).tolist() == _kept_by_probability(config, ii, command)


@pytest.mark.parametrize(
    ("multiplier", "shift", "scale"),
    [(0, 0, (0, 16)), (1, 0, (1, 16)), (7, 15, (7, 31)), (15, 0, (8, 15)), (4096, 0, (4, 6)), (131071, 0, (8, 3))],
)
def test_scale_of_levels_has_three_significant_bits(multiplier, shift, scale):
    command = HeadCommand(query_length=1, key_length=1, head_dim=1, score_multiplier=multiplier, score_shift=shift)
    assert level_scale(_config(block_rule=BlockRule.PROBABILITY), command) == scale


def test_probability_may_keep_no_block_and_keeps_all_at_rho_minus_one():
    """Of equal predictions, none has a large probability."""
    config = _config(block_rule=BlockRule.PROBABILITY)
    ii = np.zeros((4, 16), np.int64)
    for rho, kept in ((-256, True), (-240, True), (255, False)):
        command = HeadCommand(query_length=4, key_length=16, head_dim=8, rho=rho)
        assert (probability_mask(config, ii, command) == kept).all(), rho
    chosen = select(config, ii + 3, HeadCommand(query_length=4, key_length=16, head_dim=8, rho=255))
    assert not chosen.mask.any()
    assert (chosen.background == 3 << (2 * config.fraction_bits)).all()
