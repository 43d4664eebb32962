"""Attention on a backend: quantised, counted, and compared with its control."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from thresher.golden import attention_head
from thresher.model import AttentionScales, LayerScales
from thresher.model.encoder import float_attention
from thresher.model.load import as_batch, calibration_sentences
from thresher.model.quantise import quantise
from thresher.runtime.attention import AcceleratorAttention, AttentionTotals, HeadShape
from thresher.runtime.backends import GoldenBackend, RandomMaskBackend, RecordingBackend
from thresher.runtime.compare import CheckedBackend
from thresher.spec import CommandError, HeadStatistics, ThresherError, preset

EDGE = preset("edge")
SENTENCES = ("a warm and funny film that earns its happy ending .", "cold , slow and pointless to the very last frame")


@pytest.fixture(scope="module")
def scales(default_model):
    return default_model.calibrate(calibration_sentences())


def random_qkv(seed, shape=(2, 3, 9, 8)):
    random = np.random.default_rng(seed)
    return [random.normal(0, 1.5, shape).astype(np.float32) for _ in range(3)]


def scales_of(q, k, v, layers=1):
    o = float_attention(0, q, k, v)
    peaks = {name: float(np.abs(x).max()) / 127 for name, x in zip("qkvo", (q, k, v, o), strict=True)}
    return AttentionScales(method="min-max", percentile=100, sentences=1, layers=(LayerScales(**peaks),) * layers)


@pytest.mark.parametrize("length", [1, 2, 9])
@pytest.mark.parametrize("seed", range(3))
def test_dense_int8_is_near_float(seed, length):
    q, k, v = random_qkv(seed, (2, 3, length, 8))
    found = scales_of(q, k, v)
    layer = found.layers[0]
    attention = AcceleratorAttention(config=EDGE, scales=found, backend=GoldenBackend())
    result = attention(0, q, k, v)
    # What INT8 leaves of Q, K and V is exact from here on; softmax is off by up to 4e-3 in sum, O by half a unit.
    rounded = (quantise("x", x, s) * np.float32(s) for x, s in ((q, layer.q), (k, layer.k), (v, layer.v)))
    bound = 4e-3 * np.abs(v).max() + 0.51 * layer.o
    assert np.abs(result - float_attention(0, *rounded)).max() < bound, f"seed {seed}"
    assert np.abs(result - float_attention(0, q, k, v)).max() < 0.2, f"seed {seed}"
    blocks = 6 * ((length + 1) // 2) ** 2
    assert attention.totals == AttentionTotals(
        heads=6,
        blocks=blocks,
        kept_blocks=blocks,
        outputs=6 * length * 8,
        saturations=attention.totals.saturations,
        shapes=Counter({HeadShape(length, 8, blocks // 6, False): 6}),
    )


def test_heads_go_to_the_backend_in_order():
    q, k, v = random_qkv(7)
    found = scales_of(q, k, v, layers=2)
    recorder = RecordingBackend(GoldenBackend())
    attention = AcceleratorAttention(config=EDGE, scales=found, backend=recorder, rho=0.5, tau=0.25)
    result = attention(1, q, k, v)
    assert result.shape == q.shape
    assert len(recorder.heads) == 6
    command, q8, _, v8 = recorder.heads[4]  # second sentence, second head
    assert (command.rho, command.head_threshold) == (128, 21)
    assert np.array_equal(q8, quantise("q", q[1, 1], found.layers[1].q))
    assert np.array_equal(v8, quantise("v", v[1, 1], found.layers[1].v))
    output = attention_head(EDGE, *recorder.heads[4]).output
    assert output is not None
    assert np.array_equal(result[1, 1], output * np.float32(found.layers[1].o))


def test_packaged_model_keeps_its_answers(default_model, scales):
    for sentence in SENTENCES:
        ids = as_batch([default_model.encode(sentence)])
        attention = AcceleratorAttention(config=EDGE, scales=scales, backend=GoldenBackend())
        assert default_model.outputs(ids, attention) == pytest.approx(default_model.outputs(ids), abs=0.05)


def test_totals_of_pruned_blocks_and_heads():
    q, k, v = random_qkv(3)
    found = scales_of(q, k, v)
    pruned = AcceleratorAttention(config=EDGE, scales=found, backend=GoldenBackend(), rho=0.5)
    pruned(0, q, k, v)
    assert 0 < pruned.totals.block_sparsity < 1
    assert pruned.totals.head_sparsity == 0
    assert pruned.totals.kept_blocks == sum(s.kept_blocks for s in pruned.log[0])
    gone = AcceleratorAttention(config=EDGE, scales=found, backend=GoldenBackend(), tau=1e4)
    assert not gone(0, q, k, v).any()
    assert (gone.totals.block_sparsity, gone.totals.head_sparsity) == (1, 1)
    assert gone.totals.shapes == {HeadShape(9, 8, 0, True): 6}
    assert (pruned.totals + gone.totals).shapes.total() == 12
    assert (pruned.totals + gone.totals).head_sparsity == 0.5
    assert AttentionTotals().block_sparsity == AttentionTotals().head_sparsity == AttentionTotals().saturated == 0


@pytest.mark.parametrize("policy", ["thresher", "hdp"])
def test_random_control_keeps_as_many_blocks_of_each_row(policy):
    config = preset("edge", policy=policy)
    q, k, v = random_qkv(11, (1, 2, 21, 8))
    recorder = RecordingBackend(GoldenBackend())
    attention = AcceleratorAttention(config=config, scales=scales_of(q, k, v), backend=recorder, rho=0.5)
    attention(0, q, k, v)
    masks = [trace.selection.mask for head in recorder.heads if (trace := attention_head(config, *head).trace)]
    assert len(masks) == 2
    for seed in range(5):
        control = RandomMaskBackend(seed)
        shuffled = [control.shuffle(mask) for mask in masks]
        for mask, other in zip(masks, shuffled, strict=True):
            assert np.array_equal(mask.sum(axis=1), other.sum(axis=1)), f"seed {seed}"
            assert (other.sum(axis=1) >= 1).all()
            assert not np.array_equal(mask, other), f"seed {seed}"
    kept = [s.kept_blocks for _, s in RandomMaskBackend(1).run(config, recorder.heads)]
    assert kept == [int(mask.sum()) for mask in masks]


def test_random_control_is_reproduced_by_its_seed():
    q, k, v = random_qkv(13)

    def run(seed):
        backend = RandomMaskBackend(seed)
        return AcceleratorAttention(config=EDGE, scales=scales_of(q, k, v), backend=backend, rho=0.5)(0, q, k, v)

    assert np.array_equal(run([4, 2]), run([4, 2]))
    assert not np.array_equal(run([4, 2]), run([4, 3]))


def test_random_control_leaves_the_head_mask():
    q, k, v = random_qkv(13)
    q[:, 1] *= 0.25  # so that some heads are weak
    arguments: dict[str, Any] = dict(config=EDGE, scales=scales_of(q, k, v), rho=0.5, tau=6.0)
    policy = AcceleratorAttention(backend=GoldenBackend(), **arguments)
    control = AcceleratorAttention(backend=RandomMaskBackend(0), **arguments)
    policy(0, q, k, v)
    control(0, q, k, v)
    assert [s.pruned for s in policy.log[0]] == [s.pruned for s in control.log[0]]
    assert 0 < policy.totals.pruned_heads < 6
    assert policy.totals.kept_blocks == control.totals.kept_blocks


def test_checked_backend_counts_differences():
    q, k, v = random_qkv(17)

    class Wrong(GoldenBackend):
        def run(self, config, heads):
            results = list(super().run(config, heads))
            output, statistics = results[2]
            assert output is not None
            results[2] = (output ^ 1, statistics)
            results[4] = (results[4][0], replace(results[4][1], kept_blocks=0))
            return results

    for backend, mismatches in ((GoldenBackend(), 0), (Wrong(), 2)):
        checked = CheckedBackend(backend)
        AcceleratorAttention(config=EDGE, scales=scales_of(q, k, v), backend=checked)(0, q, k, v)
        assert (checked.heads, checked.mismatches) == (6, mismatches)


def test_watched_head_has_a_trace():
    q, k, v = random_qkv(19)
    attention = AcceleratorAttention(config=EDGE, scales=scales_of(q, k, v), backend=GoldenBackend(), watch=(0, 2))
    assert attention.watched() is None
    result = attention(0, q, k, v)
    watched = attention.watched()
    assert watched is not None
    assert watched.output is not None
    assert watched.trace is not None
    assert np.array_equal(watched.output * np.float32(attention.scales.layers[0].o), result[0, 2])
    assert watched.trace.softmax.probabilities().sum(axis=1) == pytest.approx(np.ones(9), abs=0.01)


def test_refusals():
    q, k, v = random_qkv(23)
    found = scales_of(q, k, v)

    def attention(**changes):
        arguments: dict[str, Any] = dict(config=EDGE, scales=found, backend=GoldenBackend()) | changes
        return AcceleratorAttention(**arguments)

    with pytest.raises(ThresherError, match="9 dimensions, but this hardware takes at most 8"):
        attention(config=preset("tiny"))(0, *random_qkv(1, (1, 1, 4, 9)))
    with pytest.raises(ThresherError, match=r"300 tokens and 8 dimensions \(QUERY_LENGTH\)"):
        attention()(0, *random_qkv(1, (1, 1, 300, 8)))
    with pytest.raises(ThresherError, match="1 layers"):
        attention()(1, q, k, v)
    for rho in (1.0, -1.5, float("nan")):
        with pytest.raises(ThresherError, match="rho"):
            attention(rho=rho)(0, q, k, v)
    with pytest.raises(ThresherError, match="tau"):
        attention(tau=-1)(0, q, k, v)
    v[1, 2, 3, 4] = np.nan
    with pytest.raises(ThresherError, match="V of layer 0 holds NaN"):
        attention()(0, q, k, v)


def test_rejected_head():
    class Refuser:
        def run(self, config, heads):
            return [
                (None, HeadStatistics(error=CommandError.HEAD_DIM, pruned=False, kept_blocks=0, saturations=0))
            ] * len(heads)

    q, k, v = random_qkv(29)
    with pytest.raises(ThresherError, match="HEAD_DIM"):
        AcceleratorAttention(config=EDGE, scales=scales_of(q, k, v), backend=Refuser())(0, q, k, v)
