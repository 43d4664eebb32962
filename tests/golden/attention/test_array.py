"""Scores and P·V against loops, at the extremes of every width."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.attention.array import scores, weighted_values
from thresher.golden.attention.split import split
from thresher.spec import PRESETS, Score, Split

from ...operands import int8

EDGE = PRESETS["edge"]


@pytest.mark.parametrize(("lq", "lk", "d"), [(1, 1, 1), (3, 5, 7), (9, 4, 64)])
def test_exact_scores(lq, lk, d):
    rng = np.random.default_rng(d)
    q, k = int8(rng, lq, d).astype(np.int64), int8(rng, lk, d).astype(np.int64)
    expected = [[sum(int(a) * int(b) for a, b in zip(x, y, strict=True)) for y in k] for x in q]
    assert scores(EDGE, q, k).tolist() == expected


@pytest.mark.parametrize(("rule", "bits"), [(rule, bits) for rule in Split for bits in range(2, 7)])
def test_approximate_scores_are_three_of_four_partial_products(rule, bits):
    config = dataclasses.replace(EDGE, score=Score.APPROX, split=rule, fraction_bits=bits)
    rng = np.random.default_rng(bits)
    q, k = int8(rng, 6, 10).astype(np.int64), int8(rng, 8, 10).astype(np.int64)
    (qi, qf), (ki, kf) = split(config, q), split(config, k)
    unit = 2**bits
    three = unit**2 * (qi @ ki.T) + unit * (qi @ kf.T) + unit * (qf @ ki.T)
    assert (scores(config, q, k) == three).all()


@pytest.mark.parametrize("mode", Score)
@pytest.mark.parametrize("rule", Split)
@pytest.mark.parametrize("bits", range(2, 7))
def test_scores_of_extremes_fit(mode, rule, bits):
    config = dataclasses.replace(PRESETS["server"], score=mode, split=rule, fraction_bits=bits)
    extremes = np.array([[-128], [-127], [-1], [0], [1], [126], [127]]).repeat(config.max_head_dim, axis=1)
    result = scores(config, extremes, extremes)
    assert np.abs(result).max() <= config.score_peak
    assert result.max() < 1 << (config.score_bits - 1)
    assert result.min() >= -(1 << (config.score_bits - 1))


def test_weighted_values():
    rng = np.random.default_rng(4)
    weights, v = rng.integers(-4095, 4096, (5, 7)), int8(rng, 7, 3).astype(np.int64)
    expected = [[sum(int(w) * int(x) for w, x in zip(row, column, strict=True)) for column in v.T] for row in weights]
    assert weighted_values(weights, v).tolist() == expected


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("sign", [-1, 1])
def test_accumulators_of_extremes_fit(name, value, sign):
    config = PRESETS[name]
    weights = np.full((1, config.max_length), sign * config.weight_max, np.int64)
    result = int(weighted_values(weights, np.full((config.max_length, 1), value, np.int64))[0, 0])
    assert result == sign * value * config.weight_max * config.max_length
    assert -(1 << (config.accumulator_bits - 1)) <= result < 1 << (config.accumulator_bits - 1)
