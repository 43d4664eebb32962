"""Runs mutants of the control blocks, and writes the page that counts them.

    python -m tests.mutants --count 120

Each mutant is one small change of one module, in a copy of the repository. The tests of its block run until one fails;
if all pass, the proofs of the block run. What remains has survived. Changes that leave the hardware as it is, or that
Amaranth rejects, are no mutants. A log keeps finished mutants, so another run goes on after them.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import Queue

from .blocks import BLOCKS, Block
from .changes import Change, changes
from .explained import EXPLAINED
from .outcome import Outcome, Result
from .page import PAGE, ROOT, page

LOG = ROOT / "out" / "mutants.jsonl"
ROOMS = ("cli", "cost", "golden", "hdl", "host", "model", "runtime", "sim", "spec", "synth")
TEST_SECONDS = 120
"""A mutant with which a test takes longer is killed by it."""
TESTS_SECONDS = 1800
PROOF_SECONDS = 60
PYTEST = (
    *("-q", "-x", "-p", "no:cacheprovider"),
    *("-o", f"faulthandler_timeout={TEST_SECONDS}", "-o", "faulthandler_exit_on_timeout=true"),
)


class Copy:
    """A copy of the repository, which can be imported as ``thresher``."""

    def __init__(self, folder: Path):
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
        self.root = folder / "repository"
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        package = folder / "package" / "thresher"
        package.mkdir(parents=True)
        for name in ROOMS:
            (package / name).symlink_to(self.root / name)
        (package / "__init__.py").symlink_to(self.root / "thresher" / "__init__.py")
        self._environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(package.parent), str(self.root)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "THRESHER_CACHE": str(folder / "cache"),
        }
        self._cache = folder / "cache"
        self._cache.mkdir()

    def python(self, *arguments: str, seconds: float = TESTS_SECONDS) -> tuple[int | None, str]:
        """Run Python on the copy. Returns its exit code, or None after the time limit, and its standard output."""
        command = [sys.executable, "-P", *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, ""
        return done.returncode, done.stdout

    def clear_cache(self) -> None:
        """Forget the simulators of a mutant."""
        shutil.rmtree(self._cache)
        self._cache.mkdir()


def _judge(copy: Copy, block: Block, original: str) -> tuple[Result, str]:
    """Result of the change that the copy contains, and what noticed it."""
    code, text = copy.python("-m", "tests.mutants.design", block.room)
    if code != 0 or text == original:
        return Result.NONE, ""
    for test in dict.fromkeys(block.tests):
        code, text = copy.python("-m", "pytest", *PYTEST, test)
        if code is None:
            return Result.TESTS, f"{test}: no end"
        if code:
            failed = [line for line in text.splitlines() if line.startswith(("FAILED", "ERROR"))]
            return Result.TESTS, failed[0].split(" ")[1] if failed else test
    code, text = copy.python(
        "-m", "tests.formal", "--only", f"{block.module}.", "--seconds", str(PROOF_SECONDS), "--jobs", "1"
    )
    if code == 1:
        refuted = [line.split("REFUTED")[-1] for line in text.splitlines() if " refuted " in line]
        return Result.PROOFS, refuted[0].split(" refuted ")[-1].strip() if refuted else ""
    return Result.SURVIVED, ""


def _sample(count: int, seed: int) -> Iterator[tuple[Block, Change]]:
    """Changes of all blocks in turn, in a random order."""
    order = random.Random(seed)
    pools = {}
    for block in BLOCKS:
        found = changes((ROOT / block.path).read_text("utf-8"))
        order.shuffle(found)
        pools[block] = found
    for number in range(count):
        block = BLOCKS[number % len(BLOCKS)]
        place = number // len(BLOCKS)
        if place < len(pools[block]):
            yield block, pools[block][place]


def _run(block: Block, change: Change, original: str, copies: "Queue[Copy]") -> Outcome:
    """Try a change in a copy that is free."""
    copy, start = copies.get(), time.monotonic()
    path = copy.root / block.path
    text = path.read_text("utf-8")
    try:
        path.write_text(change.apply(text), "utf-8")
        result, by = _judge(copy, block, original)
    finally:
        path.write_text(text, "utf-8")
        copy.clear_cache()
        copies.put(copy)
    return Outcome(block.module, change.line, change.shown, change.kind, result, by, round(time.monotonic() - start, 1))


def main() -> int:
    """Run the mutants that the log lacks, and write the page. Returns 1 if a survivor lacks an explanation."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=230, help="changes; some are no mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--log", type=Path, default=LOG)
    options = parser.parse_args()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    lines = options.log.read_text("utf-8").splitlines() if options.log.exists() else []
    outcomes = [Outcome(**json.loads(line)) for line in lines]
    known = {(each.module, each.line, each.shown) for each in outcomes}
    todo = [
        (block, change)
        for block, change in _sample(options.count, options.seed)
        if (block.module, change.line, change.shown) not in known
    ]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        copies: Queue[Copy] = Queue()
        for number in range(options.jobs if todo else 0):
            copies.put(Copy(Path(folder) / str(number)))
        originals = {}
        for room in {block.room for block, _ in todo}:
            copy = copies.get()
            code, originals[room] = copy.python("-m", "tests.mutants.design", room)
            copies.put(copy)
            if code:
                raise SystemExit(f"python -m tests.mutants.design {room} fails")
        for outcome in pool.map(lambda each: _run(each[0], each[1], originals[each[0].room], copies), todo):
            outcomes.append(outcome)
            with options.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")
            print(
                f"{outcome.seconds:7.1f} s  {outcome.result:<9} {outcome.module}:{outcome.line}: {outcome.shown}",
                flush=True,
            )
    totals = Counter(each.result for each in outcomes)
    print(dict(totals))
    PAGE.write_text(page(outcomes), "utf-8")
    survivors = ((each.module, each.shown) for each in outcomes if each.result is Result.SURVIVED)
    return int(any(each not in EXPLAINED for each in survivors))


if __name__ == "__main__":
    sys.exit(main())
