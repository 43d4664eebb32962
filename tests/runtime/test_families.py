"""Families of encoders with attention in INT8."""

import numpy as np
import pytest
from thresher.model import Model, load_model
from thresher.model.quantise import calibrate
from thresher.runtime.answers import answer
from thresher.runtime.attention import AcceleratorAttention
from thresher.runtime.backends import GoldenBackend
from thresher.runtime.classify import classify
from thresher.runtime.evaluate import evaluate
from thresher.runtime.passes import Setting, run_settings
from thresher.runtime.pick import pick
from thresher.runtime.prune import prune_model
from thresher.spec import ThresherError, preset, spmm_preset

from ..model.test_families import CASES, CLASSIFIERS, references, write_case

BIASED = "mpnet"
CONFIG = preset("edge")


@pytest.mark.parametrize("model_type", sorted(set(CLASSIFIERS) - {BIASED}))
def test_int8_attention_is_close_to_float(model_type, tmp_path):
    name = CLASSIFIERS[model_type]
    model = load_model(write_case(tmp_path / "model", name))
    ids, types = references.inputs(CASES[name])
    scales = calibrate(model.encoder, [ids], method="min-max")
    attend = AcceleratorAttention(config=CONFIG, scales=scales, backend=GoldenBackend())
    found, expected = model.encoder.logits(ids, attend, types=types), model.encoder.logits(ids, types=types)
    assert not np.array_equal(found, expected)
    assert found == pytest.approx(expected, abs=0.1)
    (answer,) = classify(model, ["a b c"], backend=GoldenBackend(), config=CONFIG, scales=scales)
    assert answer.label in model.config.labels


@pytest.fixture
def biased(tmp_path) -> Model:
    return load_model(write_case(tmp_path / "model", CLASSIFIERS[BIASED]))


def test_a_score_bias_is_refused_before_any_work(biased, tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text("sentence\tlabel\na b\t0\nc d\t1\n")
    unread = tmp_path / "missing.tsv"
    scales = biased.calibrate(["a b c"])
    attempts = [
        lambda: classify(biased, ["a b"], backend=GoldenBackend(), config=CONFIG),
        lambda: evaluate(biased, "sst2", unread, config=CONFIG, rho=0.5),
        lambda: pick(biased, "sst2", unread, config=CONFIG, target_speedup=1.3),
        lambda: run_settings(biased, [biased.encode("a")], [Setting(), Setting(config=CONFIG)], scales, jobs=1),
        lambda: biased.outputs(
            np.array([[2, 4, 3]]), AcceleratorAttention(config=CONFIG, scales=scales, backend=GoldenBackend())
        ),
    ]
    for number, attempt in enumerate(attempts):
        with pytest.raises(ThresherError, match="adds a bias for relative positions") as caught:
            attempt()
        assert "\n" not in str(caught.value), number


@pytest.mark.parametrize("backend", ["golden", "rtl"])
def test_a_score_bias_is_refused_before_a_simulator_is_built(biased, monkeypatch, backend):
    monkeypatch.setattr("thresher.runtime.answers.AttentionSimulator", None)
    with pytest.raises(ThresherError, match="adds a bias for relative positions"):
        answer(str(biased.folder), ["a b"], config=CONFIG, backend=backend, rho=0.5)


def test_a_score_bias_does_not_hinder_float_attention_and_pruning(biased, tmp_path):
    (outcome,) = run_settings(biased, [biased.encode("a b")], [Setting()], biased.calibrate(["a b c"]), jobs=1)
    assert outcome.outputs.shape == (1, 3)
    report = prune_model(
        biased.folder, tmp_path / "out", config=spmm_preset("tiny"), weight_format="csr", sparsity=0.5, tokens=4
    )
    assert [matrix.name for matrix in report.matrices][:2] == [
        "encoder.layer.0.attention.attn.q",
        "encoder.layer.0.attention.attn.k",
    ]
