"""A whole transformer encoder in integers, from token ids to class scores or a sentence embedding, bit for bit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..spec.attention_command import HeadCommand
from ..spec.errors import InputError
from ..spec.heads import Head
from ..spec.spmm_command import Activation
from ..spec.spmm_config import SpmmConfig
from .lib.integer import Int8, Int64
from .spmm.engine import Weights, sparse_product
from .vector.layer_norm import LayerNorm, add_and_normalise
from .vector.pooling import sum_tokens

__all__ = ["Attend", "Commands", "Encoder", "EncoderLayer", "Product", "Text", "class_scores", "encode", "token_sums"]

Attend = Callable[[Sequence[Head]], Sequence[Int8]]
"""Computes heads of attention: the (L, d) int8 output of each."""

Commands = Callable[[int, int], HeadCommand]
"""Command of the heads of a layer for a text: ``commands(layer, length)``."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product Y = act(requantise(W·X + b)) of the SpMM engine, without X.

    Attributes
    ----------
    weights : (M, K) int8, dense or sparse, or PackedWeights
    bias, multiplier, shift : (M,) int64
        See :func:`~thresher.golden.spmm.engine.sparse_product`.
    table : (256,) int8, optional
        Activation table; without it there is no activation.
    """

    weights: Weights
    bias: Int64
    multiplier: Int64
    shift: Int64
    table: Int8 | None = None

    def __call__(self, config: SpmmConfig, x: Int8) -> Int8:
        """(K, N) int8 to (M, N) int8. Tokens beyond the engine's maximum are computed in further products."""
        activation = Activation.NONE if self.table is None else Activation.TABLE
        parts = [
            sparse_product(
                config,
                self.weights,
                x[:, start : start + config.max_tokens],
                self.bias,
                self.multiplier,
                self.shift,
                activation=activation,
                table=self.table,
            ).output
            for start in range(0, x.shape[1], config.max_tokens)
        ]
        return np.concatenate(parts, axis=1)


@dataclass(frozen=True, kw_only=True)
class EncoderLayer:
    """One layer over C channels and H heads of d = C/H dimensions.

    Attributes
    ----------
    projections : Product
        3·C rows: Q of every head, then K, then V.
    attention_output : Product
    attention_norm : LayerNorm
        x is the layer's input, y the result of ``attention_output``.
    intermediate : tuple of Product
        Their results, one below the other, are the input of ``output``. Each has an activation table.
    output : Product
    output_norm : LayerNorm
        x is the result of ``attention_norm``, y that of ``output``.
    """

    projections: Product
    attention_output: Product
    attention_norm: LayerNorm
    intermediate: tuple[Product, ...]
    output: Product
    output_norm: LayerNorm


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder's integer parameters.

    Attributes
    ----------
    heads : int
        H, of every layer.
    words : (vocabulary, E) int8
        Embedding of each token.
    places : (places, E) int8
        Embedding of each place: the sum of those of a position and a token type.
    embedding_norm : LayerNorm
        Over E channels. x is the embedding of the token, y that of its place.
    projection : Product, optional
        From the E channels of the embeddings to C, if they differ.
    layers : tuple of EncoderLayer
    classifier : tuple of Product
        Applied one after the other to the first token of a text; empty if the encoder gives embeddings.
    output_shift : (C,) int64
        Exponent of the unit of each channel of the last layer's output.
    """

    heads: int
    words: Int8
    places: Int8
    embedding_norm: LayerNorm
    projection: Product | None
    layers: tuple[EncoderLayer, ...]
    classifier: tuple[Product, ...]
    output_shift: Int64


@dataclass(frozen=True, kw_only=True)
class Text:
    """Tokens of a text.

    Attributes
    ----------
    ids, places : tuple of int
        Rows of ``words`` and of ``places`` for each token.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)


def encode(
    config: SpmmConfig, encoder: Encoder, texts: Sequence[Text], *, commands: Commands, attend: Attend
) -> list[Int8]:
    """The last layer's output.

    The tokens of all texts go through the products and LayerNorms together. A column of a product depends only on the
    same column of its input, so a result does not depend on the other texts.

    Parameters
    ----------
    config : SpmmConfig
        Engine of the products.
    encoder : Encoder
    texts : sequence of Text
        At least one token each.
    commands : Commands
    attend : Attend

    Returns
    -------
    list of (C, L) int8, one per text

    Raises
    ------
    InputError
        A text is empty, a token or place does not exist, or a product does not fit the engine.
    """
    ends = np.cumsum([len(text) for text in texts])[:-1]
    x = _embed(config, encoder, texts)
    for number, layer in enumerate(encoder.layers):
        projected = np.split(layer.projections(config, x), ends, axis=1)
        heads = [
            (commands(number, len(text)), *head)
            for text, columns in zip(texts, projected, strict=True)
            for head in _heads(encoder.heads, columns)
        ]
        context = _context(encoder.heads, attend(heads))
        x, _ = add_and_normalise(layer.attention_norm, x, layer.attention_output(config, context))
        wide = np.concatenate([product(config, x) for product in layer.intermediate])
        x, _ = add_and_normalise(layer.output_norm, x, layer.output(config, wide))
    return np.split(x, ends, axis=1)


def _embed(config: SpmmConfig, encoder: Encoder, texts: Sequence[Text]) -> Int8:
    for text in texts:
        if not text.ids or len(text.places) != len(text):
            raise InputError(f"a text must have at least one token and a place for each, not {text}")
        for name, numbers, count in (
            ("ids", text.ids, len(encoder.words)),
            ("places", text.places, len(encoder.places)),
        ):
            if min(numbers) < 0 or max(numbers) >= count:
                raise InputError(f"{name} must be from 0 to {count - 1}, not {min(numbers)}…{max(numbers)}")
    words = encoder.words[np.concatenate([text.ids for text in texts])]
    places = encoder.places[np.concatenate([text.places for text in texts])]
    x, _ = add_and_normalise(encoder.embedding_norm, words.T, places.T)
    return x if encoder.projection is None else encoder.projection(config, x)


def _heads(count: int, projected: Int8) -> Iterator[tuple[Int8, Int8, Int8]]:
    """Q, K and V of each head, (L, d) int8, from the (3·C, L) projections of a text."""
    rows, length = projected.shape
    q, k, v = projected.reshape(3, count, rows // (3 * count), length).swapaxes(2, 3)
    yield from zip(q, k, v, strict=True)


def _context(count: int, outputs: Sequence[Int8]) -> Int8:
    """(C, N): the outputs of the heads of each text, one below the other, and the texts side by side."""
    texts = [np.concatenate([output.T for output in outputs[i : i + count]]) for i in range(0, len(outputs), count)]
    return np.concatenate(texts, axis=1)


def class_scores(config: SpmmConfig, encoder: Encoder, hidden: Sequence[Int8]) -> Int8:
    """Scores of the classes.

    Parameters
    ----------
    hidden : sequence of (C, L) int8
        Results of :func:`encode`.

    Returns
    -------
    (classes, texts) int8
    """
    x = np.stack([text[:, 0] for text in hidden], axis=1)
    for product in encoder.classifier:
        x = product(config, x)
    return x


def token_sums(hidden: Sequence[Int8]) -> Int64:
    """Sums over the tokens of each text. In the units of the channels, their direction is the sentence embedding.

    Parameters
    ----------
    hidden : sequence of (C, L) int8
        Results of :func:`encode`.

    Returns
    -------
    (C, texts) int64
    """
    return np.stack([sum_tokens(text) for text in hidden], axis=1)
