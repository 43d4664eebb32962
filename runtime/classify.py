"""Classes or scores of texts, or classes of images, with attention on a backend."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.encoder import Attend, float_attention, softmax
from ..model.load import Model
from ..model.quantise import AttentionScales
from ..model.score import activate
from ..model.tokenizer import Tokens
from ..model.weights import Float32
from ..spec.attention_config import AttentionConfig
from ..spec.errors import ConfigError, InputError
from ..spec.formats import ceil_div
from ..spec.heads import HeadStatistics
from .attention import AcceleratorAttention, check_fits
from .backends import Backend
from .inputs import Input, are_pairs, calibration_inputs, encode_inputs
from .passes import Progress

__all__ = [
    "Classification",
    "HeadPicture",
    "HeadSummary",
    "answer_of",
    "check_classifier",
    "classify",
]


@dataclass(frozen=True, kw_only=True)
class HeadSummary:
    """One head's statistics from the backend.

    Attributes
    ----------
    blocks : int
        Number of blocks in the head's attention matrix.
    kept_blocks : int
        Number of computed blocks; 0 for a pruned head.
    cycles : int or None
        Hardware cycles, if the backend counts them.
    """

    layer: int
    head: int
    blocks: int
    kept_blocks: int
    pruned: bool
    saturations: int
    cycles: int | None


@dataclass(frozen=True, kw_only=True)
class HeadPicture:
    """One head's attention by the golden model, for a picture.

    Attributes
    ----------
    words : tuple of str
        Tokens along both axes.
    probabilities : (length, length) float64
        All zero for a pruned head.
    mask : (nq, nk) bool
        Kept blocks, ``block`` tokens wide.
    """

    layer: int
    head: int
    words: tuple[str, ...]
    block: int
    probabilities: NDArray[np.float64]
    mask: NDArray[np.bool_]
    pruned: bool


@dataclass(frozen=True, kw_only=True)
class Classification:
    """A model's answer to a text or pair, or an image.

    Attributes
    ----------
    text : str
        The text, or the name of the image's file.
    text_pair : str or None
        The second text of a pair.
    label, confidence
        Most probable class and its probability, with attention on the accelerator; ``None`` for a model with one
        output. For a causal model, the most probable next token.
    score : float or None
        Score of a model with one output, after its activation.
    fp32_label, fp32_confidence, fp32_score
        The same with float32 attention.
    heads : tuple of HeadSummary
        In order of layers, then heads.
    picture : HeadPicture or None
    """

    text: str
    text_pair: str | None
    tokens: Tokens
    label: str | None = None
    confidence: float | None = None
    score: float | None = None
    fp32_label: str | None = None
    fp32_confidence: float | None = None
    fp32_score: float | None = None
    heads: tuple[HeadSummary, ...]
    picture: HeadPicture | None

    @property
    def blocks(self) -> int:
        """Number of blocks in all heads."""
        return sum(head.blocks for head in self.heads)

    @property
    def kept_blocks(self) -> int:
        """Number of computed blocks in all heads."""
        return sum(head.kept_blocks for head in self.heads)

    @property
    def truncated(self) -> bool:
        """Whether the text lost tokens."""
        return self.tokens.truncated

    @property
    def cycles(self) -> int | None:
        """Cycles of all heads, or ``None`` if the backend does not count them."""
        counted = [head.cycles for head in self.heads if head.cycles is not None]
        return sum(counted) if len(counted) == len(self.heads) else None


def check_classifier(model: Model, config: AttentionConfig) -> None:
    """Check that a model gives classes, one score or the next token, and fits the hardware.

    Raises
    ------
    InputError
        It does not.
    """
    shape = model.config
    if not (model.is_classifier or model.predicts_tokens):
        raise InputError(
            "this model has no classification head: choose a model that gives classes, a score or the next token"
        )
    check_fits(config, shape.head_dim, score_bias=shape.has_score_bias, causal=shape.causal)


def classify(
    model: Model,
    sentences: Sequence[Input],
    *,
    backend: Backend,
    config: AttentionConfig,
    rho: float = -1.0,
    tau: float = 0.0,
    truncate: bool = False,
    scales: AttentionScales | None = None,
    picture: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> list[Classification]:
    """Classes or scores of texts or pairs, or classes of images, one after another.

    Parameters
    ----------
    sentences : sequence of texts, pairs, or files of images
    backend : Backend
        Runs the heads; see :mod:`~thresher.runtime.backends`.
    config : AttentionConfig
        The hardware.
    rho, tau : float
        Pruning parameter and head threshold. The values −1 and 0 switch pruning off.
    truncate : bool
        Truncate texts that are too long instead of raising an error.
    scales : AttentionScales, optional
        By default the model is calibrated with the packaged sentences, or with these images.
    picture : (layer, head), optional
        Head to keep for a picture.
    progress : Progress, optional

    Raises
    ------
    InputError
        The model has no head, a text is empty or too long, an image cannot be read, or a value is not finite.
    ConfigError
        ρ, τ or the head of the picture is out of range.
    """
    shape = model.config
    check_classifier(model, config)
    if picture is not None and not (
        0 <= picture[0] < shape.num_hidden_layers and 0 <= picture[1] < shape.num_attention_heads
    ):
        last = (shape.num_hidden_layers - 1, shape.num_attention_heads - 1)
        raise ConfigError("picture", picture, f"must be a layer and head from (0, 0) to {last}")
    # Every text is checked before the first runs.
    tokens = encode_inputs(model, sentences, max_length=config.max_length, truncate=truncate)
    if scales is None:
        scales = model.calibrate(calibration_inputs(model, tokens, config, pairs=are_pairs(sentences)))
    answers = []
    for text, encoded in zip(sentences, tokens, strict=True):
        attention = AcceleratorAttention(config=config, scales=scales, backend=backend, rho=rho, tau=tau, watch=picture)
        found, reference = (_answer(model, encoded, attend) for attend in (attention, float_attention))
        first, second = text if isinstance(text, tuple) else (str(text), None)
        answers.append(
            Classification(
                text=first,
                text_pair=second,
                tokens=encoded,
                **found,
                **{f"fp32_{name}": value for name, value in reference.items()},
                heads=_summaries(attention.log, attention.totals.blocks // attention.totals.heads),
                picture=_picture(attention, encoded, picture),
            )
        )
        if progress is not None:
            progress(len(answers), len(sentences))
    return answers


def _answer(model: Model, tokens: Tokens, attend: Attend) -> dict[str, Any]:
    if model.predicts_tokens:
        probabilities = softmax(model.next_token(tokens, attend))
        best = int(probabilities.argmax())
        return {"label": model.tokenizer.text([best]), "confidence": float(probabilities[best])}
    return answer_of(model, model.outputs_of([tokens], attend)[0])


def answer_of(model: Model, outputs: Float32) -> dict[str, Any]:
    """Label and confidence of (classes,) outputs, or the score of (1,)."""
    if model.activation is not None:
        return {"score": float(activate(outputs.astype(np.float64), model.activation)[0])}
    probabilities = softmax(outputs)
    best = int(probabilities.argmax())
    return {"label": model.config.labels[best], "confidence": float(probabilities[best])}


def _summaries(log: Sequence[Sequence[HeadStatistics]], blocks: int) -> tuple[HeadSummary, ...]:
    return tuple(
        HeadSummary(
            layer=layer,
            head=head,
            blocks=blocks,
            kept_blocks=statistics.kept_blocks,
            pruned=statistics.pruned,
            saturations=statistics.saturations,
            cycles=statistics.cycles,
        )
        for layer, heads in enumerate(log)
        for head, statistics in enumerate(heads)
    )


def _picture(attention: AcceleratorAttention, tokens: Tokens, watched: tuple[int, int] | None) -> HeadPicture | None:
    result = attention.watched()
    if watched is None or result is None:
        return None
    length, blocks = len(tokens), ceil_div(len(tokens), attention.config.block)
    trace = result.trace
    return HeadPicture(
        layer=watched[0],
        head=watched[1],
        words=tokens.words,
        block=attention.config.block,
        probabilities=np.zeros((length, length)) if trace is None else trace.softmax.probabilities(),
        mask=np.zeros((blocks, blocks), bool) if trace is None else trace.selection.mask,
        pruned=result.statistics.pruned,
    )
