"""A BERT encoder in float32 NumPy, with a function for its attention.

The encoder is that of Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers" (arXiv 1810.04805), in the
tensor layout of Hugging Face's ``BertModel`` and ``BertForSequenceClassification``. Sequences are never padded: a batch
holds sequences of one length.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from ..spec.errors import ConfigError, InputError
from .weights import Float32, Weights

__all__ = ["Attend", "BertConfig", "BertEncoder", "float_attention", "softmax"]

Attend = Callable[[int, Float32, Float32, Float32], Float32]
"""``attend(layer, q, k, v)``: Q, K, V and the result are (batch, heads, length, d) float32. Scores are still to be
divided by √d."""

ENCODERS = ("BertModel", "BertForMaskedLM", "BertForPreTraining")
CLASSIFIER = "BertForSequenceClassification"


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """Sizes of a BERT model, named as in its ``config.json``.

    Attributes
    ----------
    labels : tuple of str
        Names of the classes; empty for an encoder without a classification head.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float
    labels: tuple[str, ...]

    @property
    def head_dim(self) -> int:
        """Values per head, d."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def from_file(cls, path: Path) -> "BertConfig":
        """Read a Hugging Face ``config.json``.

        Raises
        ------
        InputError
            The file is not a JSON object.
        ConfigError
            A parameter is missing or says something unsupported; the message names it and what is supported.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise InputError(f"{str(path)!r} is not a JSON object: fetch it again")
        _check_supported(found)
        sizes = {name: _positive_int(found, name) for name in _SIZES}
        if sizes["hidden_size"] % sizes["num_attention_heads"]:
            raise ConfigError(
                "num_attention_heads", sizes["num_attention_heads"], f"must divide hidden_size={sizes['hidden_size']}"
            )
        eps = found.get("layer_norm_eps", 1e-12)
        if not isinstance(eps, float | int) or not 0 < eps < 1:
            raise ConfigError("layer_norm_eps", eps, "must be a number between 0 and 1")
        return cls(**sizes, layer_norm_eps=float(eps), labels=_labels(found))


_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)

_SUPPORTED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    # parameter: (its value where config.json is silent, what is supported)
    "model_type": (None, ("bert",)),
    "position_embedding_type": ("absolute", ("absolute",)),
    "hidden_act": ("gelu", ("gelu",)),
    "is_decoder": (False, (False,)),
    "add_cross_attention": (False, (False,)),
    "problem_type": (None, (None, "single_label_classification")),
}


def _check_supported(found: dict[str, Any]) -> None:
    for name, (default, supported) in _SUPPORTED.items():
        value = found.get(name, default)
        if value not in supported:
            raise ConfigError(name, value, "supported is " + ", ".join(repr(s) for s in supported if s is not None))
    architectures = found.get("architectures") or [ENCODERS[0]]
    if not isinstance(architectures, list) or architectures[0] not in (*ENCODERS, CLASSIFIER):
        raise ConfigError("architectures", architectures, "supported are " + ", ".join((*ENCODERS, CLASSIFIER)))


def _positive_int(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(name, value, "config.json must give a positive integer")
    return value


MOST_LABELS = 10_000


def _labels(found: dict[str, Any]) -> tuple[str, ...]:
    if (found.get("architectures") or [None])[0] != CLASSIFIER:
        return ()
    names = found.get("id2label")
    if not names:
        count = found.get("num_labels", 2)
        if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MOST_LABELS:
            raise ConfigError("num_labels", count, f"must be an integer from 2 to {MOST_LABELS}")
        names = {str(i): f"LABEL_{i}" for i in range(count)}
    if not isinstance(names, dict) or sorted(names) != sorted(map(str, range(len(names)))) or len(names) < 2:
        raise ConfigError("id2label", names, "must name two or more classes 0, 1, …")
    if not all(isinstance(name, str) for name in names.values()):
        raise ConfigError("id2label", names, "must give every class a name")
    return tuple(names[str(i)] for i in range(len(names)))


def softmax(x: Float32) -> Float32:
    """Softmax along the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def float_attention(layer: int, q: Float32, k: Float32, v: Float32) -> Float32:
    """Scaled dot-product attention in float32: softmax(q·kᵀ/√d)·v."""
    return softmax(q @ k.swapaxes(-1, -2) / np.float32(np.sqrt(q.shape[-1]))) @ v


@dataclass(frozen=True)
class _Linear:
    weight: Float32
    bias: Float32

    def __call__(self, x: Float32) -> Float32:
        return x @ self.weight.T + self.bias


@dataclass(frozen=True)
class _LayerNorm:
    weight: Float32
    bias: Float32
    eps: float

    def __call__(self, x: Float32) -> Float32:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        return centred / np.sqrt(variance + np.float32(self.eps)) * self.weight + self.bias


@dataclass(frozen=True, kw_only=True)
class _Layer:
    query: _Linear
    key: _Linear
    value: _Linear
    attention_output: _Linear
    attention_norm: _LayerNorm
    intermediate: _Linear
    output: _Linear
    output_norm: _LayerNorm


def _gelu(x: Float32) -> Float32:
    return x * np.float32(0.5) * (1 + erf(x * np.float32(np.sqrt(0.5))))


class BertEncoder:
    """A BERT encoder and, where the model has one, its classification head.

    Parameters
    ----------
    config : BertConfig
    weights : Weights
        With or without the prefix ``bert.``.

    Raises
    ------
    InputError
        A tensor is missing, has the wrong shape or holds NaN.
    """

    def __init__(self, config: BertConfig, weights: Weights):
        self.config = config
        hidden, wide = config.hidden_size, config.intermediate_size

        def linear(tensors: Weights, name: str, outputs: int = hidden, inputs: int = hidden) -> _Linear:
            return _Linear(tensors.take(f"{name}.weight", outputs, inputs), tensors.take(f"{name}.bias", outputs))

        def norm(tensors: Weights, name: str) -> _LayerNorm:
            weight, bias = (tensors.take(f"{name}.{part}", hidden) for part in ("weight", "bias"))
            return _LayerNorm(weight, bias, config.layer_norm_eps)

        body = weights.below("bert.") if "bert.embeddings.word_embeddings.weight" in weights else weights
        embeddings = body.below("embeddings.")
        self._words = embeddings.take("word_embeddings.weight", config.vocab_size, hidden)
        self._positions = embeddings.take("position_embeddings.weight", config.max_position_embeddings, hidden)
        self._types = embeddings.take("token_type_embeddings.weight", config.type_vocab_size, hidden)
        self._embedding_norm = norm(embeddings, "LayerNorm")
        self._layers = []
        for i in range(config.num_hidden_layers):
            part = body.below(f"encoder.layer.{i}.")
            self._layers.append(
                _Layer(
                    query=linear(part, "attention.self.query"),
                    key=linear(part, "attention.self.key"),
                    value=linear(part, "attention.self.value"),
                    attention_output=linear(part, "attention.output.dense"),
                    attention_norm=norm(part, "attention.output.LayerNorm"),
                    intermediate=linear(part, "intermediate.dense", wide, hidden),
                    output=linear(part, "output.dense", hidden, wide),
                    output_norm=norm(part, "output.LayerNorm"),
                )
            )
        if config.labels:
            self._pooler = linear(body, "pooler.dense")
            self._classifier = linear(weights, "classifier", len(config.labels), hidden)

    def hidden_states(self, ids: NDArray[np.int64], attend: Attend = float_attention) -> Float32:
        """The last layer's output.

        Parameters
        ----------
        ids : (batch, length) int64
            Token ids of sequences of one length, special tokens included; one segment.
        attend : Attend
            Computes the attention of a layer.

        Returns
        -------
        (batch, length, hidden) float32
        """
        batch, length = ids.shape
        heads, d = self.config.num_attention_heads, self.config.head_dim

        def split_heads(x: Float32) -> Float32:
            return x.reshape(batch, length, heads, d).transpose(0, 2, 1, 3)

        x = self._embedding_norm(self._words[ids] + self._positions[:length] + self._types[0])
        for i, layer in enumerate(self._layers):
            q, k, v = (split_heads(project(x)) for project in (layer.query, layer.key, layer.value))
            context = attend(i, q, k, v).transpose(0, 2, 1, 3).reshape(batch, length, heads * d)
            x = layer.attention_norm(x + layer.attention_output(context))
            x = layer.output_norm(x + layer.output(_gelu(layer.intermediate(x))))
        return x

    def logits(self, ids: NDArray[np.int64], attend: Attend = float_attention) -> Float32:
        """(batch, length) token ids to (batch, labels) class scores."""
        if not self.config.labels:
            raise InputError("this model has no classification head: use it for sentence similarity")
        first = self.hidden_states(ids, attend)[:, 0]
        return self._classifier(np.tanh(self._pooler(first)))

    def embeddings(self, ids: NDArray[np.int64], attend: Attend = float_attention) -> Float32:
        """(batch, length) token ids to (batch, hidden) sentence embeddings: mean over tokens, unit length."""
        mean = self.hidden_states(ids, attend).mean(axis=1)
        return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), np.float32(1e-12))
