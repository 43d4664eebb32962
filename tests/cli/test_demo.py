"""``thresher demo`` on small hardware, whose simulator is built in less time than that of ``edge``."""

import dataclasses
import json
from pathlib import Path

import pytest
from thresher.cli import demo
from thresher.spec import PRESETS

from .runner import invoke, refused


@pytest.mark.slow
def test_demo_runs_on_hardware_and_draws(monkeypatch, tmp_path):
    small = dataclasses.replace(PRESETS["tiny"], max_length=32, max_head_dim=64, lanes=8, predictor_lanes=16)
    monkeypatch.setattr(demo, "configuration", lambda *_: small)
    monkeypatch.setattr(demo, "SENTENCES", demo.SENTENCES[:4])
    result = invoke("demo", "--unit", "attention", "-o", tmp_path / "new" / "out", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["bit_exact"] is True
    assert len(told["sentences"]) >= 3
    for sentence in told["sentences"]:
        assert sentence["label"] == sentence["fp32_label"]
        assert sentence["cycles"] > 0
        assert len(sentence["heads"]) == 4
    assert Path(told["picture"]).read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in (tmp_path / "new" / "out").iterdir()] == ["attention.png"]


@pytest.mark.slow
def test_demo_runs_the_whole_encoder(tmp_path):
    result = invoke("demo", "--preset", "tiny", "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["bit_exact"] is True
    assert (len(told["answers"]), told["weights"]) == (4, "csr-delta keep")
    assert sum(answer["label"] == answer["fp32_label"] for answer in told["answers"]) >= 3
    assert 3 < told["speedup"] == told["dense_cycles"] / sum(each["cycles"] for each in told["programs"]) < 5
    assert Path(told["picture"]).read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["timeline.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--unit", "attention", "--weight-sparsity", 0.5], "--unit coprocessor"),
        (["--weight-sparsity", 1.5], "sparsity"),
        (["--rho", 1], "below 1"),
    ],
)
def test_bad_options(options, message, tmp_path):
    assert message in refused("demo", "--preset", "tiny", "-o", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()
