"""Injects all faults, or some, and writes the page that lists them on request."""

import argparse
import sys
import time

import pytest

from .table import FAULTS, PAGE, listed, page


def main() -> int:
    """Inject the faults. Returns 1 if an answer is wrong, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="only faults whose row has the text")
    parser.add_argument("--write", action="store_true", help="write docs/faults.md; keep the other rows")
    options = parser.parse_args()
    cases: dict[tuple[str, ...], int] = {}
    wrong = 0
    for fault in FAULTS:
        if options.only not in fault.name:
            continue
        begun = time.process_time()
        try:
            cases[fault.cells] = fault.inject()
        except (AssertionError, pytest.fail.Exception) as error:
            print(f"wrong: {fault.name}: {error}", flush=True)
            wrong += 1
            continue
        print(f"{time.process_time() - begun:6.1f} s  {cases[fault.cells]:6,}  {fault.name}", flush=True)
    if options.write:
        before = listed(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
        PAGE.write_text(page(before | cases), encoding="utf-8")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
