"""Output files: all are written or none, and errors name them."""

import os
import signal
from pathlib import Path

import pytest
from thresher.spec import processes
from thresher.spec.files import OutputError, check_writable, make_folder, write_whole
from thresher.spec.processes import Interrupted, interruptible


def test_old_files_are_replaced(tmp_path):
    first, second = tmp_path / "deep" / "down" / "first", tmp_path / "second"
    second.write_bytes(b"old")
    assert write_whole({first: b"1", second: b""}) == (first, second)
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "down", "first", "second"]


def test_files_with_their_content_are_not_touched(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_whole({first: b"1", second: b"2"})
    before = first.stat()
    assert write_whole({first: b"1", second: b"3"}) == (second,)
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert second.read_bytes() == b"3"


def test_check_leaves_no_trace(tmp_path):
    check_writable(tmp_path / "deep" / "down" / "file", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "folder': it is a folder"),
        ("file/x", "x': .*file' is a file, name a folder"),
        ("file/deep/x", "x': .*file' is a file, name a folder"),
        ("x" * 300, r"xx' \(File name too long\)"),
    ],
)
def test_obstacles_are_named(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=message):
        check_writable(tmp_path / "good", tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_folders_are_made(tmp_path):
    make_folder(tmp_path / "deep" / "down")
    make_folder(tmp_path / "deep" / "down")
    assert list((tmp_path / "deep" / "down").iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match=r"cannot write '.*file.*' \(.*\): choose another output"):
            make_folder(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_folder_without_write_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        check_writable(tmp_path / "deep" / "x")


def test_failed_write_keeps_all_old_files(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    write_whole({first: b"old", second: b"old"})
    honest = Path.write_bytes

    def fail(path: Path, content: bytes) -> int:
        if "second" in path.name:
            honest(path, content[:1])
            raise OSError(28, "No space left on device", str(path))
        return honest(path, content)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OutputError, match=r"second' \(No space left on device\)") as caught:
        write_whole({first: b"new", second: b"new"})
    assert f".{second.name}." not in str(caught.value)
    assert (first.read_bytes(), second.read_bytes()) == (b"old", b"old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_a_signal_leaves_old_files_or_new_ones(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    write_whole({first: b"old", second: b"old"})

    def interrupting(method):
        def call(path: Path, argument):
            result = method(path, argument)
            signal.raise_signal(signal.SIGTERM)
            return result

        return call

    for name, content in (("write_bytes", b"old"), ("replace", b"new")):
        monkeypatch.setattr(processes, "_handler", processes._Handler())
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, interrupting(getattr(Path, name)))
            with pytest.raises(Interrupted), interruptible():
                write_whole({first: b"new", second: b"new"})
        assert (first.read_bytes(), second.read_bytes()) == (content, content)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]
