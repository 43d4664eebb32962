"""Folders with the packaged model's tokenizer, changed, and what a tokenizer says about them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from thresher.model.source import DEFAULT_FOLDER
from thresher.model.tokenizer import Text, TextTokenizer
from thresher.spec import ThresherError

VOCABULARY = 30522


@pytest.fixture
def folder(tmp_path) -> Path:
    """The packaged model's tokenizer without ``tokenizer_config.json``."""
    shutil.copy(DEFAULT_FOLDER / "tokenizer.json", tmp_path)
    return tmp_path


def configure(folder: Path, name: str = "tokenizer_config.json", **settings: object) -> None:
    (folder / name).write_text(json.dumps(settings))


def change(folder: Path, function: Callable[[dict[str, Any]], object]) -> None:
    """Change the JSON of a tokenizer in place."""
    path = folder / "tokenizer.json"
    found = json.loads(path.read_text())
    function(found)
    path.write_text(json.dumps(found))


def ids(folder: Path, text: Text = "A GOOD Film", size: int = VOCABULARY, **settings: Any) -> list[int]:
    return list(TextTokenizer(folder, size, **settings).encode(text, max_length=512).ids)


def types(folder: Path, pair: tuple[str, str], size: int = VOCABULARY, **settings: Any) -> list[int]:
    return list(TextTokenizer(folder, size, **settings).encode(pair, max_length=512).types)


def refusal(folder: Path, size: int = VOCABULARY, text: Text | None = None) -> str:
    """The message about a tokenizer, or about a text."""
    with pytest.raises(ThresherError) as caught:
        _ = TextTokenizer(folder, size) if text is None else ids(folder, text, size)
    assert "\n" not in str(caught.value)
    return str(caught.value)
