"""A transformer encoder in float32 NumPy, with a function for its attention.

Each layer normalises the sum of a sublayer and its input (post-norm). Sequences are never padded: a batch holds
sequences of one length.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import InputError
from .activations import ACTIVATIONS
from .config import EncoderConfig
from .positions import DISTANCE_BUCKETS, distance_buckets, positions_after_padding
from .weights import Float32, Weights

__all__ = [
    "Attend",
    "Encoder",
    "Layer",
    "LayerNorm",
    "LayerSteps",
    "Linear",
    "Observe",
    "encoder_tensors",
    "float_attention",
    "softmax",
]


class Attend(Protocol):
    """Computes the attention of a layer."""

    def __call__(self, layer: int, q: Float32, k: Float32, v: Float32, bias: Float32 | None = None, /) -> Float32:
        """Attention output of Q, K and V; all four are (batch, heads, length, d) float32.

        The scores Q·Kᵀ are still to be divided by √d. Then ``bias``, (heads, length, length) float32, is added.
        """
        ...


Observe = Callable[[int, str, Float32], None]
"""``observe(layer, tensor, values)``: values are (…, channels) float32."""


LayerSteps = Generator[tuple[tuple[str, ...], Float32], Sequence[Float32], Float32]
"""Yields names of dense layers, which are fields of :class:`Layer`, and their input. It is sent their outputs, and
returns the output of the layer."""


def _ignore(layer: int, tensor: str, values: Float32) -> None:
    pass


def _seen_by(observe: Observe, layer: int) -> Callable[[str, Float32], Float32]:
    """Show a tensor of this layer, and return it."""

    def seen(tensor: str, values: Float32) -> Float32:
        observe(layer, tensor, values)
        return values

    return seen


def softmax(x: Float32) -> Float32:
    """Softmax along the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def float_attention(layer: int, q: Float32, k: Float32, v: Float32, bias: Float32 | None = None) -> Float32:
    """Scaled dot-product attention in float32, softmax(q·kᵀ/√d + bias)·v; an :class:`Attend`."""
    scores = q @ k.swapaxes(-1, -2) / np.float32(np.sqrt(q.shape[-1]))
    return softmax(scores if bias is None else scores + bias) @ v


@dataclass(frozen=True)
class Linear:
    """W·x + b; W is (outputs, inputs)."""

    weight: Float32
    bias: Float32

    def __call__(self, x: Float32) -> Float32:
        return x @ self.weight.T + self.bias


@dataclass(frozen=True)
class LayerNorm:
    """LayerNorm over the last axis (Ba et al., arXiv 1607.06450)."""

    weight: Float32
    bias: Float32
    eps: float

    def __call__(self, x: Float32) -> Float32:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        return centred / np.sqrt(variance + np.float32(self.eps)) * self.weight + self.bias


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer's projections, feed-forward layers and LayerNorms."""

    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norm: LayerNorm
    intermediate: Linear
    output: Linear
    output_norm: LayerNorm


def encoder_tensors(config: EncoderConfig, weights: Weights) -> Weights:
    """The encoder's tensors, without the prefix of the layout if the file has it."""
    prefix = config.layout.prefix
    return weights.below(prefix) if f"{prefix}{config.layout.words}.weight" in weights else weights


class Encoder:
    """A transformer encoder and, where the model has one, its classification head.

    Parameters
    ----------
    config : EncoderConfig
    weights : Weights
        With or without the prefix of the layout.

    Raises
    ------
    InputError
        A tensor is missing, has the wrong shape or holds NaN.
    """

    def __init__(self, config: EncoderConfig, weights: Weights):
        self.config = config
        hidden, wide, size, names = config.hidden_size, config.intermediate_size, config.embedding_size, config.layout

        def linear(tensors: Weights, name: str, outputs: int = hidden, inputs: int = hidden) -> Linear:
            return Linear(tensors.take(f"{name}.weight", outputs, inputs), tensors.take(f"{name}.bias", outputs))

        def norm(tensors: Weights, name: str, width: int = hidden) -> LayerNorm:
            weight, bias = (tensors.take(f"{name}.{part}", width) for part in ("weight", "bias"))
            return LayerNorm(weight, bias, config.layer_norm_eps)

        body = encoder_tensors(config, weights)
        self.words = body.take(f"{names.words}.weight", config.vocab_size, size)
        self.positions = body.take(f"{names.positions}.weight", config.max_position_embeddings, size)
        self.types = self.projection = self.score_bias = None
        if names.types is not None:
            self.types = body.take(f"{names.types}.weight", config.type_vocab_size, size)
        self.embedding_norm = norm(body, names.embedding_norm, size)
        if names.projection is not None and size != hidden:
            self.projection = linear(body, names.projection, hidden, size)
        if names.score_bias is not None:
            self.score_bias = body.take(f"{names.score_bias}.weight", DISTANCE_BUCKETS, config.num_attention_heads)
        self.activation = ACTIVATIONS[config.activation]
        self.layers = []
        for i in range(config.num_hidden_layers):
            part = body.below(names.layer.format(i))
            self.layers.append(
                Layer(
                    query=linear(part, names.query),
                    key=linear(part, names.key),
                    value=linear(part, names.value),
                    attention_output=linear(part, names.attention_output),
                    attention_norm=norm(part, names.attention_norm),
                    intermediate=linear(part, names.intermediate, wide, hidden),
                    output=linear(part, names.output, hidden, wide),
                    output_norm=norm(part, names.output_norm),
                )
            )
        if config.labels:
            self.head_activation = ACTIVATIONS[names.head.activation]
            self.head_dense = linear(body if names.head.pooler else weights, names.head.dense)
            self.head_output = linear(weights, names.head.output, len(config.labels), hidden)

    def linears(self) -> dict[str, Linear]:
        """Every projection and feed-forward layer, under the names of :attr:`EncoderConfig.matrices`."""
        return {
            name: getattr(layer, part)
            for number, layer in enumerate(self.layers)
            for part, name in self._names(number).items()
        }

    def with_linears(self, linears: Mapping[str, Linear]) -> "Encoder":
        """The same encoder with other projections and feed-forward layers, named as in :meth:`linears`."""
        other = copy(self)
        other.layers = [
            replace(layer, **{part: linears[name] for part, name in self._names(number).items()})
            for number, layer in enumerate(self.layers)
        ]
        return other

    def _names(self, number: int) -> dict[str, str]:
        layout = self.config.layout
        parts = ("query", "key", "value", "attention_output", "intermediate", "output")
        return {part: layout.layer.format(number) + getattr(layout, part) for part in parts}

    def places(
        self, ids: NDArray[np.int64], types: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(batch, length) token ids and types to positions and types, rows of the two embeddings; see
        :meth:`hidden_states`."""
        padding, last = self.config.padding, self.config.type_vocab_size - 1
        positions = positions_after_padding(ids, padding) if padding is not None else np.arange(ids.shape[1])
        if types is None or self.types is None:
            types = np.zeros_like(ids)
        if self.types is not None and types.max(initial=0) > last:
            raise InputError(f"a token has type {types.max()}, but the model's types end at {last}: give no pairs")
        return np.broadcast_to(positions, ids.shape), types

    def embed(
        self, ids: NDArray[np.int64], types: NDArray[np.int64] | None = None, observe: Observe = _ignore
    ) -> Float32:
        """(batch, length) token ids and types to (batch, length, hidden) input of the first layer; see
        :meth:`hidden_states`."""
        positions, types = self.places(ids, types)
        x = self.words[ids] + self.positions[positions]
        if self.types is not None:
            x = x + self.types[types]
        x = self.embedding_norm(x)
        observe(0, "embedding_norm", x)
        return x if self.projection is None else self.projection(x)

    def hidden_states(
        self,
        ids: NDArray[np.int64],
        attend: Attend = float_attention,
        observe: Observe = _ignore,
        *,
        types: NDArray[np.int64] | None = None,
    ) -> Float32:
        """The last layer's output.

        Parameters
        ----------
        ids : (batch, length) int64
            Token ids of sequences of one length, special tokens included.
        attend : Attend
            Computes the attention of a layer.
        observe : Observe
            Is given ``embedding_norm`` as a tensor of layer 0, and of every layer ``input``, ``query``, ``key``,
            ``value``, ``context`` (of all heads), ``attention_output``, ``attention_norm``, ``intermediate`` (before
            its activation), ``output`` and ``output_norm``.
        types : (batch, length) int64, optional
            Token types, by default 0. Encoders without types ignore them.

        Returns
        -------
        (batch, length, hidden) float32

        Raises
        ------
        InputError
            The encoder has no such token type.
        """
        x, bias = self.embed(ids, types, observe), self.attention_bias(ids.shape[1])
        for number, layer in enumerate(self.layers):
            steps, outputs = self.layer_steps(number, x, attend, bias, observe), None
            try:
                while True:
                    parts, read = next(steps) if outputs is None else steps.send(outputs)
                    outputs = [getattr(layer, part)(read) for part in parts]
            except StopIteration as end:
                x = end.value
        return x

    def attention_bias(self, length: int) -> Float32 | None:
        """(heads, length, length) bias of the attention scores, or ``None``."""
        if self.score_bias is None:
            return None
        return self.score_bias[distance_buckets(length)].transpose(2, 0, 1)

    def layer_steps(
        self,
        number: int,
        x: Float32,
        attend: Attend = float_attention,
        bias: Float32 | None = None,
        observe: Observe = _ignore,
    ) -> LayerSteps:
        """Compute a layer, except for its dense layers.

        Parameters
        ----------
        number : int
            Of the layer.
        x : (batch, length, hidden) float32
            Its input.
        attend, observe
            See :meth:`hidden_states`.
        bias : (heads, length, length) float32, optional
            See :meth:`attention_bias`.
        """
        batch, length, _ = x.shape
        heads, d = self.config.num_attention_heads, self.config.head_dim
        layer, seen = self.layers[number], _seen_by(observe, number)

        def split_heads(x: Float32) -> Float32:
            return x.reshape(batch, length, heads, d).transpose(0, 2, 1, 3)

        query, key, value = yield ("query", "key", "value"), seen("input", x)
        q, k, v = seen("query", query), seen("key", key), seen("value", value)
        context = attend(number, split_heads(q), split_heads(k), split_heads(v), bias)
        context = seen("context", context.transpose(0, 2, 1, 3).reshape(batch, length, heads * d))
        (attended,) = yield ("attention_output",), context
        middle = seen("attention_norm", layer.attention_norm(x + seen("attention_output", attended)))
        (wide,) = yield ("intermediate",), middle
        (output,) = yield ("output",), self.activation(seen("intermediate", wide))
        return seen("output_norm", layer.output_norm(middle + seen("output", output)))

    def logits(
        self,
        ids: NDArray[np.int64],
        attend: Attend = float_attention,
        observe: Observe = _ignore,
        *,
        types: NDArray[np.int64] | None = None,
    ) -> Float32:
        """(batch, length) token ids to (batch, labels) outputs of the head; see :meth:`hidden_states`.

        ``observe`` is also given ``pooled`` (before its activation) and ``scores``, as tensors of the layer after the
        last one.
        """
        if not self.config.labels:
            raise InputError("this model has no classification head: use it for sentence similarity")
        pooled = self.head_dense(self.hidden_states(ids, attend, observe, types=types)[:, 0])
        scores = self.head_output(self.head_activation(pooled))
        observe(len(self.layers), "pooled", pooled)
        observe(len(self.layers), "scores", scores)
        return scores
