"""Labelled texts from tab-separated files."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..spec.errors import ConfigError, InputError
from .load import read_lines
from .tasks import Columns, Kind, Task, as_task
from .tokenizer import Text

__all__ = ["Dataset", "read_dataset"]

LEFT_OUT = 1000
"""One line of so many may have another number of columns than the first line. It is left out. A few lines of GLUE's QQP
are cut off."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Examples of a task.

    Attributes
    ----------
    targets : tuple of float
        Class, score or similarity of each example.
    texts : tuple of Text
        Text of each example, or pairs.
    lines : tuple of int
        Where in the file each example stands.
    classes : int
        Number of classes, at least 2.
    note : str or None
        What was left out, and how words became classes, if the model does not say it.
    """

    task: Task
    targets: tuple[float, ...]
    texts: tuple[Text, ...]
    lines: tuple[int, ...]
    classes: int = 2
    note: str | None = None

    @property
    def has_pairs(self) -> bool:
        """Whether the examples are pairs of texts."""
        return not isinstance(self.texts[0], str)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Every text; of pairs, the first texts of all examples, then the second ones."""
        texts = [(text,) if isinstance(text, str) else text for text in self.texts]
        return tuple(text[i] for i in range(len(texts[0])) for text in texts)


def read_dataset(
    path: Path, task: str | Task, limit: int | None = None, *, classes: int = 2, labels: Sequence[str] = ()
) -> Dataset:
    """Read the tab-separated file of a task. Quotation marks are part of a text.

    Labels are numbers of classes or words. Words are names of the model's classes, in capitals or not. If the model has
    no names for its classes, words are sorted and numbered. A few damaged lines of a large file are left out.

    Parameters
    ----------
    task : str or Task
        A name of :data:`~thresher.model.tasks.TASKS`, or a task.
    limit : int, optional
        At most so many examples, from the start.
    classes : int
        Number of classes: 0, 1, …
    labels : sequence of str
        Names of the model's classes.

    Raises
    ------
    ConfigError
        Task or limit is not allowed.
    InputError
        The file is missing, empty, or has a line that does not fit; the message gives its number. Lines with another
        number of columns than the first line are rejected if they are more than one in :data:`LEFT_OUT`.
    """
    task = as_task(task)
    if limit is not None and limit < 1:
        raise ConfigError("limit", limit, "must be at least 1")
    lines = read_lines(path)
    names, columns, start = _columns(path, task, lines[0].split("\t"))
    every = [(number, line.split("\t")) for number, line in enumerate(lines[start - 1 :], start)]
    if not every:
        raise InputError(f"{str(path)!r} holds no example below its header: add one a line")
    odd = [(number, row) for number, row in every if len(row) != len(names)]
    if len(odd) * LEFT_OUT > len(every):
        number, row = odd[0]
        raise InputError(f"{str(path)!r} line {number}: {len(row)} columns found, {len(names)} expected")
    whole = [(number, row) for number, row in every if len(row) == len(names)]
    places = [names.index(name) for name in columns.names]
    words = sorted({row[places[-1]].casefold() for _, row in whole})
    number_of, note = _reader(task, columns, classes, labels, words)
    if odd:
        share = f"{len(odd)} of {len(every)} lines do not have {len(names)} columns and are left out"
        note = "; ".join(filter(None, (f"{share}, the first is line {odd[0][0]}", note)))
    targets, texts = [], []
    for number, row in whole[:limit]:
        first, *second, target = (row[place] for place in places)
        try:
            targets.append(number_of(target))
        except ValueError as error:
            raise InputError(f"{str(path)!r} line {number}: {target!r} is no {error}") from None
        texts.append((first, second[0]) if second else first)
    return Dataset(
        task=task,
        targets=tuple(targets),
        texts=tuple(texts),
        lines=tuple(number for number, _ in whole[:limit]),
        classes=max(classes, 2),
        note=note,
    )


def _columns(path: Path, task: Task, first: list[str]) -> tuple[list[str], Columns, int]:
    """Names of a file's columns, those of the task among them, and the number of the first line with an example."""
    if len(first) == len(task.headless) and first[task.headless.index("label")].isdecimal():
        return list(task.headless), task.columns[0], 1
    for columns in task.columns:
        if set(columns.names) <= set(first):
            twice = [name for name in columns.names if first.count(name) > 1]
            if twice:
                raise InputError(f"{str(path)!r} line 1: the column {twice[0]} occurs twice: rename one of them")
            return first, columns, 2
    for columns in task.columns:
        *texts, target = columns.names
        if set(texts) <= set(first):
            raise InputError(f"{str(path)!r} line 1: there is no column {target}: give a file with labels")
    known = ", or ".join(", ".join(columns.names) for columns in task.columns)
    raise InputError(f"{str(path)!r} line 1: the columns must be {known}, separated by tabs; there may be others")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _reader(
    task: Task, columns: Columns, classes: int, labels: Sequence[str], words: Sequence[str]
) -> tuple[Callable[[str], float], str | None]:
    """Reads a target, and a remark on how. A ValueError says what is allowed.

    Parameters
    ----------
    words : sequence of str
        All different targets of the file in small letters, sorted.
    """
    if task.kind is Kind.SCORES:
        highest = columns.highest
        if highest is None:
            return partial(_within, fits=math.isfinite, allowed="number"), None
        return partial(_within, fits=lambda value: 0 <= value <= highest, allowed=f"score from 0 to {highest:g}"), None
    allowed = "label 0 or 1" if classes == 2 else f"label from 0 to {classes - 1}"
    if any(map(_is_number, words)):
        return partial(_within, fits=lambda value: value in range(classes), allowed=allowed), None
    numbers = {name.casefold(): number for number, name in enumerate(labels)}
    note = None
    if set(numbers) == {f"label_{number}" for number in range(classes)} and len(words) == classes:
        numbers = {word: number for number, word in enumerate(words)}
        told = ", ".join(f"{word} = {number}" for word, number in numbers.items())
        note = f"the model has no names for its classes: words are numbered in sorted order, {told}"
    if numbers:
        allowed += f", and none of {', '.join(numbers)}"
    return partial(_named, numbers=numbers, allowed=allowed), note


def _within(text: str, *, fits: Callable[[float], bool], allowed: str) -> float:
    if not _is_number(text) or not fits(float(text)):
        raise ValueError(allowed)
    return float(text)


def _named(text: str, *, numbers: dict[str, int], allowed: str) -> float:
    if text.casefold() not in numbers:
        raise ValueError(allowed)
    return float(numbers[text.casefold()])
