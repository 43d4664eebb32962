"""A model with its tokenizer, ready to run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import ConfigError, InputError
from .config import EncoderConfig
from .encoder import Attend, Encoder, float_attention
from .families import read_config
from .quantise import AttentionScales, Method, calibrate
from .source import DEFAULT_FOLDER, locate_model
from .tokenizer import TextTokenizer, Tokens
from .weights import Float32, read_weights

__all__ = ["Model", "calibration_sentences", "length_batches", "load_model"]

BATCH = 16
CALIBRATION_SENTENCES = 512


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained transformer.

    Attributes
    ----------
    folder : Path
        Where it was read from.
    config : EncoderConfig
    encoder : Encoder
    tokenizer : TextTokenizer
    """

    folder: Path
    config: EncoderConfig
    encoder: Encoder
    tokenizer: TextTokenizer

    @property
    def is_classifier(self) -> bool:
        """Whether the model has a classification head; otherwise it makes sentence embeddings."""
        return bool(self.config.labels)

    def encode(self, text: str, *, max_length: int | None = None, truncate: bool = False) -> Tokens:
        """Tokens of a text, at most as many as the model's positions and ``max_length``; raises as
        :meth:`TextTokenizer.encode`."""
        positions = self.config.max_length
        return self.tokenizer.encode(text, max_length=min(positions, max_length or positions), truncate=truncate)

    def outputs(self, ids: NDArray[np.int64], attend: Attend = float_attention) -> Float32:
        """(batch, length) token ids to (batch, labels) class scores, or to (batch, hidden) embeddings."""
        return self.encoder.logits(ids, attend) if self.is_classifier else self.encoder.embeddings(ids, attend)

    def calibrate(
        self, sentences: Sequence[str], *, method: Method = "percentile", percentile: float = 99.99
    ) -> AttentionScales:
        """Quantisation scales from these sentences; raises as :func:`~thresher.model.quantise.calibrate`.

        Sentences that are too long for the model are truncated.
        """
        tokens = [self.encode(sentence, truncate=True) for sentence in sentences]
        batches = (as_batch([tokens[i] for i in batch]) for batch in length_batches(tokens))
        return calibrate(self.encoder, batches, method=method, percentile=percentile)


def load_model(name: str | Path | None = None) -> Model:
    """Load a classifier or sentence-embedding model.

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
    folder = locate_model(name)
    config = read_config(folder / "config.json")
    if not config.labels:
        _check_pooling(folder)
    return Model(
        folder=folder,
        config=config,
        encoder=Encoder(config, read_weights(folder / "model.safetensors")),
        tokenizer=TextTokenizer(folder / "tokenizer.json", config.vocab_size),
    )


def _check_pooling(folder: Path) -> None:
    """Check that a sentence-transformers model takes the mean over tokens."""
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        modes = [name for name, value in found.items() if name.startswith("pooling_mode_") and value is True]
    except (OSError, ValueError, AttributeError):
        raise InputError(f"{str(path)!r} is not a JSON object: fetch it again") from None
    if modes != ["pooling_mode_mean_tokens"]:
        raise ConfigError("pooling_mode", ", ".join(modes), "supported is pooling_mode_mean_tokens")


def as_batch(tokens: Sequence[Tokens]) -> NDArray[np.int64]:
    """(batch, length) token ids of texts of one length."""
    return np.array([t.ids for t in tokens], np.int64)


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
    path = path or DEFAULT_FOLDER / "calibration.txt"
    lines = read_lines(path)
    header = lines[0].split("\t")
    columns = [i for i, name in enumerate(header) if name.startswith("sentence")] if len(header) > 1 else []
    if columns:
        rows = [line.split("\t") for line in lines[1:]]
        sentences = [row[i] for row in rows for i in columns if i < len(row)]
    else:
        sentences = lines
    sentences = [s for s in sentences if s.strip()][:limit]
    if not sentences:
        raise InputError(f"{str(path)!r} holds no sentence to calibrate with: give one sentence a line")
    return sentences


def read_lines(path: Path) -> list[str]:
    """Lines of a text file.

    Raises
    ------
    InputError
        The file cannot be read, is empty, or is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{str(path)!r} is not UTF-8 text: convert it") from None
    # Not splitlines(): it also cuts at characters that occur inside sentences, such as U+0085.
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if not text.strip():
        raise InputError(f"{str(path)!r} is empty: give a file with sentences")
    return lines
