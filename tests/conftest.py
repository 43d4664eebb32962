"""Settings of every test run."""

import gc
import os

# Before NumPy is loaded, and as the command line does: tests run side by side, and threads would only contend.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine and run, however slow or busy it is: a failure here is a failure everywhere.
# print_blob shows the seed.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("repeatable")

# Simulated designs are made of many small objects that live for a whole test.
gc.set_threshold(100_000, 20, 20)


def pytest_collection_finish():
    """Let the garbage collector skip what lives until the end: the modules and the tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _writes_stay_out_of_the_tree(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """What a test writes to "the current folder" lands in its own temporary one."""
    monkeypatch.chdir(tmp_path)


UNITS = {"attention", "spmm", "vector", "coprocessor", "link"}


def _simulates_a_unit(item: pytest.Item) -> bool:
    """Whether a test runs the hardware of a unit for long. Each unit has a short run, ``test_few_…``, for every day."""
    folders = item.path.relative_to(item.config.rootpath).parts
    return folders[:2] == ("tests", "hdl") and folders[2] in UNITS and not item.name.startswith("test_few_")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]):
    """Let each worker start with its share of the slow tests, so that all workers finish at nearly the same time.

    At first pytest-xdist gives each worker one contiguous part of the list.
    """
    for item in items:
        if _simulates_a_unit(item):
            item.add_marker(pytest.mark.slow)
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    slow = [item for item in items if item.get_closest_marker("slow") is not None]
    fast = [item for item in items if item.get_closest_marker("slow") is None]
    items[:] = [
        item
        for worker in range(workers)
        for part in (slow, fast)
        for item in part[len(part) * worker // workers : len(part) * (worker + 1) // workers]
    ]
