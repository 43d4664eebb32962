"""Softmax in integers against float, with every fill and both normalisations."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.attention.softmax import Softmax, softmax
from thresher.spec import PRESETS, AttentionConfig, Fill, HeadCommand, Normalise, head_command
from thresher.spec.attention_command import score_scaling

EDGE = PRESETS["edge"]
SCALE = 2.0**-11
"""Nats per unit of score in these tests."""


def _command(config: AttentionConfig, scale: float = SCALE) -> HeadCommand:
    return head_command(config, query_length=8, key_length=8, head_dim=8, score_scale=scale, output_scale=1.0)


def _dense(config: AttentionConfig, scores: np.ndarray) -> Softmax:
    return softmax(config, _command(config), scores, np.ones(scores.shape, bool), np.zeros(len(scores), np.int64))


def _float(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _logits(rows: int, n: int, seed: int) -> np.ndarray:
    """Scores whose logits have σ = 2 nats."""
    return np.round(np.random.default_rng(seed).normal(0, 2, (rows, n)) / SCALE).astype(np.int64)


@pytest.mark.parametrize("normalisation", Normalise)
def test_bars_at_realistic_logits(normalisation):
    """σ = 2 nats, n = 128: mean error within 2e-4 and worst within 4e-3, rows sum to 1 ± 0.01."""
    scores = _logits(2000, 128, seed=0)
    result = _dense(dataclasses.replace(EDGE, normalise=normalisation), scores).probabilities()
    error = np.abs(result - _float(scores * SCALE))
    assert error.mean() <= 2e-4
    assert error.max() <= 4e-3
    assert np.abs(result.sum(axis=1) - 1).max() <= 0.01


@pytest.mark.parametrize("normalisation", Normalise)
@pytest.mark.parametrize("n", [1, 2, 3, 17, 256])
def test_other_lengths_and_spreads(normalisation, n):
    config = dataclasses.replace(EDGE, normalise=normalisation)
    for spread in (0.0, 0.1, 1.0, 8.0, 200.0):
        scores = np.round(np.random.default_rng(n).normal(0, 1, (50, n)) * spread / SCALE).astype(np.int64)
        result = _dense(config, scores).probabilities()
        # Late: the exponential's 3.45e-3, split between numerator and denominator. Early: half a weight unit more.
        assert np.abs(result - _float(scores * SCALE)).max() <= 4e-3, spread
        assert np.abs(result.sum(axis=1) - 1).max() <= (2e-4 if normalisation == "late" else 0.5 * n / 4096 + 2e-4)


@pytest.mark.parametrize("normalisation", Normalise)
def test_a_single_position_has_probability_one(normalisation):
    result = _dense(dataclasses.replace(EDGE, normalise=normalisation), np.array([[-5], [0], [10**6]]))
    assert np.abs(result.probabilities() - 1).max() <= 3e-4
    assert (result.denominators == EDGE.weight_max).all()


def test_equal_scores_share_equally():
    result = _dense(EDGE, np.full((1, 256), -(2**20)))
    assert (result.weights == EDGE.weight_max).all()
    assert np.abs(result.probabilities() * 256 - 1).max() < 3e-4


@pytest.mark.parametrize("fill", Fill)
@pytest.mark.parametrize("normalisation", Normalise)
def test_fills_stand_for_pruned_positions(fill, normalisation):
    """A pruned position has the score of its fill: the float softmax over the filled scores."""
    config = dataclasses.replace(EDGE, fill=fill, normalise=normalisation)
    scores = _logits(300, 40, seed=2)
    rng = np.random.default_rng(3)
    kept = rng.random(scores.shape) < 0.3
    kept[:, 5] = True
    background = rng.integers(-3000, 9000, 300) if fill is Fill.BACKGROUND else np.zeros(300, np.int64)
    result = softmax(config, _command(config), scores, kept, background)
    logits = np.where(kept, scores, background[:, None]) * SCALE
    if fill is Fill.SKIP:
        logits = np.where(kept, logits, -np.inf)
        assert not result.background.any()
    assert np.abs(result.probabilities() - _float(logits)).max() <= 4e-3
    assert (result.weights == np.where(kept, result.weights, result.background[:, None])).all()


@pytest.mark.parametrize("fill", Fill)
def test_scores_of_pruned_positions_are_never_read(fill):
    config = dataclasses.replace(EDGE, fill=fill)
    scores = _logits(20, 30, seed=4)
    kept = np.random.default_rng(5).random(scores.shape) < 0.4
    kept[:, 0] = True
    background = np.full(20, -700)
    clean = softmax(config, _command(config), scores, kept, background)
    soiled = softmax(config, _command(config), np.where(kept, scores, 10**7), kept, background)
    assert (clean.weights == soiled.weights).all()
    assert (clean.denominators == soiled.denominators).all()


def test_a_background_above_every_kept_score_is_the_maximum():
    kept = np.array([[True, False, False]])
    result = softmax(EDGE, _command(EDGE), np.array([[0, 0, 0]]), kept, np.array([10**6]))
    assert result.weights.tolist() == [[0, EDGE.weight_max, EDGE.weight_max]]


@pytest.mark.parametrize("normalisation", Normalise)
def test_widths_hold_at_the_longest_row_and_every_segment_count(normalisation):
    for segments in (1, 32):
        config = dataclasses.replace(
            PRESETS["server"], max_length=1024, weight_bits=15, normalise=normalisation, reciprocal_segments=segments
        )
        for scores in (np.zeros((1, 1024), np.int64), np.zeros((1, 1), np.int64), _logits(200, 1024, seed=6)):
            result = _dense(config, scores)
            assert result.denominators.max() < 1 << config.denominator_bits
            assert result.weights.max() <= config.weight_max
            # The largest accumulator these weights can make, as normalisation takes it in.
            operand = (128 * result.weights.sum(axis=1) << 9) >> result.exponent
            assert operand.max() <= 1 << (config.output_operand_bits - 1)


def test_a_score_scale_that_drops_bits_still_agrees():
    scale = 2.0**-17
    assert score_scaling(scale)[1] > 0
    scores = np.round(np.random.default_rng(8).normal(0, 2, (100, 64)) / scale).astype(np.int64)
    result = softmax(EDGE, _command(EDGE, scale), scores, np.ones(scores.shape, bool), np.zeros(100, np.int64))
    assert np.abs(result.probabilities() - _float(scores * scale)).max() <= 4e-3
