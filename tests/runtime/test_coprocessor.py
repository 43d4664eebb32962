"""Whole encoders in integers on small files."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from thresher.model import load_model
from thresher.model.compiler.constants import encoder_constants
from thresher.model.load import calibration_sentences
from thresher.model.pack import pack_model
from thresher.model.packed_file import write_packed
from thresher.runtime.backends import GoldenBackend
from thresher.runtime.coprocessor import Coprocessor, WholeEncoder, integer_outputs
from thresher.runtime.evaluate import evaluate
from thresher.runtime.passes import Setting, run_settings
from thresher.spec import ConfigError, InputError, WeightFormat, coprocessor_preset, preset, spmm_preset
from thresher.spec.spmm_command import FORMAT_CODES

from .test_evaluate import embedder, sst2, stsb

__all__ = ["embedder", "sst2", "stsb"]

EDGE = preset("edge")
CONFIG = coprocessor_preset("edge")
ENGINE = CONFIG.spmm
OWN = 0.8
"""Sparsity of the packaged model."""
SENTENCES = calibration_sentences()[:30]


@pytest.fixture(scope="module")
def coprocessor(default_model) -> Coprocessor:
    return Coprocessor(integer=default_model.quantise(SENTENCES), engine=ENGINE)


def outputs(model, coprocessor, texts, **settings):
    """Each text alone."""
    found = [
        integer_outputs(
            model, coprocessor, np.array([model.encode(text).ids]), config=EDGE, backend=GoldenBackend(), **settings
        )
        for text in texts
    ]
    return np.concatenate([scores for scores, _ in found]), [totals for _, totals in found]


def test_scores_are_close_to_float(default_model, coprocessor):
    found, totals = outputs(default_model, coprocessor, SENTENCES[:6])
    wanted = np.concatenate(
        [default_model.outputs(np.array([default_model.encode(text).ids])) for text in SENTENCES[:6]]
    )
    assert found == pytest.approx(wanted, abs=0.1 * float(np.abs(wanted).max()))
    assert all(each.heads == 4 and each.block_sparsity == 0 for each in totals)


def test_pruned_attention_changes_the_scores(default_model, coprocessor):
    dense, _ = outputs(default_model, coprocessor, SENTENCES[:4])
    pruned, totals = outputs(default_model, coprocessor, SENTENCES[:4], rho=0.5)
    assert not np.array_equal(dense, pruned)
    assert all(each.block_sparsity > 0.3 for each in totals)


def test_results_do_not_depend_on_batches_and_processes(default_model, coprocessor):
    tokens = [default_model.encode(text) for text in SENTENCES[:12]]
    settings = [Setting(config=EDGE, coprocessor=coprocessor, rho=0.4)]
    scales = coprocessor.integer.attention
    (together,) = run_settings(default_model, tokens, settings, scales, jobs=1)
    alone, _ = outputs(default_model, coprocessor, SENTENCES[:12], rho=0.4)
    assert np.array_equal(together.outputs, alone)


def test_evaluation(default_model, sst2):
    whole = WholeEncoder(config=CONFIG)
    report = evaluate(default_model, "sst2", sst2, config=EDGE, rho=0.4, random_mask=True, whole=whole, jobs=1)
    assert list(report.results) == ["fp32", "int8", "integer", "integer_pruned", "random_mask"]
    assert report.results["integer"].block_sparsity == 0
    pruned, random = report.results["integer_pruned"], report.results["random_mask"]
    assert pruned.block_sparsity > 0.5
    assert random.block_sparsity == pytest.approx(pruned.block_sparsity, abs=0.05)
    assert abs(report.results["integer"].change) <= 1 / 8
    assert (report.unit, report.calibration_method, report.weights) == ("coprocessor", "min-max", None)
    assert json.loads(json.dumps(report.to_dict()))["calibration_per_channel"] is True


def test_sentence_embeddings(embedder, stsb):
    whole = WholeEncoder(config=CONFIG)
    report = evaluate(embedder, "stsb", stsb, config=EDGE, rho=0.4, whole=whole, jobs=1)
    assert report.results["integer"].score == pytest.approx(report.results["fp32"].score, abs=0.4)


@pytest.mark.parametrize(
    ("weight_format", "sparsity", "reached"),
    [(WeightFormat.CSR, 0.9, 0.9), (WeightFormat.BBS, 0.5, OWN), (WeightFormat.NM, None, OWN)],
)
def test_pruned_weights(default_model, sst2, weight_format, sparsity, reached):
    whole = WholeEncoder(config=CONFIG, weight_format=weight_format, weight_sparsity=sparsity)
    report = evaluate(default_model, "sst2", sst2, config=EDGE, rho=0.4, whole=whole, limit=2, jobs=1)
    assert report.weights == ("nm by obs" if sparsity is None else f"{weight_format} {sparsity} by obs")
    integer = whole.coprocessor(default_model, SENTENCES[:4]).integer
    weights = np.asarray(integer.golden.layers[0].projections.weights)
    assert (weights == 0).mean() == pytest.approx(reached, abs=0.05)


@pytest.mark.parametrize(("weight_format", "sparsity"), [(WeightFormat.BBS, 0.875), (WeightFormat.NM, None)])
@pytest.mark.parametrize("from_file", [False, True])
def test_ordered_channels_keep_the_pattern(default_model, tmp_path, weight_format, sparsity, from_file):
    """Channels between the feed-forward products are ordered, but their banks and groups stay whole."""
    pattern: dict[str, Any] = {"weight_format": weight_format, "weight_sparsity": sparsity}
    if from_file:
        packed = pack_model(
            "default", config=ENGINE, weight_format=weight_format, sparsity=sparsity, method="magnitude"
        )
        write_packed(tmp_path / "weights.safetensors", packed)
        pattern = {"packed": tmp_path / "weights.safetensors"}
    whole = WholeEncoder(config=CONFIG, weight_method="magnitude", **pattern)
    golden = whole.coprocessor(default_model, SENTENCES[:4]).integer.golden
    for layer in golden.layers:
        kept = np.asarray(layer.output.weights) != 0
        adjacent = kept.shape[1] // ENGINE.banks if weight_format is WeightFormat.BBS else ENGINE.group
        counts = kept.reshape(len(kept), -1, adjacent).sum(axis=2)
        assert counts.max() <= (4 if weight_format is WeightFormat.BBS else ENGINE.kept)
    constants = encoder_constants(CONFIG, golden, weight_format=weight_format)
    places = [place for layer in constants.layers for place in (layer.output, *layer.intermediate)]
    assert {place.body["format"] for place in places} == {FORMAT_CODES[weight_format]}


def test_own_zeros_stay_and_are_stored_on_request(default_model):
    """``keep`` prunes nothing, and the dense twin has the same weights, but stores its zeros."""
    whole = WholeEncoder(config=CONFIG, weight_format=WeightFormat.CSR_DELTA, weight_sparsity="keep")
    assert (whole.pruning, whole.stored_format) == ("csr-delta keep", WeightFormat.CSR_DELTA)
    assert (whole.dense.pruning, whole.dense.stored_format) == (None, WeightFormat.DENSE)
    kept, dense = (each.coprocessor(default_model, SENTENCES[:4]).integer for each in (whole, whole.dense))
    for a, b in zip(kept.golden.layers, dense.golden.layers, strict=True):
        assert np.array_equal(np.asarray(a.output.weights), np.asarray(b.output.weights))
    assert WholeEncoder(config=CONFIG).stored_format is None


def test_packed_weights_are_those_of_pruning(default_model, tmp_path):
    path = tmp_path / "weights.safetensors"
    packed = pack_model("default", config=ENGINE, weight_format=WeightFormat.CSR, sparsity=0.5, method="magnitude")
    write_packed(path, packed)
    whole = WholeEncoder(config=CONFIG, packed=path)
    assert whole.pruning == str(path)
    from_file = whole.coprocessor(default_model, SENTENCES[:4])
    pruned = WholeEncoder(config=CONFIG, weight_format=WeightFormat.CSR, weight_sparsity=0.5, weight_method="magnitude")
    other = pruned.coprocessor(default_model, SENTENCES[:4])
    a, b = (np.asarray(each.integer.golden.layers[1].projections.weights) for each in (from_file, other))
    assert np.mean((a != 0) != (b != 0)) < 0.01
    assert np.abs(a.astype(int) - b).max() <= 2


def test_weights_of_four_bits(default_model, sst2, tmp_path):
    whole = WholeEncoder(config=CONFIG, weight_bits=4)
    report = evaluate(default_model, "sst2", sst2, config=EDGE, rho=0.4, whole=whole, limit=2, jobs=1)
    assert report.weight_bits == 4
    path = tmp_path / "weights.safetensors"
    write_packed(path, pack_model("default", config=ENGINE, weight_format=WeightFormat.CSR, sparsity=0.5))
    settings: dict[str, Any]
    for settings in ({}, {"packed": path}, {"weight_format": WeightFormat.NM}):
        whole = WholeEncoder(config=CONFIG, weight_bits=4, **settings)
        golden = whole.coprocessor(default_model, SENTENCES[:4]).integer.golden
        products = [product for layer in golden.layers for product in (layer.projections, *layer.intermediate)]
        for product in (*products, *golden.classifier):
            weights = np.asarray(product.weights)
            assert -8 <= weights.min() <= weights.max() <= 7
        share = (np.asarray(golden.layers[0].projections.weights) == 0).mean()
        assert share >= (0.5 if settings else 0.05)
        assert np.abs(golden.words).max() > 100


def test_an_impossible_number_of_bits_is_refused():
    with pytest.raises(ConfigError, match="weight_bits=6"):
        WholeEncoder(config=CONFIG, weight_bits=6)


def test_an_engine_that_is_too_small(default_model):
    coprocessor = Coprocessor(integer=default_model.quantise(SENTENCES[:4]), engine=spmm_preset("tiny"))
    with pytest.raises(InputError, match=r"at most .* for this engine") as caught:
        outputs(default_model, coprocessor, ["fine"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("unit", "limits", "message"),
    [
        ("spmm", {"max_columns": 511}, "up to 512 rows and 512 columns, .* 65535 and 511"),
        ("spmm", {"max_rows": 511}, "up to 512 rows"),
        ("vector", {"max_channels": 127}, "128 channels, but the vector unit takes at most 127"),
    ],
)
def test_models_that_do_not_fit_are_refused_before_any_work(default_model, sst2, tmp_path, unit, limits, message):
    whole = WholeEncoder(config=replace(CONFIG, **{unit: replace(getattr(CONFIG, unit), **limits)}))
    with pytest.raises(InputError, match=message) as caught:
        evaluate(default_model, "sst2", sst2, config=EDGE, rho=0.4, whole=whole, calibration=tmp_path / "missing")
    assert "\n" not in str(caught.value)


def test_a_model_of_few_channels_on_a_tiny_engine(make_model):
    model = load_model(make_model())
    coprocessor = Coprocessor(integer=model.quantise(["a b c d", "e f"]), engine=spmm_preset("tiny"))
    found, _ = outputs(model, coprocessor, ["a b c d", "h"])
    assert np.isfinite(found).all()
