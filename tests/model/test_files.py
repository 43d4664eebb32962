"""Files are written all or none, and errors name them."""

import os
from pathlib import Path

import pytest
from thresher.model.files import check_writable, write_whole
from thresher.spec import ThresherError


def test_files_replace_what_was_there(tmp_path):
    first, second = tmp_path / "deep" / "down" / "first", tmp_path / "second"
    second.write_bytes(b"old")
    write_whole({first: b"1", second: b""})
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "down", "first", "second"]


def test_a_check_leaves_no_trace(tmp_path):
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
def test_what_is_in_the_way_is_named(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ThresherError, match=message):
        check_writable(tmp_path / "good", tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_forbids(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ThresherError, match="Permission denied"):
        check_writable(tmp_path / "deep" / "x")


def test_a_draft_that_fails_leaves_every_old_file(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    write_whole({first: b"old", second: b"old"})
    honest = Path.write_bytes

    def fail(path: Path, content: bytes) -> int:
        if "second" in path.name:
            honest(path, content[:1])
            raise OSError(28, "No space left on device", str(path))
        return honest(path, content)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ThresherError, match=r"second' \(No space left on device\)") as caught:
        write_whole({first: b"new", second: b"new"})
    assert f".{second.name}." not in str(caught.value)
    assert (first.read_bytes(), second.read_bytes()) == (b"old", b"old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]
