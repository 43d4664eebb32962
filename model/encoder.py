"""A transformer in float32, with a function for its attention.

It computes with the library of its arrays (``__array_namespace__`` of the array API): NumPy, or another one that
differentiates. Each layer normalises the sum of a sublayer and its input (post-norm), or the input of each sublayer
(pre-norm). Sequences are not padded here: a batch holds sequences of one length.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import InputError
from .activations import ACTIVATIONS
from .config import EncoderConfig
from .patches import take_patches
from .positions import DISTANCE_BUCKETS, causal_mask, distance_buckets, positions_after_padding
from .weights import Float32, Weights

__all__ = [
    "Attend",
    "Encoder",
    "Layer",
    "LayerNorm",
    "LayerSteps",
    "Linear",
    "Observe",
    "Parameters",
    "encoder_tensors",
    "float_attention",
    "ignore",
    "in_order",
    "softmax",
]


class Attend(Protocol):
    """Computes the attention of a layer."""

    def __call__(self, layer: int, q: Float32, k: Float32, v: Float32, bias: Float32 | None = None, /) -> Float32:
        """Attention output of Q, K and V; all four are (batch, heads, length, d) float32.

        The scores Q·Kᵀ are still to be divided by √d. Then ``bias``, (heads, length, length) float32, is added. In a
        causal model, ``bias`` is :func:`~thresher.model.positions.causal_mask`, (length, length) float32.
        """
        ...


Observe = Callable[[int, str, Float32], Float32 | None]
"""``observe(layer, tensor, values)``: values are (…, channels) float32. What it returns takes their place, unless it is
``None``."""


Parameters = dict[str, Any]
"""Arrays of an encoder by the names of its attributes; see :meth:`Encoder.parameters`."""

_PARAMETERS = (
    *("words", "positions", "types", "embedding_norm", "projection", "score_bias", "final_norm"),
    *("layers", "head_dense", "head_output"),
)


LayerSteps = Generator[tuple[tuple[str, ...], Float32], Sequence[Float32], Float32]
"""Yields names of dense layers, which are fields of :class:`Layer`, and their input. It is sent their outputs, and
returns the output of the layer."""


def ignore(layer: int, tensor: str, values: Float32) -> None:
    """An :data:`Observe` that does nothing."""


def in_order(first: Observe, second: Observe) -> Observe:
    """An :data:`Observe` of two: the second one is given what the first one puts in place."""

    def observe(layer: int, tensor: str, values: Float32) -> Float32 | None:
        found = first(layer, tensor, values)
        last = second(layer, tensor, values if found is None else found)
        return found if last is None else last

    return observe


def _seen_by(observe: Observe, layer: int) -> Callable[[str, Float32], Float32]:
    """Show a tensor of this layer, and return it or what takes its place."""

    def seen(tensor: str, values: Float32) -> Float32:
        found = observe(layer, tensor, values)
        return values if found is None else found

    return seen


def softmax(x: Float32) -> Float32:
    """Softmax along the last axis."""
    e = x.__array_namespace__().exp(x - x.max(axis=-1, keepdims=True))
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
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        root = x.__array_namespace__().sqrt(variance + np.float32(self.eps))
        return centred / root * self.weight + self.bias


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
            if names.transposed:
                weight = tensors.take(f"{name}.weight", inputs, outputs).T
            else:
                weight = tensors.take(f"{name}.weight", outputs, inputs)
            return Linear(weight, tensors.take(f"{name}.bias", outputs))

        def projections(tensors: Weights) -> list[Linear]:
            if names.joined is None:
                return [linear(tensors, name) for name in (names.query, names.key, names.value)]
            whole = linear(tensors, names.joined, 3 * hidden)
            return [Linear(*parts) for parts in zip(np.split(whole.weight, 3), np.split(whole.bias, 3), strict=True)]

        def norm(tensors: Weights, name: str, width: int = hidden) -> LayerNorm:
            weight, bias = (tensors.take(f"{name}.{part}", width) for part in ("weight", "bias"))
            return LayerNorm(weight, bias, config.layer_norm_eps)

        body = encoder_tensors(config, weights)
        if config.image is None:
            self.words = body.take(f"{names.words}.weight", config.vocab_size, size)
            self.positions = body.take(f"{names.positions}.weight", config.max_position_embeddings, size)
        else:
            self.patches = take_patches(config, body)
        self.types = self.projection = self.score_bias = self.embedding_norm = self.final_norm = None
        if names.types is not None:
            self.types = body.take(f"{names.types}.weight", config.type_vocab_size, size)
        if names.embedding_norm is not None:
            self.embedding_norm = norm(body, names.embedding_norm, size)
        if names.projection is not None and size != hidden:
            self.projection = linear(body, names.projection, hidden, size)
        if names.score_bias is not None:
            self.score_bias = body.take(f"{names.score_bias}.weight", DISTANCE_BUCKETS, config.num_attention_heads)
        self.activation = ACTIVATIONS[config.activation]
        self.layers = []
        for i in range(config.num_hidden_layers):
            part = body.below(names.layer.format(i))
            query, key, value = projections(part)
            self.layers.append(
                Layer(
                    query=query,
                    key=key,
                    value=value,
                    attention_output=linear(part, names.attention_output),
                    attention_norm=norm(part, names.attention_norm),
                    intermediate=linear(part, names.intermediate, wide, hidden),
                    output=linear(part, names.output, hidden, wide),
                    output_norm=norm(part, names.output_norm),
                )
            )
        if names.final_norm is not None:
            self.final_norm = norm(body, names.final_norm)
        if config.labels:
            assert names.head is not None
            self.head_activation = ACTIVATIONS[names.head.activation]
            if names.head.dense is not None:
                self.head_dense = linear(body if names.head.pooler else weights, names.head.dense)
            if names.head.distilled is not None:
                self.head_distilled = linear(weights, names.head.distilled, len(config.labels), hidden)
            self.head_output = linear(weights, names.head.output, len(config.labels), hidden)

    def parameters(self) -> Parameters:
        """All arrays of the encoder and its head, in dictionaries, lists and dense layers."""
        return {name: part for name in _PARAMETERS if (part := getattr(self, name, None)) is not None}

    def with_parameters(self, parameters: Parameters) -> "Encoder":
        """The same encoder with other arrays, in the structure of :meth:`parameters`."""
        other = copy(self)
        for name, part in parameters.items():
            setattr(other, name, part)
        return other

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
        self, ids: NDArray[np.int64], types: NDArray[np.int64] | None = None, observe: Observe = ignore
    ) -> Float32:
        """(batch, length) token ids and types to (batch, length, hidden) input of the first layer; see
        :meth:`hidden_states`."""
        if self.config.image is not None:
            return self.patches(ids.astype(np.float32, copy=False))
        return self.embed_places(ids, *self.places(ids, types), observe)

    def embed_places(
        self, ids: NDArray[np.int64], positions: NDArray[np.int64], types: NDArray[np.int64], observe: Observe = ignore
    ) -> Float32:
        """:meth:`embed`, with positions and types of :meth:`places`."""
        x = self.words[ids] + self.positions[positions]
        if self.types is not None:
            x = x + self.types[types]
        if self.embedding_norm is not None:
            x = _seen_by(observe, 0)("embedding_norm", self.embedding_norm(x))
        return x if self.projection is None else self.projection(x)

    def hidden_states(
        self,
        ids: NDArray[np.int64],
        attend: Attend = float_attention,
        observe: Observe = ignore,
        *,
        types: NDArray[np.int64] | None = None,
    ) -> Float32:
        """The last layer's output.

        Parameters
        ----------
        ids : (batch, length) int64
            Token ids of sequences of one length, special tokens included. For models of images, (batch, channels, size,
            size) float32 pixels.
        attend : Attend
            Computes the attention of a layer.
        observe : Observe
            Is given ``embedding_norm`` as a tensor of layer 0, and of every layer ``input``, ``query``, ``key``,
            ``value``, ``context`` (of all heads), ``attention_output``, ``attention_norm``, ``intermediate`` (before
            its activation), ``activated`` (after it), ``output`` and ``output_norm``.
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
        return self.run_layers(self.embed(ids, types, observe), attend, observe)

    def run_layers(self, x: Float32, attend: Attend = float_attention, observe: Observe = ignore) -> Float32:
        """(batch, length, hidden) input of the first layer to the last layer's output; see :meth:`hidden_states`."""
        bias = self.attention_bias(x.shape[1])
        for number, layer in enumerate(self.layers):
            steps, outputs = self.layer_steps(number, x, attend, bias, observe), None
            try:
                while True:
                    parts, read = next(steps) if outputs is None else steps.send(outputs)
                    outputs = [getattr(layer, part)(read) for part in parts]
            except StopIteration as end:
                x = end.value
        return x if self.final_norm is None else self.final_norm(x)

    def attention_bias(self, length: int) -> Float32 | None:
        """(heads, length, length) bias of the attention scores, the mask of a causal model, or ``None``."""
        if self.config.causal:
            return causal_mask(length)
        if self.score_bias is None:
            return None
        return self.score_bias[distance_buckets(length)].transpose(2, 0, 1)

    def layer_steps(
        self,
        number: int,
        x: Float32,
        attend: Attend = float_attention,
        bias: Float32 | None = None,
        observe: Observe = ignore,
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

        x = seen("input", x)
        before = self.config.pre_norm
        read = seen("attention_norm", layer.attention_norm(x)) if before else x
        query, key, value = yield ("query", "key", "value"), read
        q, k, v = seen("query", query), seen("key", key), seen("value", value)
        context = attend(number, split_heads(q), split_heads(k), split_heads(v), bias)
        context = seen("context", context.transpose(0, 2, 1, 3).reshape(batch, length, heads * d))
        (attended,) = yield ("attention_output",), context
        middle = x + seen("attention_output", attended)
        if before:
            read = seen("output_norm", layer.output_norm(middle))
        else:
            read = middle = seen("attention_norm", layer.attention_norm(middle))
        (wide,) = yield ("intermediate",), read
        (output,) = yield ("output",), seen("activated", self.activation(seen("intermediate", wide)))
        end = middle + seen("output", output)
        return end if before else seen("output_norm", layer.output_norm(end))

    def logits(
        self,
        ids: NDArray[np.int64],
        attend: Attend = float_attention,
        observe: Observe = ignore,
        *,
        types: NDArray[np.int64] | None = None,
    ) -> Float32:
        """(batch, length) token ids to (batch, labels) outputs of the head; see :meth:`hidden_states`.

        ``observe`` is also given ``pooled`` (before its activation), ``activated`` and ``scores``, as tensors of the
        layer after the last one.
        """
        return self.head(self.hidden_states(ids, attend, observe, types=types), observe)

    def next_tokens(self, states: Float32) -> Float32:
        """(batch, length, hidden) outputs of a causal model's last layer to (batch, length, vocabulary) scores of the
        token that follows each."""
        return states @ self.words.T

    def head(self, states: Float32, observe: Observe = ignore) -> Float32:
        """(batch, length, hidden) outputs of the last layer to (batch, labels) outputs of the head; see :meth:`logits`.

        Raises
        ------
        InputError
            The model has none.
        """
        if not self.config.labels:
            raise InputError("this model has no classification head: use it for sentence similarity")
        seen = _seen_by(observe, len(self.layers))
        names = self.config.layout.head
        assert names is not None
        if names.dense is None:
            scores = self.head_output(states[:, 0])
            if names.distilled is not None:
                scores = (scores + self.head_distilled(states[:, 1])) * np.float32(0.5)
            return seen("scores", scores)
        pooled = seen("pooled", self.head_dense(states[:, 0]))
        return seen("scores", self.head_output(seen("activated", self.head_activation(pooled))))
