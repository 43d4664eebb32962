"""Reads the committed inputs of a reader again, in a process that an input may kill."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .reader import SEEDS
from .readers import find

__all__ = ["failing"]

ROOT = Path(__file__).parents[2]
PATIENCE = 120
"""Seconds for an input and the start of a process."""


def failing(name: str) -> list[str]:
    """Names of the committed inputs that a reader does not reject as it should.

    Inputs are read one by one, each in a process of its own, only if reading all of them in one process fails.
    """
    paths = sorted((SEEDS / name).glob("*"))
    if not paths or _reads(name, paths):
        return []
    return [path.name for path in paths if not _reads(name, [path])]


def _reads(name: str, paths: list[Path]) -> bool:
    command = [sys.executable, "-P", "-m", __spec__.name, name, *map(str, paths)]
    limit = PATIENCE + len(paths)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RUST_BACKTRACE": "0"}
    try:
        run = subprocess.run(command, capture_output=True, cwd=ROOT, env=environment, timeout=limit, check=False)
        return run.returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _main() -> None:
    reader = find(sys.argv[1])
    for path in map(Path, sys.argv[2:]):
        with tempfile.TemporaryDirectory() as folder:
            reader.check(path.read_bytes(), Path(folder))


if __name__ == "__main__":
    _main()
