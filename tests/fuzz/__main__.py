"""Runs readers of files under a coverage-guided fuzzer, one by one, and brings the page of results up to date."""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .page import PAGE, Row, page, rows
from .reader import SEEDS
from .readers import NAMES, find
from .replay import failing

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "build" / "fuzz"
"""Logs and the inputs that reach new code. The next run begins with them."""

MEMORY = Path("/dev/shm")
"""Files are written and read faster there, on Linux."""

LOST = 10
"""Seconds of a run that are lost while the libraries are loaded, at most."""


@dataclass
class Totals:
    """What the runs of a reader have done."""

    executions: int = 0
    seconds: float = 0.0
    edges: int = 0


def _run(name: str, seconds: int, log: Path) -> Totals:
    """Run a reader. If an input kills the process, it is kept, and the run goes on with a new process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "RUST_BACKTRACE": "0"}
    end, totals = time.monotonic() + seconds, Totals()
    log.write_bytes(b"")
    while (left := int(end - time.monotonic())) > LOST:
        place, begun = log.stat().st_size, time.monotonic()
        with log.open("ab") as file, tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as files:
            command = [sys.executable, "-P", "-m", f"{__package__}.engine", name, str(left), str(log.parent), files]
            status = subprocess.run(
                command, stdout=file, stderr=file, env=environment, cwd=ROOT, check=False
            ).returncode
        text = log.read_bytes()[place:].decode("utf-8", "replace")
        totals.seconds += time.monotonic() - begun
        totals.executions += max([0, *map(int, re.findall(r"^#(\d+)\t", text, re.MULTILINE))])
        totals.edges = max([totals.edges, *map(int, re.findall(r"cov: (\d+)", text))])
        print("".join(f"  {line}\n" for line in text.splitlines() if line.startswith("FOUND")), end="", flush=True)
        if status and not _keep(name, log.parent):
            raise SystemExit(f"error: the process of {name} ended with code {status}: read {log}")
    return totals


def _keep(name: str, folder: Path) -> bool:
    """Keep the inputs that killed the process: the fuzzer leaves them in the folder. Returns whether there are some."""
    found = [path for kind in ("crash", "timeout", "oom") for path in folder.glob(f"{kind}-*")]
    (SEEDS / name).mkdir(parents=True, exist_ok=True)
    for path in found:
        kind, digest = path.name.split("-")
        path.replace(SEEDS / name / f"killed-by-{kind}-{digest[:6]}")
        print(f"  KILLED by {kind}: {digest[:6]}", flush=True)
    return bool(found)


def main() -> int:
    """Fuzz readers. Returns 1 if an input of any of them is not rejected as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--reader", metavar="NAME", choices=NAMES, nargs="+", default=list(NAMES), help=", ".join(NAMES)
    )
    parser.add_argument("--seconds", type=int, default=600, help="time of each reader")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        raise SystemExit(
            "error: fuzzing needs Atheris: run `pip install atheris` (Linux on x86-64, Python 3.11 to 3.13)"
        )
    left = 0
    for name in options.reader:
        folder = OUTPUT / name
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{name}: {options.seconds} s", flush=True)
        totals = _run(name, options.seconds, folder / "log.txt")
        crashes = failing(name)
        left += len(crashes)
        known = rows(PAGE.read_text("utf-8")) if PAGE.exists() else {}
        old = known.get(name)
        known[name] = Row(
            name=name,
            what=find(name).what,
            executions=totals.executions + (old.executions if old else 0),
            seconds=round(totals.seconds) + (old.seconds if old else 0),
            edges=totals.edges,
            found=len(list((SEEDS / name).glob("*"))),
            left=len(crashes),
        )
        PAGE.write_text(page([known[each] for each in NAMES if each in known]), "utf-8")
        print(
            f"  {totals.executions:,} executions, {totals.edges} edges, {len(crashes)} crashes left",
            *crashes,
            flush=True,
        )
    return int(left > 0)


if __name__ == "__main__":
    sys.exit(main())
