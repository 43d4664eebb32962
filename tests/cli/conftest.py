"""A small encoder, and a golden model that is wrong."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import save_file
from thresher.runtime import compare

from ..model.conftest import bert_parameters, bert_tensors, make_model, make_scorer, write_tokenizer

__all__ = ["make_model", "make_scorer", "model", "wrong_golden"]


@pytest.fixture
def model(tmp_path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(bert_parameters()))
    save_file(bert_tensors(), folder / "model.safetensors")
    write_tokenizer(folder / "tokenizer.json")
    return folder


@pytest.fixture
def wrong_golden(monkeypatch) -> None:
    """Make the golden model's products wrong in one bit."""
    honest = compare.sparse_product

    def other(*args, **kwargs):
        result = honest(*args, **kwargs)
        result.output[0, 0] ^= 1
        return result

    monkeypatch.setattr(compare, "sparse_product", other)
