"""All faults, and the page that lists them."""

from collections.abc import Mapping
from pathlib import Path

from . import buses, frames, heads, images, products, programs, vectors
from .fault import Fault

__all__ = ["FAULTS", "PAGE", "listed", "page"]

FAULTS: list[Fault] = [
    *heads.FAULTS,
    *products.FAULTS,
    *vectors.FAULTS,
    *programs.FAULTS,
    *buses.FAULTS,
    *frames.FAULTS,
    *images.FAULTS,
]

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
HEAD = """# Faults

What happens after a fault of a command, of data, of a bus or of a line. Each fault is injected into the simulated
hardware, in as many places as the last column says. The answer is the one that [streams.md](streams.md),
[coprocessor.md](coprocessor.md), [registers.md](registers.md), [buses.md](buses.md) and [boards.md](boards.md) promise.
The job after the fault is compared with the golden model, byte for byte.

`python -m tests.faults --write` injects all faults and writes this page. The tests in `tests/faults` inject them, too.
The configurations are the smallest presets. Random places have a fixed seed. Packets of a wrong length are in
[streams.md](streams.md#packets-of-operands), and `tests/hdl/test_packets.py` tests them.

| object | fault | answer | afterwards | cases |
|---|---|---|---|---|
"""


def page(cases: Mapping[tuple[str, ...], int]) -> str:
    """The page, with the numbers of cases by the cells of the rows."""
    rows = (f"| {' | '.join(fault.cells)} | {cases[fault.cells]:,} |\n" for fault in FAULTS if fault.cells in cases)
    return HEAD + "".join(rows)


def listed(text: str) -> dict[tuple[str, ...], int]:
    """Number of cases of each row of the page, by the other cells."""
    found = {}
    for line in text.removeprefix(HEAD).splitlines():
        *cells, cases = (cell.strip() for cell in line.split("|")[1:-1])
        found[tuple(cells)] = int(cases.replace(",", ""))
    return found
