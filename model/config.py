"""Sizes of a transformer encoder, and the names of its tensors."""

from dataclasses import dataclass

__all__ = ["EncoderConfig", "HeadLayout", "Layout"]


@dataclass(frozen=True, kw_only=True)
class HeadLayout:
    """Names of a classification head: a dense layer on the first token, an activation, a dense layer to the labels.

    Attributes
    ----------
    pooler : bool
        Whether the first layer belongs to the encoder, and has its prefix.
    activation : str
        Between the two.
    """

    dense: str
    pooler: bool
    activation: str
    output: str


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Names of an encoder's tensors, without ``.weight`` and ``.bias``.

    Attributes
    ----------
    prefix : str
        Stands before the names of the encoder's tensors in a model with a head; files may also lack it.
    layer : str
        Stands before the names of a layer's tensors, with ``{}`` for its number.
    """

    prefix: str
    words: str
    positions: str
    types: str
    embedding_norm: str
    layer: str
    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    intermediate: str
    output: str
    output_norm: str
    head: HeadLayout


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of an encoder, named as in BERT's ``config.json``.

    Attributes
    ----------
    labels : tuple of str
        Names of the classes; empty for an encoder without a classification head.
    layout : Layout
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
    layout: Layout

    @property
    def head_dim(self) -> int:
        """Values per head, d."""
        return self.hidden_size // self.num_attention_heads

    @property
    def max_length(self) -> int:
        """Most tokens of a text, special ones included."""
        return self.max_position_embeddings

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Name and shape (outputs, inputs) of every projection and feed-forward matrix, layer by layer."""
        names, hidden, wide = self.layout, self.hidden_size, self.intermediate_size
        shapes = {
            names.query: (hidden, hidden),
            names.key: (hidden, hidden),
            names.value: (hidden, hidden),
            names.attention_output: (hidden, hidden),
            names.intermediate: (wide, hidden),
            names.output: (hidden, wide),
        }
        layers = [names.layer.format(i) for i in range(self.num_hidden_layers)]
        return {layer + name: shape for layer in layers for name, shape in shapes.items()}
