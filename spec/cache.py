"""The folder of files that are made once and used again, and a home folder for tools where there is none."""

import os
import sys
import tempfile
from pathlib import Path

from .errors import ThresherError

__all__ = ["CACHE_VARIABLE", "CacheError", "cache_folder", "home_variables"]

CACHE_VARIABLE = "THRESHER_CACHE"


class CacheError(ThresherError):
    """The cache folder cannot be found or written."""


def cache_folder() -> Path:
    """Folder of compiled simulators: ``$THRESHER_CACHE`` if it is set, otherwise ``thresher`` in the user's cache
    folder. Create it.

    Raises
    ------
    CacheError
        The user has no cache folder, or the folder cannot be written.
    """
    given, users = os.environ.get(CACHE_VARIABLE), _users_folder()
    if given:
        folder = Path(given).absolute()
    elif users is not None:
        folder = users / "thresher"
    else:
        home = os.environ.get("HOME")
        reason = "the user has no home folder" if home is None else f"HOME={home!r} is not an absolute path"
        raise CacheError(f"there is no cache folder ({reason}): set {CACHE_VARIABLE} to a folder that can be written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CacheError(
            f"cannot write the cache folder {folder} ({reason}): set {CACHE_VARIABLE} to a folder that can be written"
        ) from None
    return folder


def home_variables() -> dict[str, str]:
    """Environment variables for tools and libraries that keep files in the user's home folder.

    There are none where that works. Elsewhere, as in a container whose user has no home folder, the cache folder takes
    its place.

    Raises
    ------
    CacheError
        As :func:`cache_folder`.
    """
    users = _users_folder()
    writable = users is not None and _can_be_made(users)
    if writable and _home() is not None:
        return {}
    folder = str(cache_folder())
    return {"HOME": folder} | ({} if writable else {"XDG_CACHE_HOME": folder, "XDG_CONFIG_HOME": folder})


def _home() -> Path | None:
    """Home folder by ``$HOME``, or without it by the system's list of users."""
    home = os.environ.get("HOME", os.path.expanduser("~"))
    return Path(home) if os.path.isabs(home) else None


def _users_folder() -> Path | None:
    """Folder for caches of this user."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):  # the specification says to ignore others
        return Path(given)
    home = _home()
    if home is None:
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def _can_be_made(folder: Path) -> bool:
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    return os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK)
