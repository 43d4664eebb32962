"""Entries of the cache are built once, appear whole, and leave nothing when their maker is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from thresher.sim.cached import DRAFT, cached

NAME = "file"


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kind"


def write(draft: Path) -> None:
    (draft / NAME).write_text("whole")


def folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_an_entry_is_built_once(folder):
    assert cached("kind", "key", NAME, write).read_text() == "whole"
    assert cached("kind", "key", NAME, lambda draft: pytest.fail("built again")).read_text() == "whole"
    assert folders(folder) == ["key"]


def test_a_failed_build_leaves_nothing(folder):
    def fail(draft: Path) -> None:
        write(draft)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("kind", "key", NAME, fail)
    assert folders(folder) == []


def test_an_entry_that_lost_its_file_is_built_again(folder):
    cached("kind", "key", NAME, write).rename(folder / "key" / "other")
    assert cached("kind", "key", NAME, write).read_text() == "whole"


BUILD_FOR_EVER = (
    "import sys, time\n"
    "from thresher.sim.cached import cached\n"
    "def build(draft):\n"
    "    (draft / 'file').write_text('half')\n"
    "    print(flush=True)\n"
    "    time.sleep(300)\n"
    "cached('kind', sys.argv[1], 'file', build)\n"
)


def maker(key: str) -> subprocess.Popen[str]:
    """A process in the middle of a build."""
    process = subprocess.Popen([sys.executable, "-P", "-c", BUILD_FOR_EVER, key], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.slow
def test_what_killed_makers_left_is_removed_and_what_living_ones_build_stays(folder):
    (folder / f"{DRAFT}a1b2c3d4").mkdir(parents=True)  # of an earlier version
    with maker("killed") as killed, maker("same") as same, maker("living") as living:
        try:
            assert len(folders(folder)) == 3
            for process in (killed, same):
                process.send_signal(signal.SIGKILL)
                process.wait()
            assert cached("kind", "same", NAME, write).read_text() == "whole"
            assert folders(folder) == [f"{DRAFT}living", "same"]
            assert living.poll() is None
        finally:
            living.kill()
    cached("kind", "same", NAME, write)
    assert folders(folder) == ["same"]
