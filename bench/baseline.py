"""The committed records: reading, writing, and the comparison of measured rows with them."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["BASELINES", "compare", "known_rows", "read", "write"]

BASELINES = Path(__file__).parent / "baselines"

Row = dict[str, Any]
Place = Callable[[Row], tuple[Any, ...]]
"""Key of a row."""


def read(path: Path) -> Any:
    """A committed record."""
    return json.loads(path.read_text("utf-8"))


def write(path: Path, record: Any) -> None:
    """Write a record with one row, or one named figure, per line."""
    path.write_text(_text(record, outermost=True) + "\n", "utf-8")


def _text(value: Any, *, outermost: bool = False) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(map(_text, value)) + "\n]"
    if isinstance(value, dict):
        entries = [f"{json.dumps(name)}: {_text(entry)}" for name, entry in value.items()]
        return "{\n" + ",\n".join(entries) + "\n}" if outermost else "{" + ", ".join(entries) + "}"
    return json.dumps(value)


def known_rows(path: Path, place: Place) -> dict[tuple[Any, ...], Row]:
    """The committed rows by their keys; none if there is no record."""
    return {place(row): row for row in read(path)} if path.exists() else {}


def compare(
    path: Path,
    rows: Sequence[Row],
    *,
    place: Place,
    tolerances: Mapping[str, float],
    write_rows: bool,
) -> int:
    """Print how rows differ from the committed ones.

    Parameters
    ----------
    place : function
        Key of a row.
    tolerances : mapping of str to float
        Largest relative difference of each compared figure. A figure that was measured only once, and is ``None`` in
        the other row, does not differ.
    write_rows : bool
        Replace the committed rows, unless a row is not bit-exact. New rows come last.

    Returns
    -------
    int
        Exit code: 1 if a row is not bit-exact or, without ``write_rows``, differs.
    """
    known = known_rows(path, place)
    bad = [row for row in rows if not row.get("bit_exact", True)]
    for row in bad:
        print(f"not bit-exact: {place(row)}")
    changed = 0
    for row in rows:
        before = known.get(place(row))
        if before is None:
            changed += 1
            print(f"{place(row)}: no committed figures")
            continue
        for field, tolerance in tolerances.items():
            old, new = before[field], row[field]
            if old is not None and new is not None and abs(new - old) > tolerance * abs(old):
                changed += 1
                print(f"{place(row)} {field}: {old:,} -> {new:,}" + (f" ({new / old - 1:+.1%})" if old else ""))
    if write_rows and not bad:
        write(path, list((known | {place(row): row for row in rows}).values()))
        return 0
    print("no difference" if not changed else f"{changed} differences")
    return 1 if bad or changed else 0
