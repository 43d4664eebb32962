"""Whole heads in integers: compared with float attention, at their extremes, and rejected heads."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from thresher.golden import HeadResult, attention_head
from thresher.spec import (
    POLICIES,
    PRESETS,
    AttentionConfig,
    BlockRule,
    CommandError,
    CommandValueError,
    Fill,
    HeadCommand,
    InputError,
    Normalise,
    Score,
    Split,
    head_command,
    preset,
)

from ...operands import int8

EDGE = PRESETS["edge"]
SHAPES = [(1, 1, 1), (1, 9, 3), (9, 1, 64), (2, 2, 2), (17, 31, 7), (64, 64, 64), (33, 128, 48)]


def _command(config: AttentionConfig, lq: int, lk: int, d: int, **settings) -> HeadCommand:
    real = dict(score_scale=0.6 / 73**2 / d**0.5 * 2, output_scale=1.0) | settings
    return head_command(config, query_length=lq, key_length=lk, head_dim=d, **real)


def _head(rng: np.random.Generator, lq: int, lk: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return int8(rng, lq, d), int8(rng, lk, d), int8(rng, lk, d)


def _float_attention(logits: np.ndarray, v: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights @ v / weights.sum(axis=1, keepdims=True)


def _output(result: HeadResult) -> np.ndarray:
    assert result.output is not None
    return result.output


@pytest.mark.parametrize("normalisation", Normalise)
@pytest.mark.parametrize("shape", SHAPES)
def test_dense_heads_are_float_attention(normalisation, shape):
    config = dataclasses.replace(EDGE, normalise=normalisation)
    for seed in range(4):
        q, k, v = _head(np.random.default_rng(seed), *shape)
        command = _command(config, *shape)
        result = attention_head(config, command, q, k, v)
        scale = 0.6 / 73**2 / shape[2] ** 0.5 * 2
        true = _float_attention(q.astype(float) @ k.T * scale, v.astype(float))
        output = _output(result)
        assert output.shape == q.shape
        assert output.dtype == np.int8
        # Half a unit of rounding; the rest is the softmax: 4e-3 of a probability at worst, over values up to 128,
        # and, normalised early, half a weight unit per position with either sign.
        slack = 0.8 if normalisation is Normalise.LATE else 0.8 + 128 * 0.3 / 4096 * shape[1] ** 0.5 * 4
        assert np.abs(output - true.clip(-128, 127)).max() <= 0.5 + slack, seed
        blocks = -(-shape[0] // 2) * -(-shape[1] // 2)
        assert result.statistics.kept_blocks == blocks
        assert not result.statistics.pruned


def _fills(policy: str) -> list[Fill]:
    """The fills that a policy may have."""
    rule = POLICIES[policy]["block_rule"]
    return [fill for fill in Fill if fill is not Fill.SKIP or rule is BlockRule.THRESHOLD]


@pytest.mark.parametrize(("policy", "fill"), [(policy, fill) for policy in POLICIES for fill in _fills(policy)])
@pytest.mark.parametrize("rho", [-0.9, -0.5, 0.0, 0.5, 0.99])
def test_sparse_heads_are_float_attention_over_the_filled_scores(policy, fill, rho):
    config = dataclasses.replace(preset("edge", policy=policy), fill=fill)
    for seed, (lq, lk, d) in enumerate([(17, 31, 7), (40, 64, 64), (5, 128, 16)]):
        q, k, v = _head(np.random.default_rng(seed), lq, lk, d)
        scale = 0.6 / 73**2 / d**0.5 * 2
        result = attention_head(config, _command(config, lq, lk, d, rho=rho), q, k, v)
        trace = result.trace
        assert trace is not None
        kept = trace.selection.mask.repeat(2, axis=0).repeat(2, axis=1)[:lq, :lk]
        outside = {
            Fill.BACKGROUND: trace.selection.background.repeat(2)[:lq, None].astype(float) * scale,
            Fill.ZERO: 0.0,
            Fill.SKIP: -np.inf,
        }[fill]
        true = _float_attention(np.where(kept, trace.scores * scale, outside), v.astype(float))
        assert np.abs(_output(result) - true.clip(-128, 127)).max() <= 1.3, seed
        assert result.statistics.kept_blocks == trace.selection.mask.sum()
        if config.block_rule is BlockRule.THRESHOLD:
            assert trace.selection.mask.any(axis=1).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_dense_is_the_same_whatever_the_fill(policy):
    q, k, v = _head(np.random.default_rng(1), 13, 21, 10)
    outputs = []
    for fill in _fills(policy):
        config = dataclasses.replace(preset("edge", policy=policy), fill=fill)
        outputs.append(_output(attention_head(config, _command(config, 13, 21, 10), q, k, v)))
    assert all((output == outputs[0]).all() for output in outputs)


def test_zeros_in_zeros_out():
    q, k, v = np.zeros((7, 8), np.int8), np.zeros((5, 8), np.int8), np.zeros((5, 8), np.int8)
    result = attention_head(EDGE, _command(EDGE, 7, 5, 8, rho=0.99), q, k, v)
    assert not _output(result).any()
    assert result.statistics.kept_blocks == 4 * 3  # all equal, so all reach the threshold
    assert result.statistics.saturations == 0


def test_equal_keys_average_the_values():
    v = np.arange(-100, 100, 20, dtype=np.int8)[:, None].repeat(4, axis=1)
    q, k = np.full((3, 4), 127, np.int8), np.full((10, 4), -128, np.int8)
    assert (_output(attention_head(EDGE, _command(EDGE, 3, 10, 4), q, k, v)) == -10).all()


@pytest.mark.parametrize("output_scale", [2.0**-16, 1.0, 2.0**15])
@pytest.mark.parametrize("normalisation", Normalise)
@pytest.mark.parametrize(("mode", "rule"), list(itertools.product(Score, Split)))
def test_extremes_at_the_largest_size_stay_within_every_width(mode, rule, normalisation, output_scale):
    config = dataclasses.replace(PRESETS["server"], split=rule, score=mode, normalise=normalisation)
    length, d = config.max_length, config.max_head_dim
    for x, y, z in itertools.product((-128, 127), repeat=3):
        q, k, v = (np.full((length, d), value, np.int8) for value in (x, y, z))
        q = q[:2]
        result = attention_head(config, _command(config, 2, length, d, output_scale=output_scale), q, k, v)
        trace = result.trace
        assert trace is not None
        for values, bits in (
            (trace.predictions, config.prediction_bits),
            (trace.selection.importance, config.importance_bits),
            (trace.scores, config.score_bits),
            (trace.accumulators, config.accumulator_bits),
            ((trace.accumulators << 9) >> trace.softmax.exponent[:, None], config.output_operand_bits),
        ):
            assert values.min() >= -(1 << (bits - 1))
            assert values.max() < 1 << (bits - 1)
        assert trace.selection.head_sum < 1 << config.head_sum_bits
        assert result.statistics.saturations <= 2 * d
        if output_scale == 1.0:
            assert np.abs(_output(result).astype(int) - z).max() <= 1


def test_saturations_are_counted():
    q, k = np.zeros((3, 5), np.int8), np.zeros((4, 5), np.int8)
    v = np.zeros((4, 5), np.int8)
    v[:, 0], v[:, 1], v[:, 2] = 100, -100, 30
    result = attention_head(EDGE, _command(EDGE, 3, 4, 5, output_scale=2.0), q, k, v)
    assert _output(result)[0].tolist() == [127, -128, 60, 0, 0]
    assert result.statistics.saturations == 2 * 3


def test_a_pruned_head_is_zero_and_keeps_nothing():
    q, k, v = _head(np.random.default_rng(0), 6, 6, 8)
    result = attention_head(EDGE, _command(EDGE, 6, 6, 8, tau=1e6), q, k, v)
    assert not _output(result).any()
    assert _output(result).shape == (6, 8)
    statistics = result.statistics
    assert (statistics.pruned, statistics.kept_blocks, statistics.saturations) == (True, 0, 0)
    assert statistics.error is CommandError.NONE
    assert result.trace is None


def test_a_given_mask_is_used():
    q, k, v = _head(np.random.default_rng(0), 8, 8, 8)
    mask = np.eye(4, dtype=bool)
    result = attention_head(EDGE, _command(EDGE, 8, 8, 8), q, k, v, mask=mask)
    assert result.statistics.kept_blocks == 4
    assert result.trace is not None
    assert (result.trace.selection.mask == mask).all()


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ((257, 4, 4), CommandError.QUERY_LENGTH),
        ((0, 4, 4), CommandError.QUERY_LENGTH),
        ((4, 257, 4), CommandError.KEY_LENGTH),
        ((4, 0, 4), CommandError.KEY_LENGTH),
        ((4, 4, 65), CommandError.HEAD_DIM),
        ((4, 4, 0), CommandError.HEAD_DIM),
    ],
)
def test_illegal_lengths_are_answered_by_an_error_and_no_output(shape, error):
    lq, lk, d = shape
    q, k, v = _head(np.random.default_rng(0), lq, lk, d)
    result = attention_head(EDGE, HeadCommand(query_length=lq, key_length=lk, head_dim=d), q, k, v)
    assert result.output is None
    assert result.trace is None
    assert result.statistics.error is error
    assert (result.statistics.pruned, result.statistics.kept_blocks) == (False, 0)


@pytest.mark.parametrize("wrong", ["q", "k", "v"])
@pytest.mark.parametrize("shape", [(4, 7), (5, 8), (4, 9), (0, 8)])
def test_shapes_that_differ_from_the_command_are_rejected(wrong, shape):
    matrices = {name: np.zeros((4, 8), np.int8) for name in "qkv"}
    matrices[wrong] = np.zeros(shape, np.int8)
    with pytest.raises(InputError) as caught:
        attention_head(EDGE, _command(EDGE, 4, 4, 8), **matrices)
    assert str(caught.value).startswith(wrong.upper())
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("wrong", ["q", "k", "v"])
def test_dtypes_other_than_int8_are_rejected(wrong):
    for bad in (np.zeros((4, 8), np.float32), np.full((4, 8), np.nan), np.full((4, 8), 200, np.int16)):
        matrices: dict[str, Any] = {name: np.zeros((4, 8), np.int8) for name in "qkv"} | {wrong: bad}
        with pytest.raises(InputError, match=f"{wrong.upper()} must be a NumPy array of dtype int8"):
            attention_head(EDGE, _command(EDGE, 4, 4, 8), **matrices)


def test_a_command_that_the_stream_cannot_carry_is_rejected():
    zeros = np.zeros((4, 8), np.int8)
    command = dataclasses.replace(_command(EDGE, 4, 4, 8), rho=256)
    with pytest.raises(CommandValueError, match="rho=256"):
        attention_head(EDGE, command, zeros, zeros, zeros)


def test_masks_that_do_not_fit_are_rejected():
    q, k, v = _head(np.random.default_rng(0), 4, 7, 8)
    command = _command(EDGE, 4, 7, 8)
    full = np.ones((2, 4), bool)
    assert attention_head(EDGE, command, q, k, v, mask=full).statistics.kept_blocks == 8
    for bad in (np.ones((2, 3), bool), full.astype(int)):
        with pytest.raises(InputError, match=r"boolean array of \(2, 4\) blocks"):
            attention_head(EDGE, command, q, k, v, mask=bad)
    full[1] = False
    with pytest.raises(InputError, match="keep at least one block in every block row"):
        attention_head(dataclasses.replace(EDGE, fill=Fill.SKIP), command, q, k, v, mask=full)


def test_a_row_that_keeps_nothing_gives_the_mean_of_v():
    q, k, v = _head(np.random.default_rng(0), 5, 7, 8)
    for fill in (Fill.BACKGROUND, Fill.ZERO):
        config = dataclasses.replace(EDGE, fill=fill)
        result = attention_head(config, _command(config, 5, 7, 8), q, k, v, mask=np.zeros((3, 4), bool))
        assert result.statistics.kept_blocks == 0
        assert np.abs(_output(result) - v.mean(axis=0)).max() <= 0.6
