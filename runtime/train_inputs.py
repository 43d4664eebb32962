"""What a training run starts from: models, texts and what the teacher says about them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..model.datasets import Dataset, read_dataset
from ..model.load import Model, load_model
from ..model.modules import transformer_folder
from ..model.tasks import Kind, Task
from ..model.tokenizer import Tokens
from ..model.training.data import Examples
from ..model.training.loop import Teacher
from ..model.training.teacher import teacher_logits
from ..model.training.vocabulary import Vocabulary
from ..model.weights import Float32
from ..spec.errors import ConfigError, InputError
from .steps import Steps
from .texts import encode_texts

__all__ = ["TrainInputs", "read_inputs", "read_teacher"]


@dataclass(frozen=True, kw_only=True)
class TrainInputs:
    """What a training run starts from.

    Attributes
    ----------
    model : Model
    vocabulary : Vocabulary
        The words of the texts to train with.
    examples, dev : Examples
        Texts to train with, and to evaluate on.
    further : (words, width) float32
        Embeddings of the words that only ``dev`` has. They follow those of the vocabulary.
    digests : dict
        SHA-256 of the weights of the model and of the file of the examples.
    data : Path
        The file of the examples.
    dataset : Dataset
        Their texts.
    truncate : bool
        Whether texts that are too long are truncated.
    """

    model: Model
    vocabulary: Vocabulary
    examples: Examples
    dev: Examples | None
    further: Float32
    digests: dict[str, str]
    data: Path
    dataset: Dataset
    truncate: bool


def read_inputs(model: Model, data: Path, dev: Path | None, *, task: Task, truncate: bool) -> TrainInputs:
    """Read labelled files for a model.

    Raises
    ------
    ConfigError
        Nothing can be trained for this task.
    InputError
        The model has no head with classes, or a file does not fit.
    """
    if task.kind is not Kind.CLASSES:
        raise ConfigError("task", task.name, "training takes tasks with classes, such as sst2 or classification")
    if len(model.config.labels) < 2:
        raise InputError("training needs a model with a classification head of two or more classes: choose another")
    read = {path: _read(model, path, task, truncate) for path in (data, dev) if path is not None}
    vocabulary = Vocabulary(model.encoder, read[data][1])
    longer = vocabulary if dev is None else vocabulary.extended(read[dev][1])

    def examples(path: Path, words: Vocabulary) -> Examples:
        dataset, tokens = read[path]
        return Examples(words.reduced(model.encoder), tokens, np.array(dataset.targets, np.int32), words.rows)

    return TrainInputs(
        model=model,
        vocabulary=vocabulary,
        examples=examples(data, vocabulary),
        dev=None if dev is None else examples(dev, longer),
        further=model.encoder.words[longer.used[len(vocabulary.used) :]],
        digests={"model": _digest(transformer_folder(model.folder)), "data": _digest(data)},
        data=data,
        dataset=read[data][0],
        truncate=truncate,
    )


def read_teacher(
    name: str | Path, inputs: TrainInputs, *, with_states: bool, steps: Steps
) -> tuple[Teacher, dict[str, str]]:
    """A teacher's outputs for all texts, and the SHA-256 of its weights.

    Parameters
    ----------
    name : str or Path
        See :func:`~thresher.model.source.locate_model`.
    with_states : bool
        Whether its hidden states are wanted, too.

    Raises
    ------
    InputError
        The teacher has other classes, or texts are too long for it.
    ConfigError
        Its hidden states are wanted, but it has another width or reads other tokens.
    """
    teacher, model = load_model(name), inputs.model
    if teacher.config.labels != model.config.labels:
        raise InputError(
            f"the teacher has the classes {', '.join(teacher.config.labels) or 'none'}, but the model "
            f"{', '.join(model.config.labels)}: choose another teacher"
        )
    tokens, encoder = _tokens(teacher, inputs.dataset, inputs.data, inputs.truncate), None
    if with_states:
        widths = teacher.config.hidden_size, model.config.hidden_size
        same = all(a.ids == b.ids for a, b in zip(tokens, inputs.examples.tokens, strict=True))
        if widths[0] != widths[1] or not same:
            reason = f"teacher and model have the widths {widths[0]} and {widths[1]}"
            reason = reason if widths[0] != widths[1] else "teacher and model read other tokens"
            raise ConfigError("hidden_weight", None, f"must be 0 because {reason}")
        encoder = inputs.vocabulary.reduced(teacher.encoder)
    steps.announce(f"running the teacher on {len(tokens):,} texts, unless its outputs are in the cache")
    digest = _digest(transformer_folder(teacher.folder))
    return Teacher(teacher_logits(teacher, tokens, steps.count), encoder), {"teacher": digest}


def _read(model: Model, path: Path, task: Task, truncate: bool) -> tuple[Dataset, list[Tokens]]:
    dataset = read_dataset(path, task, classes=len(model.config.labels), labels=model.config.labels)
    return dataset, _tokens(model, dataset, path, truncate)


def _tokens(model: Model, dataset: Dataset, path: Path, truncate: bool) -> list[Tokens]:
    return encode_texts(
        model,
        dataset.texts,
        dataset.lines,
        max_length=model.config.max_length,
        truncate=truncate,
        kind="line",
        source=f"{str(path)!r} ",
    )


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of all weights in a folder."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.safetensors")) if path.is_dir() else [path]:
        digest.update(file.read_bytes())
    return digest.hexdigest()
