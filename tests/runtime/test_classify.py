"""Classification of sentences."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from thresher.model import calibration_sentences, load_model
from thresher.runtime.backends import GoldenBackend
from thresher.runtime.classify import classify
from thresher.spec import ThresherError, preset

EDGE = preset("edge")
OBVIOUS = {
    "a wonderful , moving and very funny film .": "positive",
    "i loved every minute of it .": "positive",
    "the worst two hours of my life .": "negative",
    "boring , predictable and badly acted .": "negative",
}


@pytest.mark.parametrize("rho", [-1.0, 0.45])
@pytest.mark.parametrize("policy", ["thresher", "hdp"])
def test_obvious_sentences(default_model, policy, rho):
    config = preset("edge", policy=policy)
    seen = []
    answers = classify(
        default_model,
        list(OBVIOUS),
        backend=GoldenBackend(),
        config=config,
        rho=rho,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for answer, (text, label) in zip(answers, OBVIOUS.items(), strict=True):
        assert (answer.text, answer.label, answer.fp32_label) == (text, label, label)
        assert answer.confidence == pytest.approx(answer.fp32_confidence, abs=0.03)
        assert [(head.layer, head.head) for head in answer.heads] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        assert answer.blocks == 4 * ((len(answer.tokens) + 1) // 2) ** 2
        assert answer.kept_blocks == answer.blocks if rho == -1 else 0 < answer.kept_blocks < answer.blocks
        assert answer.cycles is None
        assert answer.picture is None


def test_picture_of_one_head(default_model):
    arguments: dict[str, Any] = dict(backend=GoldenBackend(), config=EDGE, rho=0.45)
    (answer,) = classify(default_model, ["i loved every minute of it"], picture=(1, 1), **arguments)
    picture = answer.picture
    assert picture is not None
    assert picture.words == ("[CLS]", "i", "loved", "every", "minute", "of", "it", "[SEP]")
    assert (picture.layer, picture.head, picture.block, picture.pruned) == (1, 1, 2, False)
    assert picture.probabilities.shape == (8, 8)
    assert picture.probabilities.sum(axis=1) == pytest.approx(np.ones(8), abs=0.01)
    assert picture.mask.shape == (4, 4)
    assert int(picture.mask.sum()) == answer.heads[3].kept_blocks


def test_pruned_heads(default_model):
    arguments: dict[str, Any] = dict(backend=GoldenBackend(), config=EDGE, tau=1e4, picture=(0, 0))
    (answer,) = classify(default_model, ["fine"], **arguments)
    assert answer.kept_blocks == 0
    assert all(head.pruned for head in answer.heads)
    assert answer.picture is not None
    assert answer.picture.pruned
    assert not answer.picture.probabilities.any()
    assert not answer.picture.mask.any()


def test_cycles_of_a_backend_that_counts_them(default_model):
    class Hardware(GoldenBackend):
        def run(self, config, heads):
            return [(output, replace(statistics, cycles=100)) for output, statistics in super().run(config, heads)]

    (answer,) = classify(default_model, ["fine"], backend=Hardware(), config=EDGE)
    assert answer.cycles == 400
    assert answer.heads[0].cycles == 100


def test_scales_can_be_given(default_model):
    scales = default_model.calibrate(calibration_sentences()[:8], method="min-max")
    (answer,) = classify(default_model, ["a fine film"], backend=GoldenBackend(), config=EDGE, scales=scales)
    assert answer.label == "positive"


def test_refusals(default_model, make_model):
    def run(model=default_model, sentences=("fine",), **changes):
        arguments: dict[str, Any] = dict(backend=GoldenBackend(), config=EDGE) | changes
        return classify(model, sentences, **arguments)

    with pytest.raises(ThresherError, match="text is empty"):
        run(sentences=["fine", " "])
    with pytest.raises(ThresherError, match="302 tokens, but at most 256"):
        run(sentences=["word " * 300])
    with pytest.raises(ThresherError, match="64 dimensions, but this hardware takes at most 8"):
        run(config=preset("tiny"))
    with pytest.raises(ThresherError, match="picture"):
        run(picture=(2, 0))
    with pytest.raises(ThresherError, match="rho"):
        run(rho=1.0)
    with pytest.raises(ThresherError, match="no classification head"):
        run(model=load_model(make_model(architectures=["BertModel"], id2label=None)))
