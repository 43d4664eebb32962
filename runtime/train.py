"""Training of a model on a labelled file, from files to a folder."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..model.load import load_model
from ..model.modules import transformer_folder
from ..model.source import settings_files
from ..model.training.arrays import keep_compiled
from ..model.training.checkpoint import checkpoint_bytes, read_checkpoint
from ..model.training.data import Examples
from ..model.training.loop import Evaluator, State, StepFigures, Trainer
from ..model.training.masks import sparsity_of
from ..model.training.settings import TrainingSettings
from ..model.weights import WEIGHTS
from ..model.write import weights_bytes
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import InputError
from ..spec.files import check_writable, write_whole
from .report import Report
from .steps import Steps
from .train_inputs import read_inputs, read_teacher
from .train_plan import check_options, plan_run

__all__ = ["TrainReport", "resumed", "train_model"]

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
    notes : tuple of str
        Where the run differs from what was asked for.
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
    notes: tuple[str, ...]
    seconds: float


class _Progress:
    """Figures of the steps since the last evaluation, and what is done at each of them."""

    def __init__(self, trainer: Trainer, dev: Examples | None, checkpoint: Path, run: dict[str, Any], steps: Steps):
        self._trainer, self._checkpoint, self._run, self._steps = trainer, checkpoint, run, steps
        self._evaluator = None if dev is None else Evaluator(dev, self._logits)
        self._total, self._figures = trainer.settings.steps, []
        self._every = max(1, self._total // EVALUATIONS)
        self.history: list[dict[str, Any]] = []

    def _logits(self, arrays: tuple[Any, Any, Any], batch: Any) -> Any:
        return self._trainer.compute(arrays[0], arrays[1], arrays[2], batch)[0]

    def _accuracy(self, state: State) -> float | None:
        if self._evaluator is None:
            return None
        return self._evaluator.accuracy((state.parameters, self._trainer.device(state.masks), state.units))

    def __call__(self, state: State, figures: StepFigures) -> None:
        self._figures.append(figures)
        if state.step % self._every == 0 or state.step == self._total:
            row = {
                "step": state.step,
                "loss": float(np.mean([each.loss for each in self._figures])),
                "accuracy": float(np.mean([each.accuracy for each in self._figures])),
                "dev_accuracy": self._accuracy(state),
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
                saved = checkpoint_bytes(state, run=self._run, history=self.history)
                write_whole({self._checkpoint: saved})
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
        Models, files and settings do not fit together, or the loss does not stay finite. No model has been written
        then.
    """
    clock, steps = time.perf_counter(), steps or Steps()
    check_options(settings, epochs=epochs, has_teacher=teacher is not None)
    keep_compiled()
    steps.tell("loading")
    start = load_model(model)
    start.config.check_encoder()
    kept = settings_files(start.folder)
    if folder.exists() and start.folder.samefile(folder):
        raise InputError(f"{str(folder)!r} is the model that is trained: choose another output")
    check_writable(*(folder / name for name in (WEIGHTS, CHECKPOINT, REPORT, *(path.name for path in kept))))
    inputs = read_inputs(start, data, dev, task=task, truncate=truncate)
    plan = plan_run(settings, start.encoder, inputs.examples, epochs=epochs, config=config.spmm)
    settings = plan.settings
    digests, learned = inputs.digests, None
    if teacher is not None:
        learned, digest = read_teacher(teacher, inputs, with_states=settings.hidden_weight > 0, steps=steps)
        digests = digests | digest
    encoder = inputs.examples.encoder
    trainer = Trainer(
        encoder, inputs.examples, settings, config=config.spmm, attention=config.attention, teacher=learned
    )
    run = {"settings": json.loads(json.dumps(asdict(settings))), "digests": digests, "hardware": config.to_json()}
    state, progress = trainer.start(), _Progress(trainer, inputs.dev, folder / CHECKPOINT, run, steps)
    if resume:
        state, history = resumed(folder / CHECKPOINT, state, run)
        progress.history.extend(history)
    steps.tell("training")
    try:
        trainer.train(state, tell=progress)
    except InputError:  # to resume would repeat it
        (folder / CHECKPOINT).unlink(missing_ok=True)
        raise
    trained = inputs.vocabulary.restored(trainer.trained(state), start.encoder)
    report = TrainReport(
        folder=folder,
        task=task,
        model=str(start.folder),
        teacher=None if teacher is None else str(teacher),
        data=str(data),
        dev=None if dev is None else str(dev),
        digests=digests,
        examples=len(inputs.examples.tokens),
        settings=run["settings"],
        sparsity=sparsity_of(state.masks),
        accuracy=progress.history[-1]["dev_accuracy"],
        history=tuple(progress.history),
        notes=plan.notes,
        seconds=time.perf_counter() - clock,
    )
    contents = {folder / path.name: path.read_bytes() for path in kept}
    contents[folder / WEIGHTS] = weights_bytes(transformer_folder(start.folder), trained)
    contents[folder / REPORT] = (json.dumps(report.to_dict(), indent=1) + "\n").encode()
    write_whole(contents)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return report


def resumed(path: Path, start: State, run: dict[str, Any]) -> tuple[State, list[dict[str, Any]]]:
    """The state of a checkpoint, and what was measured before.

    Parameters
    ----------
    start : State
        Before the first step.
    run : dict
        Settings, digests and hardware that the checkpoint must have, too.

    Raises
    ------
    InputError
        The checkpoint cannot be read, is damaged, or is of another run.
    """
    state, notes = read_checkpoint(path, start)
    found, history = notes.get("run"), notes.get("history")
    found = found if isinstance(found, dict) else {}
    if not all(isinstance(found.get(name), dict) for name in ("settings", "digests")) or not isinstance(history, list):
        raise InputError(f"{str(path)!r} is damaged: train without --resume")
    _check_same({"hardware": None, **found}, run)
    return state, history


def _check_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise unless a checkpoint is of this run."""
    for name in {**wanted["settings"], **wanted["digests"], "hardware": None}:
        old, new = (
            {**each["settings"], **each["digests"], "hardware": each["hardware"]}.get(name) for each in (found, wanted)
        )
        if old != new:
            raise InputError(
                f"the checkpoint is of another run ({name} is different): give the same options, or train without "
                "--resume"
            )
