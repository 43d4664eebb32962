"""A model with its tokenizer, ready to run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ..spec.errors import InputError
from ..spec.inputs import read_text
from .config import EncoderConfig
from .encoder import Attend, Encoder, float_attention
from .families import read_config
from .images import ImageReader, Picture
from .integer import IntegerEncoder, integer_encoder
from .modules import transformer_folder
from .pruning.formats import FormatPattern
from .pruning.layers import Progress, prune_encoder
from .pruning.method import DEFAULT_METHOD, MethodName, Pruned
from .quantise import AttentionScales, calibrate
from .ranges import DEFAULT_PERCENTILE, Method
from .score import ScoreActivation, read_activation
from .sentence import Step, read_prompt, read_steps, run_steps
from .source import DEFAULT_FOLDER, locate_root
from .tokenizer import Text, TextTokenizer, Tokens
from .weights import Float32, read_weights

__all__ = ["Model", "calibration_pairs", "calibration_sentences", "length_batches", "load_model"]

BATCH = 16
CALIBRATION_SENTENCES = 512
PACKAGED_SENTENCES = DEFAULT_FOLDER / "calibration.txt"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained transformer.

    Attributes
    ----------
    folder : Path
        Where it was read from.
    config : EncoderConfig
    encoder : Encoder
    reader : TextTokenizer or ImageReader
        Makes tokens of a text, or pixels of an image.
    steps : tuple of Step
        Make a sentence embedding of hidden states; empty for other models.
    activation : Activation or None
        Makes a score of the output of a head with one output; ``None`` for other models.
    """

    folder: Path
    config: EncoderConfig
    encoder: Encoder
    reader: TextTokenizer | ImageReader
    steps: tuple[Step, ...]
    activation: ScoreActivation | None

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer of a model of texts. Raises :class:`~thresher.spec.errors.InputError` for one of images."""
        if isinstance(self.reader, ImageReader):
            raise InputError(
                "the model reads images: use thresher run --image, or eval --task classification with columns image "
                "and label"
            )
        return self.reader

    @property
    def images(self) -> ImageReader | None:
        """The reader of a model of images; ``None`` for one of texts."""
        return self.reader if isinstance(self.reader, ImageReader) else None

    @property
    def is_classifier(self) -> bool:
        """Whether the model has a head, for classes or one score."""
        return bool(self.config.labels)

    @property
    def predicts_tokens(self) -> bool:
        """Whether the model predicts the next token of a text."""
        return self.config.causal

    @property
    def is_scorer(self) -> bool:
        """Whether the model has a head with one output, such as a regression or a reranker."""
        return len(self.config.labels) == 1

    def encode(self, text: Text, *, max_length: int | None = None, truncate: bool = False) -> Tokens:
        """Tokens of a text or pair, at most as many as the model and ``max_length`` allow; raises as
        :meth:`TextTokenizer.encode`."""
        limits = (self.config.max_length, self.tokenizer.max_length, max_length)
        most = min(limit for limit in limits if limit is not None)
        return self.tokenizer.encode(text, max_length=most, truncate=truncate)

    def outputs(
        self, ids: NDArray[np.int64], attend: Attend = float_attention, *, types: NDArray[np.int64] | None = None
    ) -> Float32:
        """(batch, length) token ids and types, by default 0, to (batch, labels) outputs of the head, or to (batch, n)
        embeddings.

        For a causal model, (batch, 2): the sum of −log p of a text's tokens behind the first, and their number.
        """
        if self.config.causal:
            return self._surprise(ids, attend)
        if self.is_classifier:
            return self.encoder.logits(ids, attend, types=types)
        return run_steps(self.steps, self.encoder.hidden_states(ids, attend, types=types))

    def next_token(self, tokens: Tokens, attend: Attend = float_attention) -> Float32:
        """(vocabulary,) scores of the token that follows a text, for a causal model."""
        states = self.encoder.hidden_states(as_batch([tokens]), attend)
        return self.encoder.next_tokens(states[0, -1])

    def _surprise(self, ids: NDArray[np.int64], attend: Attend) -> Float32:
        rows = []
        for text, states in zip(ids, self.encoder.hidden_states(ids, attend), strict=True):
            scores = self.encoder.next_tokens(states[:-1])
            found = np.take_along_axis(scores, text[1:, None], axis=1)[:, 0]
            rows.append([(logsumexp(scores, axis=1) - found).sum(), len(found)])
        return np.array(rows, np.float32)

    def outputs_of(self, tokens: Sequence[Tokens], attend: Attend = float_attention) -> Float32:
        """The same for texts or pairs of one length."""
        return self.outputs(as_batch(tokens), attend, types=as_types(tokens))

    def calibrate(
        self,
        sentences: Sequence[Text | Tokens],
        *,
        method: Method = "percentile",
        percentile: float = DEFAULT_PERCENTILE,
    ) -> AttentionScales:
        """Quantisation scales from these sentences or pairs, or from tokens of texts or images.

        Sentences that are too long for the model are truncated. It raises as
        :func:`~thresher.model.quantise.calibrate`.
        """
        ids, types = self._batches(sentences)
        return calibrate(self.encoder, ids, types=types, method=method, percentile=percentile)

    def quantise(
        self,
        sentences: Sequence[Text],
        *,
        encoder: Encoder | None = None,
        method: Method = "min-max",
        percentile: float = DEFAULT_PERCENTILE,
        per_channel: bool = True,
        weight_bits: int = 8,
        adjacent: int = 1,
    ) -> IntegerEncoder:
        """The whole encoder in integers, from these sentences or pairs; see
        :func:`~thresher.model.integer.encoder.integer_encoder`.

        Parameters
        ----------
        encoder : Encoder, optional
            An encoder with other weights, such as pruned ones, in place of the model's own.
        """
        ids, types = self._batches(sentences)
        return integer_encoder(
            encoder or self.encoder,
            ids,
            types=types,
            method=method,
            percentile=percentile,
            per_channel=per_channel,
            weight_bits=weight_bits,
            adjacent=adjacent,
        )

    def prune(
        self,
        sentences: Sequence[Text],
        pattern: FormatPattern,
        *,
        method: MethodName = DEFAULT_METHOD,
        progress: Progress | None = None,
    ) -> dict[str, Pruned]:
        """The encoder's dense layers, pruned on these sentences or pairs; see
        :func:`~thresher.model.pruning.layers.prune_encoder`. Sentences that are too long for the model are
        truncated."""
        ids, types = self._batches(sentences)
        return prune_encoder(self.encoder, pattern, method=method, batches=ids, types=types, progress=progress)

    def _batches(
        self, sentences: Sequence[Text | Tokens]
    ) -> tuple[Iterator[NDArray[np.int64]], Iterator[NDArray[np.int64]]]:
        """Ids and types of sentences; those that are too long are truncated."""
        tokens = [each if isinstance(each, Tokens) else self.encode(each, truncate=True) for each in sentences]
        batches = [[tokens[i] for i in batch] for batch in length_batches(tokens)]
        return map(as_batch, batches), map(as_types, batches)


def load_model(name: str | Path | None = None) -> Model:
    """Load a classifier, a sentence-embedding model or a causal model.

    Parameters
    ----------
    name : str or Path, optional
        See :func:`~thresher.model.source.locate_model`.

    Raises
    ------
    InputError
        Files are missing or damaged.
    ConfigError
        The model is not supported; the message names the parameter.
    """
    root = locate_root(name)
    folder = transformer_folder(root)
    config = read_config(folder / "config.json")
    embeds = not config.labels and not config.causal and config.image is None
    if config.image is not None:
        reader = ImageReader.from_folder(folder, config.image, config.max_length)
    else:
        reader = TextTokenizer(
            folder,
            config.vocab_size,
            read_prompt(root),
            tokenizer_class=config.tokenizer_class,
            has_types=config.type_vocab_size > 0,
        )
    return Model(
        folder=root,
        config=config,
        encoder=Encoder(config, read_weights(folder)),
        reader=reader,
        steps=read_steps(root, config.hidden_size) if embeds else (),
        activation=read_activation(root, folder) if len(config.labels) == 1 else None,
    )


def as_batch(tokens: Sequence[Tokens]) -> NDArray[Any]:
    """(batch, length) token ids of texts of one length; of images, (batch, channels, size, size) pixels."""
    if isinstance(tokens[0], Picture):
        return np.stack([each.pixels() for each in tokens if isinstance(each, Picture)]).astype(np.float32)
    return np.array([t.ids for t in tokens], np.int64)


def as_types(tokens: Sequence[Tokens]) -> NDArray[np.int64]:
    """(batch, length) token types of texts of one length."""
    return np.array([t.types for t in tokens], np.int64)


def length_batches(tokens: Sequence[Tokens], size: int = BATCH) -> list[list[int]]:
    """Indices in batches of texts of equal length, so that nothing is padded. Short texts come first."""
    by_length: dict[int, list[int]] = {}
    for i, text in enumerate(tokens):
        by_length.setdefault(len(text), []).append(i)
    return [
        group[start : start + size] for _, group in sorted(by_length.items()) for start in range(0, len(group), size)
    ]


def calibration_sentences(path: Path | None = None, limit: int = CALIBRATION_SENTENCES) -> list[str]:
    """Sentences to calibrate with.

    Parameters
    ----------
    path : Path, optional
        Plain text, one sentence a line; or tab-separated with a header, where the columns whose names start with
        ``sentence`` are taken. By default the packaged sentences.
    limit : int
        At most so many, from the start.

    Raises
    ------
    InputError
        The file cannot be read or holds no sentence.
    """
    path = path or PACKAGED_SENTENCES
    sentences = [sentence for row in _sentence_rows(path) for sentence in row if sentence.strip()][:limit]
    if not sentences:
        raise InputError(f"{str(path)!r} holds no sentence to calibrate with: give one sentence a line")
    return sentences


def calibration_pairs(path: Path | None = None, limit: int = CALIBRATION_SENTENCES) -> list[tuple[str, str]]:
    """Pairs to calibrate with: the first two ``sentence`` columns, or else each sentence with the one after it.

    Parameters and errors are those of :func:`calibration_sentences`.
    """
    path = path or PACKAGED_SENTENCES
    pairs = [(row[0], row[1]) for row in _sentence_rows(path) if len(row) > 1 and row[0].strip() and row[1].strip()]
    if not pairs:
        sentences = calibration_sentences(path, limit)
        pairs = list(zip(sentences, sentences[1:] + sentences[:1], strict=True))
    return pairs[:limit]


def _sentence_rows(path: Path) -> list[list[str]]:
    """The sentences of each line of a file."""
    lines = read_lines(path)
    header = lines[0].split("\t")
    columns = [i for i, name in enumerate(header) if name.startswith("sentence")] if len(header) > 1 else []
    if not columns:
        return [[line] for line in lines]
    rows = [line.split("\t") for line in lines[1:]]
    return [[row[i] for i in columns if i < len(row)] for row in rows]


def read_lines(path: Path) -> list[str]:
    """Lines of a text file.

    Raises
    ------
    InputError
        The file cannot be read, is empty, or is not UTF-8.
    """
    text = read_text(path)
    # Not splitlines(): it also cuts at characters that occur inside sentences, such as U+0085.
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if not text.strip():
        raise InputError(f"{str(path)!r} is empty: give a file with sentences")
    return lines
