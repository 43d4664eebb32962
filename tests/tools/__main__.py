"""Gives emitted Verilog to other tools, and brings the page with the results up to date."""

import argparse
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

from .designs import DESIGNS, SHORT
from .table import PAGE, page, run_named


def main() -> int:
    """Run the tools. Returns 1 if one of them finds something, otherwise 0."""
    parser = argparse.ArgumentParser(prog="make cross-check", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="designs at a time")
    parser.add_argument("--short", action="store_true", help="only the designs of `make test`")
    parser.add_argument("--only", metavar="TEXT", default="", help="only designs whose name has the text")
    options = parser.parse_args()
    chosen = [each.name for each in (SHORT if options.short else DESIGNS) if options.only in each.name]
    results: dict[str, dict[str, str]] = {}
    with ProcessPoolExecutor(
        options.jobs, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        running = {pool.submit(run_named, name): name for name in chosen}
        for done in as_completed(running):
            name = running[done]
            results[name] = done.result()
            print(f"{name}: {results[name]}", flush=True)
            before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
            PAGE.write_text(page(results, before), encoding="utf-8")
    return int(any(cell.startswith("failed") for cells in results.values() for cell in cells.values()))


if __name__ == "__main__":
    sys.exit(main())
