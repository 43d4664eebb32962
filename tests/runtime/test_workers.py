"""Worker processes give results, and end with their parent."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children

import pytest
from thresher.runtime.workers import run_in_workers
from thresher.spec.errors import ThresherError

from ..processes import gone

pytestmark = pytest.mark.slow


def run(function, calls, jobs=2):
    """Results in the order of the calls. New processes can import only functions of other modules."""
    found = {}
    first = {"initialise": os.umask, "arguments": (0o22,)}
    run_in_workers(function, calls, jobs=jobs, finished=lambda i, result: found.update({i: result}), **first)
    assert active_children() == []
    return [found[i] for i in range(len(found))]


def test_results_and_settings(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    calls = [("OMP_NUM_THREADS",), ("MKL_NUM_THREADS",), ("HOME",)]
    assert run(os.getenv, calls) == ["1", "1", os.environ["HOME"]]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_an_error_ends_the_other_workers():
    begun = time.monotonic()
    with pytest.raises(TypeError):
        run(time.sleep, [("now",), (100,)])
    assert time.monotonic() - begun < 30
    assert active_children() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_dies(number):
    begun = time.monotonic()
    with pytest.raises(ThresherError, match=r"^a worker process died, .*: try with one job$"):
        run(signal.raise_signal, [(number,)] * 4)
    assert time.monotonic() - begun < 30


PARENT = """
import os, sys, time
from multiprocessing import active_children
from thresher.runtime import workers
wait = workers.wait
def told(*arguments, **settings):
    print(*(child.pid for child in active_children()), flush=True)
    return wait(*arguments, **settings)
workers.wait = told
if __name__ == "__main__":
    workers.run_in_workers(
        time.sleep, [(100,), (100,)], jobs=2, initialise=os.umask, arguments=(0,), finished=lambda *_: None
    )
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT, encoding="utf-8")
    command = [sys.executable, "-P", str(tmp_path / "parent.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(1)
        parent.kill()
    assert len(pids) == 2
    assert all(map(gone, pids))
