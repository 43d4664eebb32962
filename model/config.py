"""Sizes of a transformer, and the names of its tensors."""

from dataclasses import dataclass

from ..spec.errors import InputError

__all__ = ["EncoderConfig", "HeadLayout", "ImageLayout", "ImageSizes", "Layout"]


@dataclass(frozen=True, kw_only=True)
class HeadLayout:
    """Names of a classification head: a dense layer on the first token, an activation, a dense layer to the labels.

    Attributes
    ----------
    dense : str or None
        ``None`` if the head is only the layer to the labels.
    distilled : str or None
        Layer to the labels on the second token, if the outputs are the mean of two.
    pooler : bool
        Whether the first layer belongs to the encoder, and has its prefix.
    activation : str
        Between the two; a name of :data:`~thresher.model.activations.ACTIVATIONS`.
    """

    dense: str | None = None
    pooler: bool = False
    activation: str = "tanh"
    output: str
    distilled: str | None = None


@dataclass(frozen=True, kw_only=True)
class ImageLayout:
    """Names of the tokens that stand before the patches of an image."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ImageSizes:
    """Side of an image and of its square patches in pixels, and number of channels."""

    image: int
    patch: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Names of a transformer's tensors, without ``.weight`` and ``.bias``, and where its LayerNorms stand.

    Attributes
    ----------
    prefix : str
        Stands before the names of the encoder's tensors in a model with a head; files may also lack it.
    words : str
        Embedding of words, or layer of patches.
    image : ImageLayout or None
        ``None`` for models of texts.
    types : str or None
        Embedding of token types, if the encoder has one.
    embedding_norm : str or None
        LayerNorm of the embeddings, if there is one.
    projection : str or None
        Layer from the embeddings to the hidden size, if the encoder may have one.
    score_bias : str or None
        Table (buckets, heads) of numbers that are added to the scores of every layer, if the encoder has one; see
        :func:`~thresher.model.positions.distance_buckets`.
    layer : str
        Stands before the names of a layer's tensors, with ``{}`` for its number.
    joined : str or None
        Layer that gives Q, K and V one after the other, in place of ``query``, ``key`` and ``value``.
    transposed : bool
        Weights of dense layers are (inputs, outputs).
    attention_norm, output_norm : str
        LayerNorms of the sum of each sublayer and its input. With ``final_norm``, those of each sublayer's input.
    final_norm : str or None
        LayerNorm of the last layer's output, in models that normalise the input of each sublayer (pre-norm).
    head : HeadLayout or None
        ``None`` for families without a classification head.
    """

    prefix: str
    words: str
    positions: str
    image: ImageLayout | None = None
    types: str | None = None
    embedding_norm: str | None = None
    projection: str | None = None
    score_bias: str | None = None
    layer: str
    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    intermediate: str
    output: str
    output_norm: str
    joined: str | None = None
    transposed: bool = False
    final_norm: str | None = None
    head: HeadLayout | None = None


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of an encoder, named as in BERT's ``config.json``.

    Attributes
    ----------
    embedding_size : int
        Size of the embeddings; if it is not ``hidden_size``, a layer follows them.
    type_vocab_size : int
        Number of token types; 0 if the encoder has none.
    padding : int or None
        The token after whose id positions begin; ``None`` if they begin at 0.
    activation : str
        Of the feed-forward layers; a name of :data:`~thresher.model.activations.ACTIVATIONS`.
    tokenizer_class : str
        Name of the tokenizer's class in transformers, unless ``tokenizer_config.json`` names another.
    labels : tuple of str
        Names of the outputs of the classification head: classes, or one score. Empty for an encoder without a head.
    layout : Layout
    causal : bool
        A token sees itself and those before it, and the model predicts the next token.
    image : ImageSizes or None
        ``None`` for models of texts.
    """

    vocab_size: int
    embedding_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    padding: int | None
    activation: str
    layer_norm_eps: float
    tokenizer_class: str
    labels: tuple[str, ...]
    layout: Layout
    causal: bool = False
    image: ImageSizes | None = None

    @property
    def pre_norm(self) -> bool:
        """Whether each sublayer's input is normalised, and not its sum with its input."""
        return self.layout.final_norm is not None

    def check_encoder(self) -> None:
        """Check that the model is an encoder of texts such as BERT.

        Raises
        ------
        InputError
            It is a model that normalises the input of each sublayer.
        """
        if self.pre_norm:
            raise InputError(
                "this takes encoders of texts, such as BERT, but no GPT-2 or vision transformer: choose another model"
            )

    @property
    def head_dim(self) -> int:
        """Values per head, d."""
        return self.hidden_size // self.num_attention_heads

    @property
    def max_length(self) -> int:
        """Most tokens of a text, special ones included."""
        return self.max_position_embeddings - (0 if self.padding is None else self.padding + 1)

    @property
    def has_score_bias(self) -> bool:
        """Whether the attention adds a bias to its scores."""
        return self.layout.score_bias is not None

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
