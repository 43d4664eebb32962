"""Labelled sentences from tab-separated files."""

import math
from dataclasses import dataclass
from pathlib import Path

from ..spec.errors import ConfigError, InputError
from .load import read_lines

__all__ = ["COLUMNS", "Dataset", "read_dataset"]

COLUMNS = {"sst2": ("sentence", "label"), "stsb": ("score", "sentence1", "sentence2")}
"""Header of each task's file."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Examples of a task.

    Attributes
    ----------
    targets : tuple of float
        Label or similarity of each example.
    sentences : tuple of str
        One per example, or for ``stsb`` two: the first sentences of all examples, then the second ones.
    lines : tuple of int
        Where in the file each sentence stands.
    """

    task: str
    targets: tuple[float, ...]
    sentences: tuple[str, ...]
    lines: tuple[int, ...]


def read_dataset(path: Path, task: str, limit: int | None = None) -> Dataset:
    """Read a file with the columns of :data:`COLUMNS`, named in its first line.

    Parameters
    ----------
    limit : int, optional
        At most so many examples, from the start.

    Raises
    ------
    ConfigError
        Task or limit is not allowed.
    InputError
        The file is missing, empty, or has a line that does not fit; the message gives its number.
    """
    if task not in COLUMNS:
        raise ConfigError("task", task, "must be one of " + ", ".join(COLUMNS))
    if limit is not None and limit < 1:
        raise ConfigError("limit", limit, "must be at least 1")
    columns = COLUMNS[task]
    lines = read_lines(path)
    if tuple(lines[0].split("\t")) != columns:
        raise InputError(f"{str(path)!r} line 1: the columns must be {', '.join(columns)}, separated by tabs")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if limit is not None and len(rows) == limit:
            break
        row = line.split("\t")
        if len(row) != len(columns):
            raise InputError(f"{str(path)!r} line {number}: {len(row)} columns found, {len(columns)} expected")
        rows.append(dict(zip(columns, row, strict=True)) | {"line": number})
    if not rows:
        raise InputError(f"{str(path)!r} holds no example below its header: add one a line")
    target, *texts = ("label", "sentence") if task == "sst2" else columns
    return Dataset(
        task=task,
        targets=tuple(_number(path, row["line"], task, row[target]) for row in rows),
        sentences=tuple(row[text] for text in texts for row in rows),
        lines=tuple(row["line"] for _ in texts for row in rows),
    )


def _number(path: Path, line: int, task: str, text: str) -> float:
    allowed = "label 0 or 1" if task == "sst2" else "score from 0 to 5"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value in (0, 1) if task == "sst2" else 0 <= value <= 5):
        raise InputError(f"{str(path)!r} line {line}: {text!r} is no {allowed}")
    return value
