"""Labelled texts from tab-separated files."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..spec.base import look_up
from ..spec.errors import ConfigError, InputError
from .load import read_lines
from .tokenizer import Text

__all__ = ["COLUMNS", "Dataset", "read_dataset"]

SINGLE, PAIR, SIMILARITY = (
    ("sentence", "label"),
    ("sentence1", "sentence2", "label"),
    ("score", "sentence1", "sentence2"),
)

COLUMNS = {"sst2": (SINGLE, PAIR), "stsb": (SIMILARITY, PAIR, SINGLE)}
"""Headers of each task's file, of which it has one."""

MOST_SIMILAR = 5
"""Similarities of STS-B are from 0 to this."""


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
    """

    task: str
    targets: tuple[float, ...]
    texts: tuple[Text, ...]
    lines: tuple[int, ...]

    @property
    def has_pairs(self) -> bool:
        """Whether the examples are pairs of texts."""
        return not isinstance(self.texts[0], str)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Every text; of pairs, the first texts of all examples, then the second ones."""
        texts = [(text,) if isinstance(text, str) else text for text in self.texts]
        return tuple(text[i] for i in range(len(texts[0])) for text in texts)


def read_dataset(path: Path, task: str, limit: int | None = None, *, classes: int = 2) -> Dataset:
    """Read a file with one of the headers of :data:`COLUMNS` in its first line.

    Parameters
    ----------
    limit : int, optional
        At most so many examples, from the start.
    classes : int
        Number of labels of the task sst2: 0, 1, …

    Raises
    ------
    ConfigError
        Task or limit is not allowed.
    InputError
        The file is missing, empty, or has a line that does not fit; the message gives its number.
    """
    headers = look_up("task", task, COLUMNS)
    if limit is not None and limit < 1:
        raise ConfigError("limit", limit, "must be at least 1")
    lines = read_lines(path)
    columns = tuple(lines[0].split("\t"))
    if columns not in headers:
        known = ", or ".join(", ".join(header) for header in headers)
        raise InputError(f"{str(path)!r} line 1: the columns must be {known}, separated by tabs")
    rows = [line.split("\t") for line in lines[1:][:limit]]
    if not rows:
        raise InputError(f"{str(path)!r} holds no example below its header: add one a line")
    number = _numbers(task, columns, classes)
    targets, texts = [], []
    for i, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise InputError(f"{str(path)!r} line {i}: {len(row)} columns found, {len(columns)} expected")
        named = dict(zip(columns, row, strict=True))
        target = named.pop("score" if columns == SIMILARITY else "label")
        try:
            targets.append(number(target))
        except ValueError as error:
            raise InputError(f"{str(path)!r} line {i}: {target!r} is no {error}") from None
        first, *second = named.values()
        texts.append((first, second[0]) if second else first)
    return Dataset(task=task, targets=tuple(targets), texts=tuple(texts), lines=tuple(range(2, 2 + len(rows))))


def _numbers(task: str, columns: tuple[str, ...], classes: int) -> Callable[[str], float]:
    """Reads a target. A ValueError says what is allowed."""
    if task == "sst2":
        allowed = "label 0 or 1" if classes == 2 else f"label from 0 to {classes - 1}"
    else:
        allowed = f"score from 0 to {MOST_SIMILAR}" if columns == SIMILARITY else "number"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if task == "sst2":
            fits = value in range(classes)
        else:
            fits = 0 <= value <= MOST_SIMILAR if columns == SIMILARITY else math.isfinite(value)
        if not fits:
            raise ValueError(allowed)
        return value

    return read
