"""Tasks that models are evaluated on: the columns of their files, their kind and their metric."""

from dataclasses import dataclass
from enum import StrEnum

from ..spec.base import look_up
from ..spec.errors import ConfigError

__all__ = ["CLASSIFICATION", "TASKS", "Columns", "Kind", "Metric", "Task", "as_task", "chosen_task"]


class Kind(StrEnum):
    """What the targets of a task are: classes, similarities and other scores, or the tokens of a plain text."""

    CLASSES = "classes"
    SCORES = "scores"
    TEXT = "text"


class Metric(StrEnum):
    """Figure of merit of a task; see :mod:`thresher.runtime.metrics`."""

    ACCURACY = "accuracy"
    MCC = "mcc"
    F1 = "f1"
    SPEARMAN = "spearman"
    PERPLEXITY = "perplexity"


@dataclass(frozen=True)
class Columns:
    """Names of the columns that an example needs. The file may have further ones, in any order.

    Attributes
    ----------
    text : tuple of str
        One column, or the two of a pair.
    target : str
    highest : float or None
        Targets are from 0 to this number. By default any number is allowed, or any class.
    """

    text: tuple[str, ...]
    target: str
    highest: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return (*self.text, self.target)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task.

    Attributes
    ----------
    columns : tuple of Columns
        The file has the columns of one of these; the first that fits is used.
    headless : tuple of str
        Names of the columns of a file without a header. A file is one if it has as many columns as this, and its first
        line has a number under ``label``.
    """

    name: str
    kind: Kind
    metric: Metric
    columns: tuple[Columns, ...]
    headless: tuple[str, ...] = ()


_SINGLE, _PAIR = Columns(("sentence",), "label"), Columns(("sentence1", "sentence2"), "label")

TASKS = {
    task.name: task
    for task in (
        Task(name="sst2", kind=Kind.CLASSES, metric=Metric.ACCURACY, columns=(_SINGLE, _PAIR)),
        Task(
            name="cola",
            kind=Kind.CLASSES,
            metric=Metric.MCC,
            columns=(_SINGLE,),
            headless=("source", "label", "mark", "sentence"),
        ),
        Task(
            name="stsb",
            kind=Kind.SCORES,
            metric=Metric.SPEARMAN,
            columns=(Columns(("sentence1", "sentence2"), "score", 5), _PAIR, _SINGLE),
        ),
        Task(name="perplexity", kind=Kind.TEXT, metric=Metric.PERPLEXITY, columns=()),
    )
}
"""The tasks with a name, and the files of GLUE (arXiv 1804.07461) among others. STS-B's similarities end at 5."""

CLASSIFICATION = "classification"
"""Name of the task whose metric and columns are options."""


def as_task(task: "str | Task") -> Task:
    """A task by its name, or the task itself.

    Raises
    ------
    ConfigError
        No task has this name.
    """
    return task if isinstance(task, Task) else look_up("task", task, TASKS)


def chosen_task(
    name: str,
    *,
    metric: str | None = None,
    text_column: str | None = None,
    second_text_column: str | None = None,
    label_column: str | None = None,
) -> Task:
    """The task of a name, with its metric and columns replaced by those given.

    Parameters
    ----------
    name : str
        A name of :data:`TASKS`, or ``classification``, for which each of the others has a default: accuracy, and the
        columns of sst2.
    metric : "accuracy", "mcc" or "f1", optional
    text_column, second_text_column, label_column : str, optional
        Names of columns. The second one makes the examples pairs.

    Raises
    ------
    ConfigError
        There is no such task or metric, or the two do not fit.
    """
    base = TASKS["sst2"] if name == CLASSIFICATION else as_task(name)
    if metric is not None and base.kind is not Kind.CLASSES:
        raise ConfigError("metric", str(metric), f"the task {name} has its own, {base.metric}: leave it out")
    if metric is not None and metric not in (Metric.ACCURACY, Metric.MCC, Metric.F1):
        raise ConfigError("metric", str(metric), "must be accuracy, mcc or f1")
    columns, headless = base.columns, base.headless
    if base.kind is Kind.TEXT and (text_column, second_text_column, label_column) != (None, None, None):
        raise ConfigError(
            "task", str(name), "reads a plain text, which has no columns: leave out the options of columns"
        )
    if second_text_column is not None and text_column is None:
        raise ConfigError("second_text_column", second_text_column, "needs --text-column, the first text's column")
    if text_column is not None or label_column is not None:
        texts = tuple(each for each in (text_column, second_text_column) if each is not None)
        columns = tuple(
            dict.fromkeys(Columns(texts or each.text, label_column or each.target, each.highest) for each in columns)
        )
        headless = ()
    return Task(
        name=name,
        kind=base.kind,
        metric=base.metric if metric is None else Metric(metric),
        columns=columns,
        headless=headless,
    )
