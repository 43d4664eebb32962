"""One reader under Atheris, in a process of its own.

Inputs that make the reader fail are minimised and kept, one for each place of failure, and the run goes on. Only what
kills the process ends it: an input without an end, memory without a limit, or a crash of a library.
"""

import hashlib
import importlib
import re
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from .trees import removals

if TYPE_CHECKING:  # it loads the package, which must be instrumented
    from .reader import FuzzReader

__all__ = ["fuzz"]

MEMORY_MIB = 1024
"""Memory that a reader may take beside that of its libraries."""
KILL_SECONDS = 25
INSTRUMENTED = ["thresher", "PIL", "tests"]
MINIMISING = 8
"""Seconds for making an input smaller."""


def _place(error: BaseException) -> tuple[str, str, int]:
    """Kind and place of a failure: the last line of this project that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    here = str(Path(__file__).parent)
    own = [frame for frame in frames if "site-packages" not in frame.filename and not frame.filename.startswith(here)]
    frame = (own or frames)[-1]
    return type(error).__name__, f"{Path(frame.filename).stem}-{frame.name}", frame.lineno or 0


def _limit_memory() -> None:
    """Refuse memory beyond the limit, instead of swapping."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_MIB * (1 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


class Findings:
    """Failures by place, the smallest input of each, in the folder of the seeds."""

    def __init__(self, reader: "FuzzReader", folder: Path, seeds: Path):
        self._reader, self._folder, self._seeds = reader, folder, seeds / reader.name
        self.places: dict[tuple[str, str, int], int] = {}
        self._paths: dict[tuple[str, str, int], Path] = {}

    def failure(self, data: bytes) -> BaseException | None:
        """What the reader raises, if it should not."""
        try:
            self._reader.check(data, self._folder)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a library written in Rust panics with one
            return error
        finally:
            for path in self._folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return None

    def run(self, data: bytes) -> None:
        """Read an input, and keep it if it fails where none has failed before, or none so small."""
        error = self.failure(data)
        if error is None:
            return
        place = _place(error)
        if len(data) >= self.places.get(place, 1 << 62):
            return
        new = place not in self.places
        if new:
            data = self._smaller(data, place)
        self.places[place] = len(data)
        name = re.sub(r"[^a-z0-9]+", "-", f"{place[0]}-{place[1]}".lower()).strip("-")
        path = self._seeds / f"{name}-{hashlib.sha256(data).hexdigest()[:6]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if place in self._paths and self._paths[place] != path:
            self._paths[place].unlink(missing_ok=True)
        self._paths[place] = path
        if new:
            text = " ".join(str(error).split())[:200]
            print(
                f"FOUND {place[0]} in {place[1]} line {place[2]}: {text} ({path.name}, {len(data)} bytes)",
                file=sys.stderr,
            )
            traceback.print_exception(error, limit=-4)

    def _smaller(self, data: bytes, place: tuple[str, str, int]) -> bytes:
        """A smaller input with the same failure."""
        end = time.monotonic() + MINIMISING

        def same(candidate: bytes) -> bool:
            error = self.failure(candidate)
            return error is not None and _place(error) == place

        def more() -> bool:
            return time.monotonic() < end

        return _shrunk_bytes(_shrunk_tree(data, self._reader, same, more), same, more)


def _shrunk_tree(data: bytes, reader: "FuzzReader", same: Callable[[bytes], bool], more: Callable[[], bool]) -> bytes:
    found = reader.split is not None
    while found and more():
        found = False
        try:
            candidates = [reader.join(tree) for tree in removals(reader.split(data))] if reader.split else []
        except Exception:
            return data
        for candidate in sorted(candidates, key=len):
            if more() and len(candidate) < len(data) and same(candidate):
                data, found = candidate, True
                break
    return data


def _shrunk_bytes(data: bytes, same: Callable[[bytes], bool], more: Callable[[], bool]) -> bytes:
    size = len(data) // 2
    while size and more():
        for start in range(0, len(data), size):
            candidate = data[:start] + data[start + size :]
            if more() and same(candidate):
                data = candidate
                break
        else:
            size //= 2
    return data


def fuzz(name: str, seconds: int, output: Path, folder: Path) -> None:
    """Run a reader for so many seconds. It does not return: the fuzzer ends the process.

    Parameters
    ----------
    output : Path
        Folder for inputs that reach new code, and for what kills the process.
    folder : Path
        For the files that the reader reads. It is empty.
    """
    atheris: Any = importlib.import_module("atheris")  # only some systems have it, and it is not typed

    with atheris.instrument_imports(include=INSTRUMENTED):
        from .reader import SEEDS
        from .readers import find

        reader = find(name)
    corpus = output / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(reader.inputs().values()):
        (corpus / f"seed-{number:04d}").write_bytes(data)
    findings = Findings(reader, folder, SEEDS)
    for data in reader.inputs().values():
        findings.run(data)
    _limit_memory()

    @atheris.instrument_func
    def one(data: bytes) -> None:
        findings.run(data)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if reader.split is None and random.random() < 0.7:
            return atheris.Mutate(data, most)
        found = reader.changed(data, random) if random.random() < 0.8 else atheris.Mutate(data, most)
        return found if len(found) <= most else atheris.Mutate(data, most)

    options = [
        f"-max_total_time={seconds}",
        f"-timeout={KILL_SECONDS}",
        "-rss_limit_mb=4096",
        "-max_len=65536",
        "-len_control=0",
        "-print_final_stats=1",
        f"-artifact_prefix={output}/",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz(sys.argv[1], int(sys.argv[2]), *map(Path, sys.argv[3:]))
