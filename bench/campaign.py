"""A campaign of random tests: emitted hardware under Verilator against the golden model, bit for bit.

    python bench/campaign.py --minutes 60

A round takes all its randomness from its kind and number: a configuration, then heads, products or programs with
random stalls. It compares outputs, statistics and every byte of memory. The log keeps finished rounds, and the
committed record keeps their totals. Another run continues after both, and adds to the totals. If the sources of a kind
have changed, it starts again from round 0. The record has a digest of the sources, and lists what differed: kind, round
and message. ``--round KIND NUMBER`` repeats a round.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from baseline import BASELINES, write
from thresher.spec.errors import InputError

ROOT = Path(__file__).parent.parent
BASELINE = BASELINES / "campaign.json"
LOG = ROOT / "out" / "campaign.jsonl"
ROOMS = ("golden", "hdl", "sim", "spec")
GENERATORS = ("heads", "operands", "products", "programs", "rounds", "strategies")
"""Modules of the tests. These and the rooms decide what a round does."""
UNUSED = {
    "attention": ("baselines", "bus", "coprocessor", "link", "spmm", "vector"),
    "product": ("attention", "baselines", "bus", "coprocessor", "link", "vector"),
    "program": ("baselines", "bus", "link"),
}
"""Folders of the rooms that the rounds of a kind do not use."""
KINDS = tuple(UNUSED)


def sources(kind: str) -> str:
    """Digest of the sources that a round of a kind depends on."""
    digest = hashlib.sha256()
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in (".py", ".cpp")]
    used = [path for path in paths if path.parent.name not in UNUSED[kind] and path.parts[-3] not in UNUSED[kind]]
    for path in sorted(used + [ROOT / "tests" / f"{name}.py" for name in GENERATORS]):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def run_round(kind: str, number: int, cache: Path | None = None) -> dict[str, Any]:
    """Run a round.

    Parameters
    ----------
    cache : Path, optional
        Folder for the compiled simulators, which are deleted after the round. By default they stay in the user's cache.

    Returns
    -------
    dict
        ``items``: heads, products or programs; a list of ``mismatches``: messages; ``seconds``.
    """
    sys.path.append(str(ROOT))
    from thresher.spec.cache import CACHE_VARIABLE
    from thresher.spec.errors import SimulationError

    from tests.rounds import checks

    own = None if cache is None else cache / str(os.getpid())
    if own is not None:
        own.mkdir(parents=True, exist_ok=True)
        os.environ[CACHE_VARIABLE] = str(own)
    start, items, mismatches = time.monotonic(), 0, []
    for count, check in checks(kind, number):
        try:
            check()
        except (AssertionError, SimulationError) as error:
            mismatches.append(" ".join(f"{type(error).__name__}: {error}".split())[:2000])
            break  # what follows may be out of step
        items += count
    if own is not None:
        for kept in ("simulators", "verilog"):
            shutil.rmtree(own / kept, ignore_errors=True)
    return {"items": items, "mismatches": mismatches, "seconds": round(time.monotonic() - start, 1)}


ROW = {"kind": (str,), "round": (int,), "items": (int,), "seconds": (int, float), "mismatches": (list,)}
TOTALS = {
    "sources": (str,),
    "rounds": (int,),
    "items": (int,),
    "mismatches": (list,),
    "processor_minutes": (int, float),
    "next": (int,),
}


def _is_sound(row: dict[str, Any], fields: dict[str, tuple[type, ...]]) -> bool:
    return all(type(row.get(name)) in kinds for name, kinds in fields.items())


def known_totals(path: Path, states: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Totals of each kind in a record. A kind whose sources have changed since has zeros.

    Raises
    ------
    InputError
        The file is no record.
    """
    none = {"rounds": 0, "items": 0, "mismatches": [], "processor_minutes": 0.0, "next": 0}
    try:
        record = json.loads(path.read_text("utf-8")) if path.exists() else {}
        same = [kind for kind, state in states.items() if kind in record and record[kind]["sources"] == state]
        known = {kind: record[kind] for kind in same}
        if not all(_is_sound(totals, TOTALS) for totals in known.values()):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{str(path)!r} is no record of a campaign: remove it, or choose another --output") from None
    return {kind: known.get(kind, none) for kind in states}


class Log:
    """Finished rounds of these sources that are not in the record.

    Parameters
    ----------
    path : Path
        A line of JSON per round.
    record : Path
        Totals of earlier campaigns. ``next`` is the first round of each kind that is not in them.
    """

    def __init__(self, path: Path, record: Path):
        self._path, self.states = path, {kind: sources(kind) for kind in KINDS}
        self.before = known_totals(record, self.states)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            text = path.read_text("utf-8") if path.exists() else ""
            whole = text[: text.rfind("\n") + 1]  # a run that was killed may have left half a line
            rows = map(json.loads, whole.splitlines())
            self.rows = [row for row in rows if row["sources"] == self.states[row["kind"]]]
            if not all(_is_sound(row, ROW) for row in self.rows):
                raise ValueError
            self.rows = [row for row in self.rows if row["round"] >= self.before[row["kind"]]["next"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{str(path)!r} is damaged: remove it, or choose another --log") from None
        if whole != text:
            path.write_text(whole, "utf-8")

    def add(self, kind: str, number: int, result: dict[str, Any]) -> None:
        """Keep the result of a round."""
        row = {"sources": self.states[kind], "kind": kind, "round": number, **result}
        self.rows.append(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def record(self) -> dict[str, Any]:
        """Totals by kind, and what differed."""
        totals = {}
        for kind in KINDS:
            rows, before = [row for row in self.rows if row["kind"] == kind], self.before[kind]
            found = [f"round {row['round']}: {text}" for row in rows for text in row["mismatches"]]
            totals[kind] = {
                "sources": self.states[kind],
                "rounds": before["rounds"] + len(rows),
                "items": before["items"] + sum(row["items"] for row in rows),
                "mismatches": before["mismatches"] + found,
                "processor_minutes": round(before["processor_minutes"] + sum(row["seconds"] for row in rows) / 60, 1),
                "next": max([before["next"], *(row["round"] + 1 for row in rows)]),
            }
        return totals


def executor(scheduler: str | None, jobs: int) -> Executor:
    """Processes of this machine, or the workers of a Dask cluster, which need this folder under the same path."""
    if scheduler is None:
        return ProcessPoolExecutor(jobs)
    from distributed import Client

    return Client(scheduler).get_executor()


def todo(log: Log, kinds: list[str]) -> Iterator[tuple[str, int]]:
    """Rounds that are not finished, the kinds in turn."""
    known = {(row["kind"], row["round"]) for row in log.rows}
    for step in range(10**9):
        for kind in kinds:
            number = log.before[kind]["next"] + step
            if (kind, number) not in known:
                yield kind, number


def campaign(log: Log, pool: Executor, *, minutes: float, kinds: list[str], width: int, cache: Path) -> None:
    """Run rounds until the time is over."""
    end, rounds = time.monotonic() + 60 * minutes, todo(log, kinds)
    running: dict[Future[dict[str, Any]], tuple[str, int]] = {}
    while True:
        while len(running) < width and time.monotonic() < end:
            kind, number = next(rounds)
            running[pool.submit(run_round, kind, number, cache)] = kind, number
        if not running:
            return
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            kind, number = running.pop(done)
            result = done.result()
            log.add(kind, number, result)
            total = sum(each["items"] for each in log.record().values())
            left = max(0.0, end - time.monotonic()) / 60
            print(
                f"{kind} {number}: {result['items']:,} in {result['seconds']:.0f} s",
                f"{total:,} in all, {left:.0f} minutes left",
                *result["mismatches"],
                sep="; ",
                flush=True,
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="rounds at a time")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, such as tcp://host:8786")
    parser.add_argument("--round", nargs=2, metavar=("KIND", "NUMBER"), help="only repeat this round")
    parser.add_argument("--log", type=Path, default=LOG)
    parser.add_argument("--output", type=Path, default=BASELINE)
    arguments = parser.parse_args()
    if arguments.round:
        result = run_round(arguments.round[0], int(arguments.round[1]))
        print(json.dumps(result, indent=1))
        return bool(result["mismatches"])
    try:
        log = Log(arguments.log, arguments.output)
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
    with tempfile.TemporaryDirectory() as folder, executor(arguments.scheduler, arguments.jobs) as pool:
        settings = {"minutes": arguments.minutes, "kinds": arguments.kinds, "width": arguments.jobs}
        campaign(log, pool, cache=Path(folder), **settings)
    record = log.record()
    write(arguments.output, record)
    return any(record[kind]["mismatches"] for kind in KINDS)


if __name__ == "__main__":
    raise SystemExit(main())
