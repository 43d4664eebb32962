"""Training of a model on a labelled file, from files to a folder."""

import json
import shlex
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

from ..model.encoder import Encoder
from ..model.load import Model, load_model
from ..model.modules import transformer_folder
from ..model.pruning.patterns import KEEP
from ..model.source import settings_files
from ..model.tasks import Task, chosen_task
from ..model.training.arrays import keep_compiled
from ..model.training.checkpoint import read_checkpoint
from ..model.training.loop import State, Trainer
from ..model.training.masks import sparsity_of
from ..model.training.settings import TrainingSettings
from ..model.weights import WEIGHTS
from ..model.write import weights_bytes
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import InputError
from ..spec.files import check_writable, write_whole
from ..spec.spmm_config import SpmmConfig
from .report import Report
from .steps import Steps
from .train_inputs import read_inputs, read_teacher
from .train_plan import check_options, plan_run
from .train_progress import COLUMNS, DevScore, Progress

__all__ = ["TrainReport", "resumed", "train_model"]

CHECKPOINT, REPORT, ENGINE = "checkpoint.safetensors", "training.json", "engine.json"


@dataclass(frozen=True, kw_only=True)
class TrainReport(Report):
    """Result of :func:`train_model`, and all that repeats it.

    Attributes
    ----------
    folder : Path
        The trained model.
    task, metric : str
    columns : tuple of tuple of str
        Columns of texts and label; see :attr:`~thresher.model.tasks.Task.columns`.
    model, teacher, data, dev : str
        What the run started from.
    digests : dict
        SHA-256 of the weights of model and teacher and of the files.
    examples : int
    settings : dict
        Of :class:`~thresher.model.training.settings.TrainingSettings`.
    engine : SpmmConfig
        Engine of the co-processor. The banks and groups of pruned weights are those that it has.
    sparsity : float
        Share of pruned weights of the projections and feed-forward layers.
    score : float or None
        The metric in float32, on ``dev``.
    history : tuple of dict
        Means of loss and accuracy on the batches since the row before, score on ``dev``, and sparsity.
    notes : tuple of str
        Where the run differs from what was asked for.
    seconds : float
        Of this run, without what was before an interruption.
    """

    derived = ("packing",)

    folder: Path
    task: str
    metric: str
    columns: tuple[tuple[str, ...], ...]
    model: str
    teacher: str | None
    data: str
    dev: str | None
    digests: dict[str, str]
    examples: int
    settings: dict[str, Any]
    engine: SpmmConfig
    sparsity: float
    score: float | None
    history: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def packing(self) -> str | None:
        """Command that packs the weights for the engine, with their own pattern; ``None`` if they have none."""
        if self.settings["sparsity"] is None:
            return None
        pattern = ("--format", self.settings["weight_format"], "--sparsity", KEEP)
        places = ("--config", self.folder / ENGINE, "-o", self.folder / "packed")
        return shlex.join(map(str, ("thresher", "prune", "--model", self.folder, *pattern, *places)))


def train_model(
    model: str | Path | None,
    folder: Path,
    *,
    data: Path,
    task: str | Task = "sst2",
    teacher: str | Path | None = None,
    dev: Path | None = None,
    settings: TrainingSettings,
    epochs: float | None = None,
    config: CoprocessorConfig,
    truncate: bool = False,
    resume: bool = False,
    steps: Steps | None = None,
) -> TrainReport:
    """Train a model, and write a model's folder with ``training.json`` and the engine, ``engine.json``.

    Parameters
    ----------
    model, teacher : str or Path, optional
        See :func:`~thresher.model.source.locate_model`. Without a teacher, the model learns from labels alone.
    folder : Path
        Of the trained model. While the training runs, it holds a checkpoint.
    data, dev : Path
        Labelled files; see :func:`~thresher.model.datasets.read_dataset`. ``dev`` is only evaluated, and changes
        nothing else.
    task : str or Task
        With classes; see :func:`~thresher.model.tasks.chosen_task`.
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
    task = task if isinstance(task, Task) else chosen_task(task)
    check_options(settings, epochs=epochs, has_teacher=teacher is not None)
    keep_compiled()
    steps.tell("loading")
    start = load_model(model)
    start.config.check_encoder()
    _check_output(folder, start)
    inputs = read_inputs(start, data, dev, task=task, truncate=truncate)
    plan = plan_run(settings, start.encoder, inputs.examples, epochs=epochs, config=config)
    learned, digests = None, inputs.digests
    if teacher is not None:
        learned, digest = read_teacher(teacher, inputs, with_states=settings.hidden_weight > 0, steps=steps)
        digests = digests | digest
    trainer = Trainer(
        inputs.examples.encoder,
        inputs.examples,
        plan.settings,
        config=config.spmm,
        attention=config.attention,
        teacher=learned,
    )
    columns = tuple(each.names for each in task.columns)
    run = {"settings": asdict(plan.settings), "digests": digests, "hardware": config.to_json(), "columns": columns}
    run = json.loads(json.dumps(run))
    score = None if inputs.dev is None else DevScore(trainer, inputs.dev, inputs.further, task.metric)
    progress = Progress(trainer, score, folder / CHECKPOINT, run, steps)
    steps.tell("training")
    state = _trained(trainer, progress, folder / CHECKPOINT, run if resume else None)
    report = TrainReport(
        folder=folder,
        task=task.name,
        metric=task.metric,
        columns=columns,
        model=str(start.folder),
        teacher=None if teacher is None else str(teacher),
        data=str(data),
        dev=None if dev is None else str(dev),
        digests=digests,
        examples=len(inputs.examples.tokens),
        settings=run["settings"],
        engine=config.spmm,
        sparsity=sparsity_of(state.masks),
        score=progress.history[-1]["dev_score"],
        history=tuple(progress.history),
        notes=(*([] if inputs.dataset.note is None else [inputs.dataset.note]), *plan.notes),
        seconds=time.perf_counter() - clock,
    )
    _write(report, start, inputs.vocabulary.restored(trainer.trained(state), start.encoder))
    return report


def _check_output(folder: Path, start: Model) -> None:
    """Raise unless a model that starts from another one can be written to a folder."""
    if folder.exists() and start.folder.samefile(folder):
        raise InputError(f"{str(folder)!r} is the model that is trained: choose another output")
    kept = (path.name for path in settings_files(start.folder))
    check_writable(*(folder / name for name in (WEIGHTS, CHECKPOINT, REPORT, ENGINE, *kept)))


def _trained(trainer: Trainer, progress: Progress, checkpoint: Path, run: dict[str, Any] | None) -> State:
    """The state at the end, from the start or from the checkpoint of a run."""
    state = trainer.start()
    if run is not None:
        state, history = resumed(checkpoint, state, run)
        progress.history.extend(history)
    try:
        trainer.train(state, tell=progress)
    except InputError:  # to resume would repeat it
        checkpoint.unlink(missing_ok=True)
        raise
    return state


def _write(report: TrainReport, start: Model, encoder: Encoder) -> None:
    """Write all files of a trained model, and remove its checkpoint."""
    folder = report.folder
    contents = {folder / path.name: path.read_bytes() for path in settings_files(start.folder)}
    contents[folder / WEIGHTS] = weights_bytes(transformer_folder(start.folder), encoder)
    contents[folder / REPORT] = (json.dumps(report.to_dict(), indent=1) + "\n").encode()
    contents[folder / ENGINE] = (report.engine.to_json() + "\n").encode()
    write_whole(contents)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def resumed(path: Path, start: State, run: dict[str, Any]) -> tuple[State, list[dict[str, Any]]]:
    """The state of a checkpoint, and what was measured before.

    Parameters
    ----------
    start : State
        Before the first step.
    run : dict
        Settings, digests, hardware and columns that the checkpoint must have, too.

    Raises
    ------
    InputError
        The checkpoint cannot be read, is damaged, or is of another run.
    """
    state, notes = read_checkpoint(path, start)
    found, history = notes.get("run"), notes.get("history")
    found = found if isinstance(found, dict) else {}
    if not all(isinstance(found.get(name), dict) for name in ("settings", "digests")) or not _is_history(history):
        raise InputError(f"{str(path)!r} is damaged: train without --resume")
    _check_same(found, run)
    return state, history


def _is_history(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(row, dict) and set(row) == set(COLUMNS) for row in value)


def _check_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise unless a checkpoint is of this run."""
    old, new = ({**each, **each["settings"], **each["digests"]} for each in (found, wanted))
    for name in (*wanted["settings"], *wanted["digests"], "hardware", "columns"):
        if old.get(name) != new.get(name):
            raise InputError(
                f"the checkpoint is of another run ({name} is different): give the same options, or train without "
                "--resume"
            )
