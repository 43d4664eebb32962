"""Icarus Verilog, an event simulator."""

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["EDITIONS", "compile_quietly", "icarus"]

EDITIONS = ("2005", "2012")
"""Editions of the language. They differ in the time at which initial values of registers appear."""


def icarus() -> str:
    """The program ``iverilog``. Skips the test where it is not installed; no package of PyPI has it."""
    program = shutil.which("iverilog")
    if program is None:
        pytest.skip("Icarus Verilog is not installed: apt install iverilog")
    return program


def compile_quietly(*files: Path, top: str, edition: str = "2005") -> None:
    """Compile Verilog; assert that there is no warning.

    Icarus warns of a block without sensitivities, which would never drive its signal.
    """
    command = [icarus(), f"-g{edition}", "-Wall", "-t", "null", "-s", top, *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
