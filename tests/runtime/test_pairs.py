"""Pairs of texts, scores, and texts that are too long."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from thresher.model import load_model
from thresher.runtime.answers import answer
from thresher.runtime.backends import GoldenBackend
from thresher.runtime.classify import classify
from thresher.runtime.evaluate import evaluate
from thresher.runtime.pick import pick
from thresher.spec import AttentionConfig, ThresherError, preset

EDGE = preset("edge")
PAIRS = [("a b c", "d e"), ("a b c", "a b c"), ("h", "g f e d c"), ("c c d e", "f g"), ("b", "h h a")]


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def outputs(model, pairs):
    """(pairs, labels) outputs, with the token types of a pair written by hand."""
    found = []
    for first, second in pairs:
        ids, types = [2], [0]
        for number, text in enumerate((first, second)):
            words = ["abcdefgh".index(word) + 4 for word in text.split()] + [3]
            ids, types = ids + words, types + [number] * len(words)
        found.append(model.encoder.logits(np.array([ids]), types=np.array([types]))[0])
    return np.array(found)


def table(path, header: str, rows: Sequence[tuple[object, ...]]):
    path.write_text(header + "\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


# -- answers -----------------------------------------------------------------------------------


def test_classes_of_pairs(make_model):
    model = load_model(make_model())
    answers = classify(model, PAIRS, backend=GoldenBackend(), config=EDGE)
    expected = outputs(model, PAIRS)
    for found, pair, row in zip(answers, PAIRS, expected, strict=True):
        assert (found.text, found.text_pair) == pair
        assert found.fp32_label == model.config.labels[row.argmax()]
        assert found.fp32_confidence == pytest.approx(sigmoid(row.max() - row.min()), abs=1e-6)
        assert found.confidence == pytest.approx(found.fp32_confidence, abs=0.1)
        assert found.score is found.fp32_score is None


def test_order_and_token_types_of_a_pair_count(make_model):
    model = load_model(make_model())
    there, back, joined = (
        model.outputs_of([model.encode(text)])[0] for text in (("a b", "c d"), ("c d", "a b"), "a b [SEP] c d")
    )
    assert not np.allclose(there, back, atol=1e-3)
    assert not np.allclose(there, joined, atol=1e-3)


@pytest.mark.parametrize(("problem", "activation"), [(None, "sigmoid"), ("regression", "identity")])
@pytest.mark.parametrize("texts", [PAIRS, [first for first, _ in PAIRS]])
def test_scores(make_scorer, problem, activation, texts):
    folder = make_scorer(problem_type=problem)
    told = answer(str(folder), texts, config=EDGE, backend="golden", rho=-1.0).to_dict()
    model = load_model(folder)
    expected = np.concatenate([model.outputs_of([model.encode(text)])[:, 0] for text in texts])
    expected = sigmoid(expected) if activation == "sigmoid" else expected
    assert told["activation"] == activation
    for sentence, text, value in zip(told["sentences"], texts, expected, strict=True):
        assert (sentence["text"], sentence["text_pair"]) == (text if isinstance(text, tuple) else (text, None))
        assert sentence["label"] is sentence["confidence"] is None
        assert sentence["fp32_score"] == pytest.approx(value, abs=1e-6)
        assert sentence["score"] == pytest.approx(value, abs=0.1)
    json.dumps(told, allow_nan=False)


def test_models_without_a_head_give_no_answers(make_model):
    folder = make_model(architectures=["BertModel"], id2label=None)
    with pytest.raises(ThresherError, match="no classification head"):
        answer(str(folder), PAIRS, config=EDGE, backend="rtl", rho=0.5)


def test_token_types_that_the_model_lacks(make_model):
    from ..model.conftest import bert_tensors

    tensors = bert_tensors()
    name = "bert.embeddings.token_type_embeddings.weight"
    model = load_model(make_model(tensors | {name: tensors[name][:1]}, type_vocab_size=1))
    with pytest.raises(ThresherError, match="type 1"):
        classify(model, PAIRS, backend=GoldenBackend(), config=EDGE)


# -- evaluation --------------------------------------------------------------------------------


def test_accuracy_of_pairs(make_model, tmp_path):
    model = load_model(make_model())
    best = outputs(model, PAIRS).argmax(axis=1)
    labels = [*best[:-1], 1 - best[-1]]  # the last one is labelled wrongly
    data = table(
        tmp_path / "x.tsv", "sentence1\tsentence2\tlabel", [(*pair, n) for pair, n in zip(PAIRS, labels, strict=True)]
    )
    report = evaluate(model, "sst2", data, config=EDGE, rho=-1.0, jobs=1)
    assert (report.metric, report.examples, report.truncated) == ("accuracy", 5, 0)
    assert report.results["fp32"].score == 4 / 5
    assert report.results["fp32"].pearson is None


def test_more_than_two_classes(make_model, tmp_path):
    from ..model.conftest import bert_tensors

    tensors = bert_tensors()
    wide = np.random.default_rng(7).normal(0, 1, (3, 12)).astype(np.float32)
    tensors |= {"classifier.weight": wide, "classifier.bias": np.zeros(3, np.float32)}
    model = load_model(make_model(tensors, id2label={"0": "no", "1": "maybe", "2": "yes"}))
    rows = [(*pair, int(row.argmax())) for pair, row in zip(PAIRS, outputs(model, PAIRS), strict=True)]
    data = table(tmp_path / "x.tsv", "sentence1\tsentence2\tlabel", rows)
    assert evaluate(model, "sst2", data, config=EDGE, rho=-1.0, jobs=1).results["fp32"].score == 1
    table(data, "sentence\tlabel", [("a", 3)])
    with pytest.raises(ThresherError, match="line 2: '3' is no label from 0 to 2"):
        evaluate(model, "sst2", data, config=EDGE, rho=-1.0, jobs=1)


@pytest.mark.parametrize("problem", [None, "regression"])
@pytest.mark.parametrize("header", ["score\tsentence1\tsentence2", "sentence1\tsentence2\tlabel"])
def test_correlations_of_scores(make_scorer, tmp_path, problem, header):
    model = load_model(make_scorer(problem_type=problem))
    targets = [3.0, 0.5, 4.25, 1.0, 2.0] if header.startswith("score") else [-30.0, 0.5, 1e4, 1.0, 2.0]
    rows = [
        (target, *pair) if header.startswith("score") else (*pair, target)
        for pair, target in zip(PAIRS, targets, strict=True)
    ]
    scores = outputs(model, PAIRS)[:, 0].astype(np.float64)
    scores = scores if problem else sigmoid(scores)
    data = table(tmp_path / "x.tsv", header, rows)
    report = evaluate(model, "stsb", data, config=EDGE, rho=-1.0, jobs=1)
    fp32 = report.results["fp32"]
    assert report.activation == model.activation
    assert report.metric == "spearman"
    assert fp32.score == pytest.approx(np.asarray(spearmanr(scores, targets))[0])
    assert fp32.pearson == pytest.approx(np.asarray(pearsonr(scores, targets))[0], abs=1e-5)


def test_correlations_of_scores_of_single_texts(make_scorer, tmp_path):
    model = load_model(make_scorer())
    data = table(tmp_path / "x.tsv", "sentence\tlabel", [("a b", 0.5), ("c d e", -1), ("h", 7)])
    scores = [model.outputs_of([model.encode(text)])[0, 0] for text in ("a b", "c d e", "h")]
    fp32 = evaluate(model, "stsb", data, config=EDGE, rho=-1.0, jobs=1).results["fp32"]
    assert fp32.score == pytest.approx(np.asarray(spearmanr(scores, [0.5, -1, 7]))[0])


def test_cosine_of_embeddings_of_any_length(make_model, tmp_path):
    """Without a Normalize, embeddings have no unit length; their cosine does not depend on it."""
    folder = make_model(architectures=["BertModel"], id2label=None)
    rows = [(target, *pair) for pair, target in zip(PAIRS, (5, 1, 2.5, 0, 4), strict=True)]
    data = table(tmp_path / "x.tsv", "score\tsentence1\tsentence2", rows)
    expected = evaluate(load_model(folder), "stsb", data, config=EDGE, rho=-1.0, jobs=1).results["fp32"]
    library = "sentence_transformers.models."
    (folder / "modules.json").write_text(
        json.dumps([{"path": "", "type": f"{library}Transformer"}, {"path": "pool", "type": f"{library}Pooling"}])
    )
    (folder / "pool").mkdir()
    (folder / "pool" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    model = load_model(folder)
    lengths = np.linalg.norm(model.outputs(np.array([[2, 4, 3], [2, 9, 3]])), axis=1)
    assert not np.allclose(lengths, 1, atol=0.1)
    found = evaluate(model, "stsb", data, config=EDGE, rho=-1.0, jobs=1).results["fp32"]
    assert (found.score, found.pearson) == (pytest.approx(expected.score), pytest.approx(expected.pearson, abs=1e-5))


def test_pairs_are_calibrated_with_pairs(make_scorer, tmp_path):
    """So that the second token type is among the ranges."""
    model = load_model(make_scorer())
    data = table(tmp_path / "x.tsv", "sentence1\tsentence2\tlabel", [(*pair, i) for i, pair in enumerate(PAIRS)])
    report = evaluate(model, "stsb", data, config=EDGE, rho=-1.0, jobs=1, calibration=data)
    assert report.calibration_sentences == len(PAIRS)
    single = model.calibrate([text for pair in PAIRS for text in pair], method="min-max")
    assert model.calibrate(PAIRS, method="min-max").layers != single.layers


def test_models_and_files_must_fit(make_model, make_scorer, default_model, tmp_path):
    def run(model, task: str, header: str, row: tuple[object, ...]) -> str:
        data = table(tmp_path / "x.tsv", header, [row, (*row[:-1], 0)])
        with pytest.raises(ThresherError) as caught:
            evaluate(model, task, data, config=EDGE, rho=-1.0, jobs=1)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "use the task stsb" in run(load_model(make_scorer()), "sst2", "sentence\tlabel", ("a", 1))
    assert "one that gives one score" in run(default_model, "stsb", "sentence\tlabel", ("a", 1))
    embedder = load_model(make_model(architectures=["BertModel"], id2label=None))
    assert "needs two texts a line" in run(embedder, "stsb", "sentence\tlabel", ("a", 1))
    assert "'nan' is no number" in run(embedder, "stsb", "sentence1\tsentence2\tlabel", ("a", "b", "nan"))
    assert "the columns must be sentence, label, or sentence1, sentence2, label, sep" in run(
        default_model, "sst2", "sentence1\tlabel", ("a", 1)
    )
    assert "line 2: the text is empty" in run(default_model, "sst2", "sentence1\tsentence2\tlabel", ("a", " ", 1))


# -- truncation --------------------------------------------------------------------------------

SHORT = AttentionConfig(**{**{f: getattr(EDGE, f) for f in EDGE.__dataclass_fields__}, "max_length": 8})
LONG = "word " * 20
ROWS = [("fine", 1), (LONG, 0), ("dull", 0), (LONG + "again", 1), *[(LONG, 0)] * 6]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:3], "line 3: the text has 22 tokens, but at most 8 are possible: shorten it, or use --truncate"),
        (ROWS[:4], "lines 3, 5: 2 have up to 23 tokens, but at most 8 are possible: shorten them, or use --truncate"),
        (ROWS, "lines 3, 5, 6, 7, 8 and 3 more: 8 have up to 23 tokens, but"),
    ],
)
def test_all_lines_that_are_too_long_are_named(default_model, tmp_path, rows, message):
    data = table(tmp_path / "x.tsv", "sentence\tlabel", rows)
    attempts: list[Any] = [
        lambda: evaluate(default_model, "sst2", data, config=SHORT, rho=0.5, jobs=1),
        lambda: pick(default_model, "sst2", data, config=SHORT, target_speedup=1.1, jobs=1),
    ]
    for attempt in attempts:
        with pytest.raises(ThresherError) as caught:
            attempt()
        assert message in str(caught.value)


def test_truncated_texts_are_counted(default_model, tmp_path):
    data = table(tmp_path / "x.tsv", "sentence\tlabel", ROWS[:4])
    report = evaluate(default_model, "sst2", data, config=SHORT, rho=0.5, jobs=1, truncate=True)
    assert (report.examples, report.truncated, report.to_dict()["truncated"]) == (4, 2, 2)
    cut = table(tmp_path / "cut.tsv", "sentence\tlabel", [(" ".join(text.split()[:6]), n) for text, n in ROWS[:4]])
    same = evaluate(default_model, "sst2", cut, config=SHORT, rho=0.5, jobs=1, truncate=True)
    assert same.truncated == 0
    assert same.results == report.results
    found = pick(default_model, "sst2", data, config=SHORT, target_speedup=1.1, jobs=1, truncate=True, rhos=[0.5])
    assert found.truncated == 2


def test_the_model_limits_the_length_too(make_scorer):
    folder = make_scorer()
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 7}')
    with pytest.raises(ThresherError, match="texts 1, 3: 2 have up to 9 tokens, but at most 7 are possible"):
        answer(str(folder), [("a b c", "d e"), "a b", ("a b c", "d e f")], config=EDGE, backend="golden", rho=0.5)
    arguments: dict[str, Any] = dict(config=EDGE, backend="golden", rho=0.5, truncate=True)
    told = answer(str(folder), [("a b c", "d e"), ("a b", "c d"), ("a b c", "d e f")], **arguments).to_dict()
    assert told["truncated"] == 2
    assert [sentence["truncated"] for sentence in told["sentences"]] == [True, False, True]
    assert [sentence["tokens"] for sentence in told["sentences"]] == [7, 7, 7]
