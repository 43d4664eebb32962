"""The committed cycles are those of the current hardware."""

import subprocess
import sys

import pytest

from .bench_scripts import BENCH

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["attention", "spmm"])
def test_cycles_of_the_smallest_preset(name):
    command = [sys.executable, str(BENCH / f"{name}.py"), "--preset", "tiny"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, (
        f"`python bench/{name}.py --preset tiny` says:\n{run.stdout[-2000:]}{run.stderr[-2000:]}"
    )
    assert run.stdout.endswith("no difference\n")
