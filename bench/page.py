"""The page docs/figures.md, made from the committed records of the other benches.

    python bench/page.py            # say whether the page is current
    python bench/page.py --write    # write it

``page.md.jinja`` beside this file is its text.
"""

import argparse
import sys
from pathlib import Path

import jinja2
from baseline import BASELINES, read

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "figures.md"
RECORDS = (
    *("figures", "attention", "spmm", "synth", "accuracy", "encoder", "one_shot", "packaged_model", "pruning"),
    *("networks", "study"),
)
SETTINGS = {
    "fp32": "FP32",
    "int8": "attention alone in INT8",
    "integer": "all in integers",
    "integer_pruned": "all in integers, attention pruned",
    "random_mask": "the same, random mask",
    "integer_4_bits": "all in integers, weights of 4 bits",
    "integer_4_bits_pruned": "the same, attention pruned",
}
"""Settings of an evaluation of a whole encoder."""


def page() -> str:
    """The text of the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    environment.filters["thousands"] = lambda number: f"{number:,.0f}"
    environment.filters["share"] = lambda share, count: f"{share:.4f} ± {(share * (1 - share) / count) ** 0.5:.4f}"
    records = {name: read(BASELINES / f"{name}.json") for name in RECORDS}
    return environment.get_template("page.md.jinja").render(records, settings=SETTINGS)


def main() -> int:
    """Compare or write; 1 if the committed page is not current."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        PAGE.write_text(page(), "utf-8")
        return 0
    current = PAGE.exists() and PAGE.read_text("utf-8") == page()
    print("docs/figures.md is current" if current else "docs/figures.md is out of date: run with --write")
    return 0 if current else 1


if __name__ == "__main__":
    sys.exit(main())
