"""Output files that are written completely or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from .errors import ThresherError
from .processes import shielded

__all__ = ["OutputError", "check_writable", "make_folder", "naming_file", "write_whole"]


class OutputError(ThresherError):
    """A file or folder cannot be written."""


def check_writable(*paths: Path) -> None:
    """Check that files can be written later. Change nothing.

    Raises
    ------
    OutputError
        A path is a folder, or its folder cannot be created or written.
    """
    for path in paths:
        with naming_file(path):
            if path.is_dir():
                raise OutputError(f"cannot write {str(path)!r}: it is a folder, choose another output")
            existing = next(folder for folder in path.absolute().parents if folder.exists())
            if not existing.is_dir():
                raise OutputError(f"cannot write {str(path)!r}: {str(existing)!r} is a file, name a folder")
            with tempfile.TemporaryFile(dir=existing):
                pass


def make_folder(folder: Path) -> None:
    """Create a folder if it does not exist, and check that files can be written in it.

    Raises
    ------
    OutputError
        The folder cannot be created or written.
    """
    with naming_file(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def write_whole(contents: Mapping[Path, bytes]) -> tuple[Path, ...]:
    """Write files, and create their folders.

    Old files are replaced only after all new contents have been written to temporary files. A file that already has its
    content is not written.

    Returns
    -------
    tuple of Path
        The files that were written.

    Raises
    ------
    OutputError
        The message names the file that cannot be written.
    """
    drafts: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            with naming_file(path):
                if _holds(path, content):
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                drafts[path] = path.with_name(f".{path.name}.{os.getpid()}")
                drafts[path].write_bytes(content)
        with shielded():
            for path, draft in drafts.items():
                with naming_file(path):
                    draft.replace(path)
    finally:
        for draft in drafts.values():
            with contextlib.suppress(OSError):
                draft.unlink()
    return tuple(drafts)


def _holds(path: Path, content: bytes) -> bool:
    with contextlib.suppress(OSError):
        return path.read_bytes() == content
    return False


@contextlib.contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Turn an OSError into an :class:`OutputError` that names ``path``, not the temporary file that failed."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r} ({error.strerror or error}): choose another output") from None
