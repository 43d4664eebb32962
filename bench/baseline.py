"""Comparison of measured rows with the committed ones."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["compare"]

Row = dict[str, Any]


def compare(
    path: Path,
    rows: Sequence[Row],
    *,
    place: Callable[[Row], tuple[Any, ...]],
    fields: Sequence[str],
    order: Callable[[Row], Any],
    write: bool,
) -> int:
    """Print how rows differ from the committed ones.

    Parameters
    ----------
    place : function
        Key of a row.
    fields : sequence of str
        Figures that are compared exactly.
    order : function
        Sort key of the committed rows.
    write : bool
        Replace the committed rows, unless a row is not bit-exact.

    Returns
    -------
    int
        Exit code: 1 if a row is not bit-exact or, without ``write``, differs.
    """
    known = {place(row): row for row in json.loads(path.read_text())} if path.exists() else {}
    bad = [row for row in rows if not row["bit_exact"]]
    for row in bad:
        print(f"not bit-exact: {place(row)}")
    changed = 0
    for row in rows:
        before = known.get(place(row))
        for field in fields:
            if before is None or before[field] != row[field]:
                changed += 1
                print(f"{place(row)} {field}: {None if before is None else before[field]} -> {row[field]}")
    if write and not bad:
        merged = {**known, **{place(row): row for row in rows}}
        path.write_text(json.dumps(sorted(merged.values(), key=order), indent=1) + "\n")
        return 0
    print("no difference" if not changed else f"{changed} differences")
    return 1 if bad or changed else 0
