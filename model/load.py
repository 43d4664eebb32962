"""A model with its tokenizer, ready to run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import InputError
from ..spec.inputs import read_text
from .config import EncoderConfig
from .encoder import Attend, Encoder, float_attention
from .families import read_config
from .modules import transformer_folder
from .quantise import AttentionScales, Method, calibrate
from .sentence import Step, read_prompt, read_steps, run_steps
from .source import DEFAULT_FOLDER, locate_root
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
    steps : tuple of Step
        Make a sentence embedding of hidden states; empty for a classifier.
    """

    folder: Path
    config: EncoderConfig
    encoder: Encoder
    tokenizer: TextTokenizer
    steps: tuple[Step, ...]

    @property
    def is_classifier(self) -> bool:
        """Whether the model has a classification head; otherwise it makes sentence embeddings."""
        return bool(self.config.labels)

    def encode(self, text: str, *, max_length: int | None = None, truncate: bool = False) -> Tokens:
        """Tokens of a text, at most as many as the model and ``max_length`` allow; raises as
        :meth:`TextTokenizer.encode`."""
        limits = (self.config.max_length, self.tokenizer.max_length, max_length)
        most = min(limit for limit in limits if limit is not None)
        return self.tokenizer.encode(text, max_length=most, truncate=truncate)

    def outputs(self, ids: NDArray[np.int64], attend: Attend = float_attention) -> Float32:
        """(batch, length) token ids to (batch, labels) class scores, or to (batch, outputs) embeddings."""
        if self.is_classifier:
            return self.encoder.logits(ids, attend)
        return run_steps(self.steps, self.encoder.hidden_states(ids, attend))

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
    """Load a classifier or a sentence-embedding model.

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
    embeds = not config.labels
    return Model(
        folder=root,
        config=config,
        encoder=Encoder(config, read_weights(folder)),
        tokenizer=TextTokenizer(folder, config.vocab_size, read_prompt(root) if embeds else ""),
        steps=read_steps(root, config.hidden_size) if embeds else (),
    )


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
    text = read_text(path)
    # Not splitlines(): it also cuts at characters that occur inside sentences, such as U+0085.
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if not text.strip():
        raise InputError(f"{str(path)!r} is empty: give a file with sentences")
    return lines
