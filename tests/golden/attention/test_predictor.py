"""Predicted scores: integer parts multiplied, near the true scores by a known bound."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.attention.predictor import predict
from thresher.golden.attention.split import split
from thresher.spec import PRESETS, Split

from ...operands import int8

EDGE = PRESETS["edge"]


@pytest.mark.parametrize("rule", Split)
@pytest.mark.parametrize(("lq", "lk", "d"), [(1, 1, 1), (5, 3, 7), (16, 17, 64)])
def test_is_the_loop_over_integer_parts(rule, lq, lk, d):
    config = dataclasses.replace(EDGE, split=rule)
    rng = np.random.default_rng(lq)
    q, k = int8(rng, lq, d).astype(np.int64), int8(rng, lk, d).astype(np.int64)
    result = predict(config, q, k)
    assert result.shape == (lq, lk)
    for i in range(lq):
        for j in range(lk):
            parts = [int(split(config, q[i, c])[0]) * int(split(config, k[j, c])[0]) for c in range(d)]
            assert result[i, j] == sum(parts)


@pytest.mark.parametrize(("rule", "bits"), [(rule, bits) for rule in Split for bits in range(2, 7)])
def test_distance_from_the_score(rule, bits):
    """|q·k − 2^2F·II| ≤ Σ |q|·|kf| + |qf|·|2^F·ki|: what the fractions can carry."""
    config = dataclasses.replace(EDGE, split=rule, fraction_bits=bits)
    rng = np.random.default_rng(bits)
    q, k = int8(rng, 20, 64).astype(np.int64), int8(rng, 24, 64).astype(np.int64)
    (_, qf), (ki, kf) = split(config, q), split(config, k)
    bound = np.abs(q) @ np.abs(kf).T + np.abs(qf) @ np.abs(ki * 2**bits).T
    assert (np.abs(q @ k.T - 4**bits * predict(config, q, k)) <= bound).all()


@pytest.mark.parametrize("rule", Split)
@pytest.mark.parametrize("ends", [(-128, -128), (-128, 127), (127, 127)])
def test_extremes_stay_within_their_width(rule, ends):
    config = dataclasses.replace(PRESETS["server"], split=rule)
    a, b = (np.full((1, config.max_head_dim), end, np.int64) for end in ends)
    result = int(predict(config, a, b)[0, 0])
    assert abs(result) <= config.prediction_peak
    assert -(1 << (config.prediction_bits - 1)) <= result < 1 << (config.prediction_bits - 1)


def test_zeros_predict_zero():
    assert not predict(EDGE, np.zeros((3, 8), np.int64), np.full((5, 8), -128, np.int64)).any()
