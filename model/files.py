"""Files that appear whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..spec.errors import ThresherError

__all__ = ["check_writable", "write_whole"]


def check_writable(*paths: Path) -> None:
    """See that files can be written, and leave no trace.

    Raises
    ------
    ThresherError
        One of them cannot.
    """
    for path in paths:
        with _naming(path):
            if path.is_dir():
                raise ThresherError(f"cannot write {str(path)!r}: it is a folder, choose another output")
            existing = next(folder for folder in path.absolute().parents if folder.exists())
            if not existing.is_dir():
                raise ThresherError(f"cannot write {str(path)!r}: {str(existing)!r} is a file, name a folder")
            with tempfile.TemporaryFile(dir=existing):
                pass


def write_whole(contents: Mapping[Path, bytes]) -> None:
    """Write files, in folders that are made if need be; what was there before stays unless all can be written.

    Raises
    ------
    ThresherError
        They cannot; the message names the one that failed.
    """
    drafts: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            with _naming(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                drafts[path] = path.with_name(f".{path.name}.{os.getpid()}")
                drafts[path].write_bytes(content)
        for path, draft in drafts.items():
            with _naming(path):
                draft.replace(path)
    finally:
        for draft in drafts.values():
            with contextlib.suppress(OSError):
                draft.unlink()


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Says in errors which file could not be written: not its draft."""
    try:
        yield
    except OSError as error:
        raise ThresherError(f"cannot write {str(path)!r} ({error.strerror or error}): choose another output") from None
