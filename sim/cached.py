"""Entries of the cache. One process builds an entry, and others wait for it; an entry appears whole or not at all."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ..spec.cache import cache_folder
from ..spec.processes import shielded

__all__ = ["cached"]

DRAFT = ".building-"
"""Start of the name of an entry that is being built."""


def cached(kind: str, key: str, name: str, build: Callable[[Path], None]) -> Path:
    """Path of the file ``name`` in the cache entry ``key``. On a cache miss ``build`` writes the entry to a folder.

    Raises
    ------
    CacheError
        The cache cannot be written.
    """
    folder = cache_folder() / kind
    folder.mkdir(exist_ok=True)
    _remove_abandoned(folder)
    key = key[:24]  # short names are enough
    final = folder / key
    if not (final / name).exists():
        with _lock(folder, key):
            if not (final / name).exists():
                with _draft(final) as draft:
                    build(draft)
    return final / name


def _lock(folder: Path, key: str, *, blocking: bool = True) -> FileLock:
    # The system releases the lock of a killed process; a soft lock would stay.
    return FileLock(folder / f"{key}.lock", blocking=blocking, fallback_to_soft=False)


@contextlib.contextmanager
def _draft(final: Path) -> Iterator[Path]:
    """Folder that is renamed to ``final`` if the block succeeds, otherwise removed. The entry must be locked."""
    folder = final.with_name(f"{DRAFT}{final.name}")
    try:
        folder.mkdir()
        yield folder
        with shielded():
            shutil.rmtree(final, ignore_errors=True)  # an entry that lost its file
            folder.rename(final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left behind: drafts that nobody has locked."""
    for draft in folder.glob(f"{DRAFT}*"):
        with contextlib.suppress(Timeout, OSError), _lock(folder, draft.name.removeprefix(DRAFT), blocking=False):
            shutil.rmtree(draft, ignore_errors=True)
