"""The log of a study: a line of JSON per finished job, so that a study goes on where it was ended.

A line has a digest of its key and result, so that a result is what a study wrote, or the log is rejected.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ...spec.base import digest
from ...spec.errors import InputError
from ...spec.files import make_folder, naming_file

__all__ = ["LOG", "StudyLog", "open_log"]

LOG = "study.jsonl"
LOCK = ".study.lock"


class StudyLog:
    """Results by key, of this run and of earlier ones.

    Attributes
    ----------
    known : int
        Results of earlier runs.
    """

    def __init__(self, path: Path, results: dict[str, Any]):
        self._path, self._results = path, results
        self.known = len(results)

    def __contains__(self, key: str) -> bool:
        return key in self._results

    def __getitem__(self, key: str) -> Any:
        return self._results[key]

    def add(self, key: str, result: Any) -> None:
        """Keep a result, also in the file.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        self._results[key] = result
        _append(self._path, {"key": key, "result": result, "digest": _digest(key, result)})


@contextmanager
def open_log(folder: Path, identity: Mapping[str, str]) -> Iterator[StudyLog]:
    """Open the log in a folder, or begin one.

    Parameters
    ----------
    identity : mapping
        What all results depend on.

    Raises
    ------
    InputError
        The folder holds a study of something else, or a damaged one; or another process works in it.
    OutputError
        The folder cannot be written.
    """
    make_folder(folder)
    path = folder / LOG
    try:
        with FileLock(folder / LOCK, blocking=False, fallback_to_soft=False):
            yield StudyLog(path, _read(path, identity))
    except Timeout:
        raise InputError(
            f"another study is running in {str(folder)!r}: wait for it, or choose another folder"
        ) from None


def _digest(key: str, result: Any) -> str:
    return digest(json.dumps([key, result]))[:16]


def _read(path: Path, identity: Mapping[str, str]) -> dict[str, Any]:
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r} ({error.strerror or error}): choose another folder") from None
    # A run that was killed may have left half a line.
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        path.unlink(missing_ok=True)
        _append(path, {"study": dict(identity)})
        return {}
    try:
        first, *lines = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
        found, results = first["study"], {line["key"]: line["result"] for line in lines}
        differing = [name for name in identity if found.get(name) != identity[name]]
        damaged = [line for line in lines if line["digest"] != _digest(line["key"], line["result"])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{str(path)!r} is no log of a study: choose another folder") from None
    if differing:
        told = " and ".join(differing)
        raise InputError(f"{str(path.parent)!r} holds a study that differs in {told}: choose another folder")
    if damaged:
        raise InputError(f"{str(path)!r} is damaged: choose another folder")
    if len(whole) < len(content):
        with naming_file(path), path.open("r+b") as file:
            file.truncate(len(whole))
    return results


def _append(path: Path, line: Mapping[str, Any]) -> None:
    with naming_file(path), path.open("ab") as file:
        file.write(json.dumps(line).encode() + b"\n")
