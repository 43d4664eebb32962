"""The checks of all tools, and the page that lists their results."""

import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from thresher.sim.toolchain import verilator_version

from . import four_states, lint, structure
from .designs import DESIGNS, Design

__all__ = ["CHECKS", "PAGE", "Check", "page", "run_named"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """What a tool says about a design.

    Attributes
    ----------
    name : str
        Heading of its column.
    version : function
        Version of the tool, or None if it is not installed.
    run : function of a design and the path of its Verilog
        Raises AssertionError or ThresherError if something is wrong.
    """

    name: str
    version: Callable[[], str | None]
    run: Callable[[Design, Path], None]


CHECKS = (
    Check(name="Icarus", version=lint.icarus_version, run=lint.check_icarus),
    Check(name="four states", version=lint.icarus_version, run=four_states.check_four_states),
    Check(name="Verilator", version=verilator_version, run=lint.check_verilator),
    Check(name="old Verilator", version=lint.old_verilator_version, run=lint.check_old_verilator),
    Check(name="slang", version=lint.slang_version, run=lint.check_slang),
    Check(name="Yosys", version=structure.yosys_version, run=structure.check_yosys),
)

PAGE = Path(__file__).parents[2] / "docs" / "tools.md"
HEAD = """# Emitted Verilog under other tools

`make cross-check` gives the Verilog of all presets on all buses, and of twenty random configurations, to the tools
below. It writes this page. [Simulation](simulation.md#other-tools) says what each tool checks, and which warnings are
waived. `make test` does the same with the smallest designs.

A number is the run time in seconds, on a machine that was busy with other work. Rows can come from several runs,
because `python -m tests.tools --only TEXT` repeats some designs.

"""
MISSING = "not installed"


def _run_checks(design: Design, folder: Path) -> dict[str, str]:
    """Emit a design, and run all tools that are installed.

    Returns
    -------
    dict
        For each check, the seconds, or ``failed`` and the first line of the reason.
    """
    verilog = design.write(folder)
    found = {}
    for check in CHECKS:
        if check.version() is None:
            found[check.name] = MISSING
            continue
        begun = time.monotonic()
        try:
            check.run(design, verilog)
        except Exception as error:
            traceback.print_exc()
            found[check.name] = "failed: " + " ".join(str(error).split()).replace("|", "/")[:80]
        else:
            found[check.name] = f"{time.monotonic() - begun:.1f}"
    return found


def run_named(name: str) -> dict[str, str]:
    """Results of all checks for the design of this name, in a folder of its own."""
    design = next(each for each in DESIGNS if each.name == name)
    with tempfile.TemporaryDirectory() as folder:
        return _run_checks(design, Path(folder))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def page(results: Mapping[str, Mapping[str, str]], before: str = "") -> str:
    """The page, from the results of designs by name. Those of other designs are those of the page ``before``."""
    rows = {line.split("|")[1].strip(): f"{line}\n" for line in before.splitlines() if line.startswith("|")}
    for name, cells in results.items():
        rows[name] = _row([name, *(cells[check.name] for check in CHECKS)])
    headings = ["design", *(f"{check.name} {check.version() or ''}".strip() for check in CHECKS)]
    lines = [_row(headings), "|---" * len(headings) + "|\n"]
    return HEAD + "".join([*lines, *(rows[each.name] for each in DESIGNS if each.name in rows)])
