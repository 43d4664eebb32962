"""Commands that build hardware or open a board find out first what cannot run."""

import json

import pytest
from thresher.runtime import answers, attention_bench, cycle_check, prune
from thresher.sim import spmm

from ..model.conftest import bert_parameters
from .runner import refused

RUNS = {
    "rtl": ["run", "--text", "a great film", "--backend", "rtl"],
    "device": ["run", "--text", "a great film", "--device", "nowhere"],
    "demo": ["demo", "--unit", "attention"],
}


@pytest.fixture(autouse=True)
def _nothing_is_built(monkeypatch):
    def build(*_, **__):
        raise AssertionError("built, or opened")

    for module in (answers, attention_bench, cycle_check):
        monkeypatch.setattr(module, "AttentionSimulator", build)
    for module in (spmm, prune):
        monkeypatch.setattr(module, "SpmmSimulator", build)
    monkeypatch.setattr(answers.AttentionDevice, "open", build)


@pytest.mark.parametrize("command", RUNS)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "tiny"], ["64 dimensions", "at most 8", "raise max_head_dim with --config"]),
        (["--rho", "1"], ["--rho=1.0", "below 1"]),
        (["--rho", "nan"], ["rho=nan"]),
    ],
)
def test_heads_and_thresholds_that_do_not_fit(command, options, words, tmp_path):
    line = refused(*RUNS[command], *options)
    assert all(word in line for word in words), line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["rtl", "device"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tau", "-1"], ["tau=-1.0"]),
        (["--text", "word " * 300], ["302 tokens", "256", "shorten"]),
        (["--text", ""], ["empty"]),
    ],
)
def test_texts_and_head_thresholds_that_do_not_fit(command, options, words):
    line = refused(*RUNS[command], *options)
    assert all(word in line for word in words), line


@pytest.mark.parametrize("command", ["rtl", "device"])
def test_models_without_classes(command, model):
    (model / "config.json").write_text(json.dumps(bert_parameters(architectures=["BertModel"])), encoding="utf-8")
    assert "no classification head" in refused(*RUNS[command], "--model", model)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["bench", "attention", "--preset", "tiny", "--length", 17, "--head-dim", 8], "length=17"),
        (["bench", "attention", "--preset", "tiny", "--length", 16, "--head-dim", 9], "--head-dim=9"),
        (["bench", "attention", "--sparsity", 1], "sparsity=1.0"),
        (["bench", "spmm", "--preset", "tiny", "--rows", 10**6], "rows=1000000"),
        (["bench", "spmm", "--tokens", 10**6], "tokens=1000000"),
        (["bench", "spmm", "--sparsity", 1], "sparsity=1.0"),
        (["bench", "spmm", "--picture", "x.pdf"], "picture"),
        (["prune", "--format", "csr", "--rtl", "--tokens", 10**6, "-o", "out"], "tokens=1000000"),
        (["prune", "--format", "csr", "--rtl", "--sparsity", 2, "-o", "out"], "sparsity=2.0"),
    ],
)
def test_benches(arguments, word, tmp_path):
    assert word in refused(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_pick(tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text("sentence\tlabel\ngood\t1\n", encoding="utf-8")
    common = ["pick", "--rtl", "--task", "sst2", "--data", data, "--target-speedup"]
    assert "64 dimensions" in refused(*common, 1.5, "--preset", "tiny")
    assert "--target-speedup=0.0" in refused(*common, 0)
