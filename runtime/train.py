"""Training of a model on a labelled file, from files to a folder."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..model.datasets import Dataset, read_dataset
from ..model.load import Model, load_model
from ..model.modules import transformer_folder
from ..model.source import settings_files
from ..model.tokenizer import Tokens
from ..model.training.arrays import keep_compiled
from ..model.training.checkpoint import checkpoint_bytes, read_checkpoint
from ..model.training.data import Examples
from ..model.training.loop import Evaluator, State, StepFigures, Teacher, Trainer
from ..model.training.masks import sparsity_of
from ..model.training.settings import TrainingSettings
from ..model.training.teacher import teacher_logits
from ..model.training.vocabulary import Vocabulary
from ..model.write import weights_bytes
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import ConfigError, InputError
from ..spec.files import check_writable, write_whole
from .report import Report
from .steps import Steps
from .texts import encode_texts

__all__ = ["TrainReport", "train_model"]

CHECKPOINT, REPORT = "checkpoint.safetensors", "training.json"
EVALUATIONS = 20
"""Evaluations of a run; each writes a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class TrainReport(Report):
    """Result of :func:`train_model`, and all that repeats it.

    Attributes
    ----------
    folder : Path
        The trained model.
    model, teacher, data, dev : str
        What the run started from.
    digests : dict
        SHA-256 of the weights of model and teacher and of the files.
    examples : int
    settings : dict
        Of :class:`~thresher.model.training.settings.TrainingSettings`.
    sparsity : float
        Share of pruned weights of the projections and feed-forward layers.
    accuracy : float or None
        In float32, on ``dev``.
    history : tuple of dict
        Means of loss and accuracy on the batches since the row before, accuracy on ``dev``, and sparsity.
    seconds : float
        Of this run, without what was before an interruption.
    """

    folder: Path
    task: str
    model: str
    teacher: str | None
    data: str
    dev: str | None
    digests: dict[str, str]
    examples: int
    settings: dict[str, Any]
    sparsity: float
    accuracy: float | None
    history: tuple[dict[str, Any], ...]
    seconds: float


def _examples(model: Model, path: Path, task: str, truncate: bool) -> tuple[Dataset, list[Tokens]]:
    if task != "sst2":
        raise ConfigError("task", task, "training takes sst2, a file of texts and classes")
    classes = len(model.config.labels)
    if classes < 2:
        raise InputError("training needs a model with a classification head of two or more classes: choose another")
    dataset = read_dataset(path, task, classes=classes)
    return dataset, _encoded(model, dataset, path, truncate)


def _encoded(model: Model, dataset: Dataset, path: Path, truncate: bool) -> list[Tokens]:
    most = model.config.max_length
    return encode_texts(
        model,
        dataset.texts,
        dataset.lines,
        max_length=most,
        truncate=truncate,
        kind="line",
        source=f"{str(path)!r} ",
    )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.safetensors")) if path.is_dir() else [path]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


class _Progress:
    """Figures of the steps since the last evaluation, and what is done at each of them."""

    def __init__(self, total: int, steps: Steps, evaluate: Callable[[State], float | None], save: Callable[..., None]):
        self._total, self._steps, self._evaluate, self._save = total, steps, evaluate, save
        self._figures: list[StepFigures] = []
        self._every = max(1, total // EVALUATIONS)
        self.history: list[dict[str, Any]] = []

    def __call__(self, state: State, figures: StepFigures) -> None:
        self._figures.append(figures)
        if state.step % self._every == 0 or state.step == self._total:
            row = {
                "step": state.step,
                "loss": float(np.mean([each.loss for each in self._figures])),
                "accuracy": float(np.mean([each.accuracy for each in self._figures])),
                "dev_accuracy": self._evaluate(state),
                "sparsity": sparsity_of(state.masks),
            }
            self._figures = []
            self.history.append(row)
            dev = "" if row["dev_accuracy"] is None else f", dev {row['dev_accuracy']:.4f}"
            self._steps.announce(
                f"step {state.step} of {self._total}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.4f}{dev}, "
                f"sparsity {row['sparsity']:.3f}"
            )
            if state.step < self._total:
                self._save(state, self.history)
        self._steps.count(state.step, self._total)


def train_model(
    model: str | Path | None,
    folder: Path,
    *,
    data: Path,
    task: str = "sst2",
    teacher: str | Path | None = None,
    dev: Path | None = None,
    settings: TrainingSettings,
    epochs: float | None = None,
    config: CoprocessorConfig,
    truncate: bool = False,
    resume: bool = False,
    steps: Steps | None = None,
) -> TrainReport:
    """Train a model, and write a model's folder with ``training.json``.

    Parameters
    ----------
    model, teacher : str or Path, optional
        See :func:`~thresher.model.source.locate_model`. Without a teacher, the model learns from labels alone.
    folder : Path
        Of the trained model. While the training runs, it holds a checkpoint.
    data, dev : Path
        Labelled files; see :data:`~thresher.model.datasets.COLUMNS`. ``dev`` is only evaluated.
    settings : TrainingSettings
    epochs : float, optional
        Sets the number of steps, in place of that of the settings.
    config : CoprocessorConfig
        Whose engine has the pattern of the pruned weights, and whose attention cores the policy.
    truncate : bool
        Truncate texts that are too long for a model instead of raising an error.
    resume : bool
        Go on from the checkpoint in ``folder``. The result is that of an unbroken run.

    Raises
    ------
    ThresherError
        Models, files and settings do not fit together. No model has been written then.
    """
    clock, steps = time.perf_counter(), steps or Steps()
    keep_compiled()
    steps.tell("loading")
    loaded = load_model(model)
    kept = settings_files(loaded.folder)
    files = [folder / name for name in ("model.safetensors", CHECKPOINT, REPORT, *(path.name for path in kept))]
    if folder.exists() and loaded.folder.samefile(folder):
        raise InputError(f"{str(folder)!r} is the model that is trained: choose another output")
    check_writable(*files)
    dataset, tokens = _examples(loaded, data, task, truncate)
    dev_set, dev_tokens = (None, []) if dev is None else _examples(loaded, dev, task, truncate)
    vocabulary = Vocabulary(loaded.encoder, [*tokens, *dev_tokens])
    encoder = vocabulary.reduced(loaded.encoder)

    def examples_of(dataset: Dataset, tokens: list[Tokens]) -> Examples:
        return Examples(encoder, tokens, np.array(dataset.targets, np.int32), vocabulary.rows)

    examples = examples_of(dataset, tokens)
    if epochs is not None:
        settings = replace(settings, steps=max(1, round(epochs * examples.count(settings.batch))))
    learned = _teacher(teacher, loaded, dataset, tokens, data, vocabulary, truncate, settings, steps)
    trainer = Trainer(encoder, examples, settings, config=config.spmm, attention=config.attention, teacher=learned)
    digests = {"model": _digest(transformer_folder(loaded.folder)), "data": _digest(data)}
    if teacher is not None:
        digests["teacher"] = _digest(transformer_folder(load_model(teacher).folder))
    run = {"settings": _plain(settings), "digests": digests}
    state, history = trainer.start(), []
    if resume:
        state, notes = read_checkpoint(folder / CHECKPOINT, state)
        _check_same(notes["run"], run)
        history = notes["history"]
    evaluator = None
    if dev_set is not None:
        evaluator = Evaluator(examples_of(dev_set, dev_tokens), partial(_logits, trainer))

    def evaluate(state: State) -> float | None:
        if evaluator is None:
            return None
        return evaluator.accuracy((state.parameters, trainer.device(state.masks), state.units))

    def save(state: State, history: Sequence[dict[str, Any]]) -> None:
        write_whole({folder / CHECKPOINT: checkpoint_bytes(state, run=run, history=history)})

    progress = _Progress(settings.steps, steps, evaluate, save)
    progress.history.extend(history)
    steps.tell("training")
    trainer.train(state, tell=progress)
    trained = vocabulary.restored(trainer.trained(state), loaded.encoder)
    report = TrainReport(
        folder=folder,
        task=task,
        model=str(loaded.folder),
        teacher=None if teacher is None else str(teacher),
        data=str(data),
        dev=None if dev is None else str(dev),
        digests=digests,
        examples=len(tokens),
        settings=run["settings"],
        sparsity=sparsity_of(state.masks),
        accuracy=evaluate(state),
        history=tuple(progress.history),
        seconds=time.perf_counter() - clock,
    )
    contents = {folder / path.name: path.read_bytes() for path in kept}
    contents[folder / "model.safetensors"] = weights_bytes(transformer_folder(loaded.folder), trained)
    contents[folder / REPORT] = (json.dumps(report.to_dict(), indent=1) + "\n").encode()
    write_whole(contents)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return report


def _logits(trainer: Trainer, arrays: tuple[Any, Any, Any], batch: Any) -> Any:
    parameters, masks, units = arrays
    return trainer.compute(parameters, masks, units, batch)[0]


def _plain(settings: TrainingSettings) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(settings)))


def _teacher(
    name: str | Path | None,
    model: Model,
    dataset: Dataset,
    tokens: list[Tokens],
    data: Path,
    vocabulary: Vocabulary,
    truncate: bool,
    settings: TrainingSettings,
    steps: Steps,
) -> Teacher | None:
    """The teacher's outputs for all texts, and on request its encoder."""
    if name is None:
        return None
    teacher = load_model(name)
    if teacher.config.labels != model.config.labels:
        raise InputError(
            f"the teacher has the classes {', '.join(teacher.config.labels) or 'none'}, but the model "
            f"{', '.join(model.config.labels)}: choose another teacher"
        )
    read = _encoded(teacher, dataset, data, truncate)
    encoder = None
    if settings.hidden_weight:
        widths = teacher.config.hidden_size, model.config.hidden_size
        if widths[0] != widths[1]:
            raise ConfigError(
                "hidden_weight", settings.hidden_weight, f"must be 0 if the widths differ, and they are {widths}"
            )
        if any(a.ids != b.ids for a, b in zip(read, tokens, strict=True)):
            raise ConfigError(
                "hidden_weight", settings.hidden_weight, "must be 0 if teacher and model read other tokens"
            )
        encoder = vocabulary.reduced(teacher.encoder)
    steps.announce(f"running the teacher on {len(tokens):,} texts, unless its outputs are in the cache")
    return Teacher(teacher_logits(teacher, read, steps.count), encoder)


def _check_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise unless a checkpoint is of this run."""
    for part in wanted:
        for name, value in wanted[part].items():
            if found[part].get(name) != value:
                raise InputError(
                    f"the checkpoint is of another run ({name} was {found[part].get(name)}): give the same options, or "
                    "train without --resume"
                )
