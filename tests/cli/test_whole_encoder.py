"""``run --unit coprocessor`` and ``bench coprocessor``: a whole encoder on the golden model and on hardware."""

import json

import numpy as np
import pytest
from thresher.model.load import calibration_sentences
from thresher.runtime.backends import GoldenBackend
from thresher.runtime.coprocessor import WholeEncoder, integer_outputs
from thresher.runtime.whole_answers import packed_runs
from thresher.spec import coprocessor_preset

from ..model.conftest import default_model, make_model
from ..runtime.test_evaluate import embedder
from .runner import invoke, refused

__all__ = ["default_model", "embedder", "make_model"]

TEXTS = ["a warm and funny film", "cold , slow and utterly pointless"]
TINY = coprocessor_preset("tiny")


def told(*arguments: object) -> dict:
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def run(*arguments: object, texts: list[str] = TEXTS) -> dict:
    options = [word for text in texts for word in ("--text", text)]
    return told("run", "--unit", "coprocessor", "--preset", "tiny", *options, *arguments)


CALIBRATION = ["an odd , small film", "nothing works here", "the best of the year"]


@pytest.mark.parametrize(
    ("options", "sentences", "settings"),
    [
        ([], calibration_sentences(), {}),
        (["--calibration", "own.txt"], CALIBRATION, {}),
        (
            ["--calibration", "own.txt", "--method", "percentile", "--percentile", 99],
            CALIBRATION,
            {"range_method": "percentile", "percentile": 99},
        ),
        (["--per-tensor"], calibration_sentences(), {"per_channel": False}),
    ],
    ids=["default", "calibration", "percentile", "per-tensor"],
)
def test_the_program_gives_what_the_golden_encoder_gives(
    default_model, tmp_path, monkeypatch, options, sentences, settings
):
    """The command compiles a program. The golden encoder computes the same without one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.txt").write_text("\n".join(CALIBRATION))
    whole = WholeEncoder(config=TINY, **settings)
    coprocessor = whole.coprocessor(default_model, sentences)
    for answer in run("--rho", 0.3, *options)["answers"]:
        ids = np.array([default_model.encode(answer["text"]).ids])
        scores, _ = integer_outputs(
            default_model, coprocessor, ids, config=TINY.attention, backend=GoldenBackend(), rho=0.3
        )
        shares = np.exp(scores[0]) / np.exp(scores[0]).sum()
        assert answer["label"] == default_model.config.labels[int(shares.argmax())]
        assert answer["confidence"] == pytest.approx(float(shares.max()), abs=1e-6)


def test_embeddings(embedder):
    (answer,) = run("--model", embedder.folder, texts=["a film"])["answers"]
    assert answer["label"] is None
    assert np.linalg.norm(answer["embedding"]) == pytest.approx(1, abs=1e-5)
    assert answer["similarity"] > 0.9


@pytest.mark.slow
def test_hardware():
    """Two texts in one run, and each alone, give the same answers; the hardware leaves the golden model's memory."""
    together = run("--backend", "rtl")
    assert together["bit_exact"] is True
    (program,) = together["programs"]
    assert program["lengths"] == [answer["tokens"] for answer in together["answers"]]
    assert program["cycles"] > program["units"]["product"]["busy"] > 0
    assert together["answers"] == run()["answers"]
    for text, answer in zip(TEXTS, together["answers"], strict=True):
        assert run(texts=[text])["answers"] == [answer]


@pytest.mark.slow
def test_bench(tmp_path):
    picture = tmp_path / "timeline.png"
    options = ["--lengths", "9,3", "--format", "csr-delta", "--weight-sparsity", 0.75, "--picture", picture]
    found = told("bench", "coprocessor", "--preset", "tiny", *options)
    assert found["bit_exact"] is True
    assert found["multipliers"] == TINY.spmm.multipliers
    assert found["utilisation"] == pytest.approx(found["weight_macs"] / (found["multipliers"] * found["cycles"]))
    assert found["speedup"] == pytest.approx(found["dense_cycles"] / found["cycles"])
    assert found["speedup"] > 2
    assert found["error"] == pytest.approx(found["estimate"] / found["cycles"] - 1)
    assert abs(found["error"]) < 0.15
    assert found["sentences_per_megacycle"] == pytest.approx(2e6 / found["cycles"])
    assert found["weight_zeros"] > 0.75
    for unit in found["units"].values():
        assert unit["starved"] <= unit["busy"] <= found["cycles"]
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_slower_memory_takes_longer():
    options = ["bench", "coprocessor", "--preset", "tiny", "--lengths", "5"]
    fast = told(*options)
    slow = told(*options, "--memory-bytes-per-cycle", 1, "--memory-latency", 100)
    assert slow["cycles"] > fast["cycles"]
    assert slow["cycles"] >= slow["bytes_read"] + slow["bytes_written"]
    assert slow["bit_exact"] is fast["bit_exact"] is True


@pytest.mark.slow
def test_weights_of_four_bits_are_faster_with_a_slow_memory():
    options = ["bench", "coprocessor", "--preset", "tiny", "--lengths", "5", "--memory-bytes-per-cycle", 1]
    wide = told(*options)
    narrow = told(*options, "--weight-bits", 4)
    assert (wide["weight_bits"], narrow["weight_bits"]) == (8, 4)
    assert narrow["cycles"] < 0.8 * wide["cycles"]
    assert narrow["bytes_read"] < 0.8 * wide["bytes_read"]
    assert wide["bit_exact"] is narrow["bit_exact"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cores", 2], "cores"),
        (["--format", "csr"], "format"),
        (["--weight-sparsity", 0.5], "weight-sparsity"),
        (["--weights", "w.safetensors"], "weights"),
        (["--weight-bits", 4], "weight-bits"),
        (["--per-tensor"], "per-tensor"),
        (["--method", "mse", "--percentile", 99], "--percentile=99.0 is not allowed: give it with --method percentile"),
        (["--percentile", 50], "--percentile=50.0 is not allowed: must be above 50"),
        (["--calibration", "missing.txt"], "missing.txt"),
        (["--unit", "coprocessor", "--percentile", 99], "give it with --method percentile"),
        (["--unit", "coprocessor", "--calibration", "missing.txt"], "missing.txt"),
        (["--unit", "coprocessor", "--weight-bits", 5], "weight-bits"),
        (["--unit", "coprocessor", "--device", "/dev/null"], "cannot open /dev/null"),
        (["--unit", "coprocessor", "--trace", "wave.vcd"], "--backend rtl"),
        (["--unit", "coprocessor", "--rho", 3], "rho"),
    ],
    ids=str,
)
def test_run_refuses(options, message):
    assert message in refused("run", "--text", "a film", *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lengths", "two"], "--lengths must be numbers"),
        (["--lengths", "65"], "from 1 to 64 tokens"),
        (["--lengths", "0"], "from 1 to 64 tokens"),
        (["--picture", "a.jpg"], "must end in .png"),
        (["--weight-sparsity", 0.5], "--format"),
        (["--weight-bits", 3], "weight-bits"),
        (["--calibration", "missing.txt"], "missing.txt"),
    ],
    ids=str,
)
def test_bench_refuses(options, message):
    assert message in refused("bench", "coprocessor", "--preset", "tiny", *options)


def test_texts_are_packed_in_their_order():
    most = min(TINY.spmm.max_tokens, TINY.vector.max_tokens)
    assert packed_runs(TINY, []) == []
    assert packed_runs(TINY, [3, most - 3]) == [[0, 1]]
    assert packed_runs(TINY, [3, most - 2, 1, 1]) == [[0], [1, 2, 3]]
    assert packed_runs(TINY, [3, 2, 4, 1, 6], lambda members: sum(members) <= 5) == [[0, 1], [2, 3], [4]]
