"""Evaluation on small files: figures, reproducibility, and bad files."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from thresher.model import calibration_sentences, load_model
from thresher.model.datasets import read_dataset
from thresher.runtime.evaluate import evaluate
from thresher.runtime.passes import Setting, run_settings
from thresher.spec import ThresherError, preset

EDGE = preset("edge")
EXAMPLES = (
    ("a wonderful , moving film .", 1),
    ("i loved every minute of it .", 1),
    ("dull", 0),
    ("the worst two hours of my life .", 0),
    ("boring , predictable and badly acted .", 0),
    ("one of the best films of the year .", 1),
    ("this is a great film", 0),  # labelled wrongly, so that the accuracy is not 1
    ("awful", 0),
)


@pytest.fixture
def sst2(tmp_path):
    path = tmp_path / "sst2.tsv"
    path.write_text("sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in EXAMPLES))
    return path


@pytest.fixture
def stsb(tmp_path):
    path = tmp_path / "stsb.tsv"
    rows = ("5.000\ta b c\ta b c", "3.2\ta b c\ta b d", "1\tc c d e\tf g", "0\ta\tb h h")
    path.write_text("score\tsentence1\tsentence2\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def embedder(make_model):
    return load_model(make_model(architectures=["BertModel"], id2label=None))


def test_sst2(default_model, sst2):
    seen = []
    report = evaluate(
        default_model,
        "sst2",
        sst2,
        config=EDGE,
        rho=0.45,
        random_mask=True,
        jobs=1,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (8, 8)
    assert (report.examples, report.metric, report.calibration_sentences) == (8, "accuracy", 64)
    assert list(report.results) == ["fp32", "int8", "pruned", "random_mask"]
    fp32, int8, pruned, control = report.results.values()
    assert fp32.score == int8.score == 7 / 8
    assert fp32.change == int8.change == 0
    assert fp32.block_sparsity == int8.block_sparsity == 0
    assert 0.3 < pruned.block_sparsity < 0.95
    assert control.block_sparsity == pytest.approx(pruned.block_sparsity, abs=0.05)
    assert pruned.change == pruned.score - fp32.score
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["results"]["fp32"]["score"] == 7 / 8


def test_processes_and_seeds_reproduce(default_model, sst2):
    arguments: dict[str, Any] = dict(config=EDGE, rho=0.3, random_mask=True, seed=3)
    alone = evaluate(default_model, "sst2", sst2, jobs=1, **arguments)
    shared = evaluate(default_model, "sst2", sst2, jobs=2, **arguments)
    assert alone.results == shared.results


def test_random_masks_follow_the_seed(default_model):
    tokens = [default_model.encode(text) for text, _ in EXAMPLES]
    scales = default_model.calibrate(calibration_sentences())
    settings = [Setting(config=EDGE, rho=0.5, seed=seed) for seed in (1, 1, 2)]
    first, same, other = run_settings(default_model, tokens, settings, scales, jobs=1)
    assert np.array_equal(first.outputs, same.outputs)
    assert not np.array_equal(first.outputs, other.outputs)


def test_outputs_come_back_in_order(default_model):
    tokens = [default_model.encode(text) for text, _ in EXAMPLES]
    scales = default_model.calibrate(calibration_sentences())
    (outcome,) = run_settings(default_model, tokens, [Setting()], scales, jobs=1)
    for row, text in zip(outcome.outputs, tokens, strict=True):
        assert row == pytest.approx(default_model.outputs(np.array([text.ids]))[0], abs=1e-5)


def test_stsb(embedder, stsb):
    config = preset("edge", policy="hdp")
    report = evaluate(embedder, "stsb", stsb, config=config, rho=0.0, jobs=1, calibration=stsb)
    assert report.metric == "spearman"
    assert report.calibration_sentences == 8
    assert report.policy["importance"] == "abs_sum"
    assert all(-1 <= result.score <= 1 for result in report.results.values())
    assert report.results["int8"].change == pytest.approx(0, abs=0.21)  # at most neighbours of four change places
    assert evaluate(embedder, "stsb", stsb, config=config, rho=0.0, jobs=1, limit=2).examples == 2


def test_limit(default_model, sst2):
    report = evaluate(default_model, "sst2", sst2, config=EDGE, rho=0.5, limit=3, jobs=1)
    assert report.examples == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read"),
        ("", "is empty"),
        ("sentence\tlabel\n", "no example"),
        ("label\ttext\n1\tfine\n", "line 1: the columns must be sentence, label"),
        ("sentence\tlabel\nfine\t1\nfine\n", "line 3: 1 columns found, 2 expected"),
        ("sentence\tlabel\nfine\t1\tx\n", "line 2: 3 columns found, 2 expected"),
        ("sentence\tlabel\nfine\tgood\n", "line 2: 'good' is no label 0 or 1"),
        ("sentence\tlabel\nfine\t2\n", "line 2: '2' is no label"),
        ("sentence\tlabel\nfine\tnan\n", "line 2: 'nan' is no label"),
        ("sentence\tlabel\nfine\t1\n \t0\n", "line 3: the text is empty"),
        ("sentence\tlabel\n" + "word " * 300 + "\t0\n", "line 2: the text has 302 tokens, but at most 256"),
    ],
)
def test_sst2_files_that_do_not_fit(default_model, tmp_path, text, message):
    path = tmp_path / "data.tsv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ThresherError, match=message) as caught:
        evaluate(default_model, "sst2", path, config=EDGE, rho=0.5, jobs=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("score", ["", "high", "nan", "inf", "-0.1", "5.01"])
def test_stsb_scores_that_do_not_fit(tmp_path, score):
    path = tmp_path / "data.tsv"
    path.write_text(f"score\tsentence1\tsentence2\n1\ta\tb\n{score}\ta\tb\n")
    with pytest.raises(ThresherError, match=r"line 3: .* is no score from 0 to 5"):
        read_dataset(path, "stsb")


def test_file_that_is_no_text(default_model, tmp_path):
    path = tmp_path / "data.tsv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ThresherError, match="not UTF-8"):
        evaluate(default_model, "sst2", path, config=EDGE, rho=0.5)


def test_model_task_and_settings_must_fit(default_model, embedder, sst2, stsb, tmp_path):
    def run(model=default_model, task: str = "sst2", data=sst2, **changes: Any):
        return evaluate(model, task, data, **{"config": EDGE, "rho": 0.5, "jobs": 1, **changes})

    with pytest.raises(ThresherError, match="task='mnli'"):
        run(task="mnli")
    with pytest.raises(ThresherError, match="needs a model with a classification head"):
        run(model=embedder)
    with pytest.raises(ThresherError, match="needs a sentence-embedding model"):
        run(task="stsb", data=stsb)
    with pytest.raises(ThresherError, match="different scores"):
        run(model=embedder, task="stsb", data=stsb, limit=1)
    wrong: tuple[tuple[str, Any], ...] = (("limit", 0), ("jobs", 0), ("rho", 1.0), ("tau", -1.0), ("percentile", 20))
    for name, value in wrong:
        with pytest.raises(ThresherError, match=f"{name}={value}"):
            run(default_model, "sst2", sst2, **{name: value})
    with pytest.raises(ThresherError, match="cannot read"):
        run(calibration=tmp_path / "nowhere")
    with pytest.raises(ThresherError, match="64 dimensions"):
        run(config=preset("tiny"))


def test_scales_of_another_model_or_beyond_the_hardware(default_model):
    tokens = [default_model.encode("fine")]
    scales = default_model.calibrate(["fine"])
    settings = [Setting(), Setting(config=EDGE)]
    with pytest.raises(ThresherError, match="1 layers"):
        run_settings(default_model, tokens, settings, replace(scales, layers=scales.layers[:1]))
    coarse = replace(scales.layers[1], q=1.0, k=1.0)
    with pytest.raises(ThresherError, match=r"score_scale=0\.125"):
        run_settings(default_model, tokens, settings, replace(scales, layers=(scales.layers[0], coarse)))
