"""What a fuzzer needs to know of a reader of files, and the check that it makes of one input."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from thresher.spec.errors import LONGEST_MESSAGE, ThresherError

from .trees import changed_bytes, changed_tree

__all__ = ["SEEDS", "SLOWEST", "FuzzReader", "Misbehaviour"]

SEEDS = Path(__file__).parent / "seeds"
"""Folder of the committed inputs, by reader."""

SLOWEST = 5.0
"""Seconds of a processor that an input may take, with coverage measured."""


class Misbehaviour(Exception):
    """A reader rejects an input, but in the wrong way."""


@dataclass(frozen=True, kw_only=True)
class FuzzReader:
    """A reader of files under the fuzzer.

    Attributes
    ----------
    name : str
        Also the folder of its inputs.
    what : str
        What is read, for the table.
    read : callable
        Reads the bytes of an input, with an empty folder for files. It raises only errors of the project.
    seeds : callable
        Makes valid inputs by name, with the project's own writers where there are some.
    split, join : callable
        Bytes to a tree whose parts can be changed one by one, and back with correct sizes and checksums.
        ``split`` raises any exception for bytes that have no such structure.
    words : sequence
        Keys and values that mean something to the reader.
    """

    name: str
    what: str
    read: Callable[[bytes, Path], object]
    seeds: Callable[[], dict[str, bytes]]
    split: Callable[[bytes], Any] | None = None
    join: Callable[[Any], bytes] = bytes
    words: Sequence[Any] = ()

    def inputs(self) -> dict[str, bytes]:
        """All seeds: those made by code, and the committed ones."""
        folder = SEEDS / self.name
        kept = {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.is_dir() else {}
        return self.seeds() | kept

    def changed(self, data: bytes, random: Random) -> bytes:
        """An input similar to another one, mostly with correct sizes and checksums."""
        if self.split is not None and random.random() < 0.85:
            try:
                return self.join(changed_tree(self.split(data), random, self.words))
            except Exception:  # what has no structure any more, or cannot be written
                pass
        return changed_bytes(data, random)

    def check(self, data: bytes, folder: Path) -> str | None:
        """Read an input. Returns the message if it is rejected.

        Raises
        ------
        Exception
            Whatever the reader raises beside the project's errors, or a :class:`Misbehaviour`: a message of several
            lines or without an end, or a reader that takes too long.
        """
        begun = time.process_time()
        message = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                self.read(data, folder)
        except ThresherError as error:
            message = str(error)
            if len(message.splitlines()) != 1:
                raise Misbehaviour(f"the message has several lines or none: {message!r}") from error
            if len(message) > LONGEST_MESSAGE:
                raise Misbehaviour(f"the message has {len(message)} characters: {message[:80]!r}") from error
        seconds = time.process_time() - begun
        if seconds > SLOWEST:
            raise Misbehaviour(f"it took {seconds:.1f} s")
        return message
