"""The page with the results of fuzzing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGE", "Row", "page", "rows"]

PAGE = Path(__file__).parents[2] / "docs" / "fuzzing.md"

HEAD = """# Fuzzing

Every reader of files and of bytes from a board runs under a coverage-guided fuzzer,
[Atheris](https://github.com/google/atheris). The fuzzer changes valid inputs. If a changed input reaches new code, the
fuzzer changes it further. Sizes and checksums of most changed inputs are correct, so the code behind these checks is
reached, too. An input is a *crash* if the reader

- raises an error that is not one of the project's, or whose message is not one line of at most 1000 characters;
- gives a warning;
- takes more than 5 seconds of processor time;
- takes more than 1 GiB of memory, not counting its libraries;
- ends the process.

Each crash is minimised and becomes a file of `tests/fuzz/seeds/`. `make test` reads these files again, with some
hundreds of changed inputs, and limits the memory of each to 64 MiB. It does not need Atheris.

Not fuzzed are files that the package makes for itself, and makes again if they are damaged (outputs of teachers, notes
of synthesis steps), netlists between two tools, and the driver in C. The library `tokenizers` may write lines of its
own to standard error before the message.

    make fuzz                                    # all readers, ten minutes each; Linux on x86-64
    make fuzz FUZZ='--reader tsv --seconds 60'   # one reader, a minute

The command writes this table. Executions, seconds and crashes found are sums over all runs so far. Edges are branches
of Python code that the last run reached. *Crashes left* are not mended yet.

| reader | what is read | executions | seconds | edges | crashes found | crashes left |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Results of a reader; ``found`` and ``left`` are numbers of crashes."""

    name: str
    what: str
    executions: int
    seconds: int
    edges: int
    found: int
    left: int


def page(results: Sequence[Row]) -> str:
    """The page with these results."""
    lines = (
        f"| `{row.name}` | {row.what} | "
        + " | ".join(f"{number:,}" for number in (row.executions, row.seconds, row.edges, row.found, row.left))
        + " |\n"
        for row in results
    )
    return HEAD + "".join(lines)


def rows(text: str) -> dict[str, Row]:
    """The results on a page, by the name of the reader."""
    found = {}
    for name, what, *cells in re.findall(r"^\| `(\w+)` \| (.*?)" + r" \| ([\d,]+)" * 5 + r" \|$", text, re.MULTILINE):
        executions, seconds, edges, crashes, left = (int(cell.replace(",", "")) for cell in cells)
        found[name] = Row(
            name=name, what=what, executions=executions, seconds=seconds, edges=edges, found=crashes, left=left
        )
    return found
