"""The cache folder, and homes that cannot be used."""

import os

import pytest
from thresher.spec.cache import CacheError, cache_folder, home_variables


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in ("THRESHER_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")


def without_home(monkeypatch, home: str | None) -> None:
    """Set HOME as it is, or run as a user that the system does not list."""
    if home is not None:
        monkeypatch.setenv("HOME", home)
        return
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


UNUSABLE = [None, "", "relative", "~", "./here"]


def test_places_in_order(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "thresher"
    monkeypatch.setenv("XDG_CACHE_HOME", "ignored, since it is relative")
    assert cache_folder() == tmp_path / "home" / ".cache" / "thresher"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "thresher"
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    assert list(cache_folder().iterdir()) == []
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.delenv("THRESHER_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home" / "Library" / "Caches" / "thresher"


@pytest.mark.parametrize("home", UNUSABLE)
def test_no_home(monkeypatch, tmp_path, home):
    without_home(monkeypatch, home)
    for function in (cache_folder, home_variables):
        with pytest.raises(
            CacheError, match=r"^there is no cache folder \(.*\): set THRESHER_CACHE to a folder"
        ) as told:
            function()
        assert "no home folder" in str(told.value) if home is None else repr(home) in str(told.value)
    monkeypatch.setenv("THRESHER_CACHE", "mine")
    mine = str(tmp_path / "mine")  # tests run in tmp_path
    assert str(cache_folder()) == mine
    assert home_variables() == {"HOME": mine, "XDG_CACHE_HOME": mine, "XDG_CONFIG_HOME": mine}
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_home_that_works_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "to" / "be" / "made"))
    assert home_variables() == {}
    assert list(tmp_path.iterdir()) == []


def test_a_cache_of_the_system_is_enough(monkeypatch, tmp_path):
    without_home(monkeypatch, None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert home_variables() == {"HOME": str(tmp_path / "xdg" / "thresher")}


def test_home_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    for function in (cache_folder, home_variables):
        with pytest.raises(CacheError, match=r"^cannot write the cache folder .*file/.cache/thresher .*THRESHER"):
            function()
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "own"))
    assert home_variables()["HOME"] == str(tmp_path / "own")
