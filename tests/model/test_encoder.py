"""The float32 encoder against a plain float64 computation, written token by token."""

import math

import numpy as np
import pytest
from safetensors.numpy import load_file
from thresher.model.encoder import float_attention
from thresher.model.load import as_batch

SENTENCE = "a gripping , beautiful film ."
LOGITS = (-3.29285, 3.09388)
"""Of the packaged model for SENTENCE, from the computation below."""


def reference_logits(model, ids):
    """(labels,) float64, one head and one token at a time."""
    tensors = {
        name.removeprefix("bert."): tensor.astype(np.float64)
        for name, tensor in load_file(model.folder / "model.safetensors").items()
    }

    def linear(name, x):
        return np.einsum("oi,i->o", tensors[name + ".weight"], x) + tensors[name + ".bias"]

    def norm(name, x):
        return (x - x.mean()) / math.sqrt(x.var() + 1e-12) * tensors[name + ".weight"] + tensors[name + ".bias"]

    def gelu(x):
        return np.array([value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in x])

    embeddings = (tensors[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type"))
    words, positions, types = embeddings
    xs = [norm("embeddings.LayerNorm", words[t] + positions[i] + types[0]) for i, t in enumerate(ids)]
    d = model.config.head_dim
    for layer in range(model.config.num_hidden_layers):
        name = f"encoder.layer.{layer}."
        q, k, v = ([linear(f"{name}attention.self.{part}", x) for x in xs] for part in ("query", "key", "value"))
        after = []
        for i, x in enumerate(xs):
            context = np.zeros(model.config.hidden_size)
            for head in range(model.config.num_attention_heads):
                part = slice(head * d, (head + 1) * d)
                powers = [math.exp(q[i][part] @ key[part] / math.sqrt(d)) for key in k]
                context[part] = sum(p / sum(powers) * value[part] for p, value in zip(powers, v, strict=True))
            y = norm(f"{name}attention.output.LayerNorm", x + linear(f"{name}attention.output.dense", context))
            wide = gelu(linear(f"{name}intermediate.dense", y))
            after.append(norm(f"{name}output.LayerNorm", y + linear(f"{name}output.dense", wide)))
        xs = after
    return linear("classifier", np.tanh(linear("pooler.dense", xs[0])))


def test_packaged_model_against_plain_float64(default_model):
    tokens = default_model.encode(SENTENCE)
    expected = reference_logits(default_model, tokens.ids)
    assert expected == pytest.approx(LOGITS, abs=1e-4)
    assert default_model.outputs(as_batch([tokens]))[0] == pytest.approx(expected, abs=1e-4)


def test_a_batch_equals_its_sentences(default_model):
    tokens = [default_model.encode(text) for text in ("one fine day", "the worst film", "how very odd")]
    together = default_model.outputs(as_batch(tokens))
    for row, text in zip(together, tokens, strict=True):
        assert row == pytest.approx(default_model.outputs(as_batch([text]))[0], abs=1e-5)


def test_attention_is_a_weighted_mean():
    random = np.random.default_rng(5)
    q, k = (random.normal(0, 3, (2, 3, 7, 4)).astype(np.float32) for _ in range(2))
    ones = np.ones((2, 3, 7, 4), np.float32)
    assert float_attention(0, q, k, ones) == pytest.approx(ones, abs=1e-6)  # the probabilities of a row sum to one
    v = random.normal(0, 1, (2, 3, 7, 4)).astype(np.float32)
    assert float_attention(0, 0 * q, k, v) == pytest.approx(
        np.broadcast_to(v.mean(2, keepdims=True), v.shape), abs=1e-6
    )
    chosen = float_attention(
        0, 1e3 * np.eye(4, dtype=np.float32)[None, None], np.eye(4, dtype=np.float32)[None, None], v[:1, :1, :4]
    )
    assert chosen == pytest.approx(v[:1, :1, :4], abs=1e-6)


def test_attention_is_called_layer_by_layer_with_head_shapes(default_model):
    calls = []

    def attend(layer, q, k, v, bias=None):
        calls.append((layer, q.shape, k.shape, v.shape))
        return float_attention(layer, q, k, v)

    ids = as_batch([default_model.encode("fine")])
    assert np.array_equal(default_model.outputs(ids, attend), default_model.outputs(ids))
    assert calls == [(layer, (1, 2, 3, 64), (1, 2, 3, 64), (1, 2, 3, 64)) for layer in (0, 1)]
