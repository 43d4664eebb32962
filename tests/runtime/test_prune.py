"""A small encoder, pruned and packed in every format: figures of the report, and settings that are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from thresher.cost.spmm import cycles
from thresher.model.packed_file import read_packed
from thresher.runtime.prune import PackReport, prune_model
from thresher.spec import SpmmConfig, ThresherError, WeightFormat, spmm_preset

from ..model.conftest import HIDDEN, LAYERS, WIDE
from ..model.test_pack import TARGETS

TINY = spmm_preset("tiny")
DEFAULTS: dict[str, Any] = {"config": TINY, "sparsity": 0.5}
WEIGHTS = LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * WIDE)


def pruned(model: Path, folder: Path, weight_format: WeightFormat, *, tokens: int = 9) -> PackReport:
    return prune_model(
        model, folder, config=TINY, weight_format=weight_format, sparsity=TARGETS[weight_format], tokens=tokens
    )


@pytest.mark.parametrize("weight_format", WeightFormat)
def test_figures(make_model, tmp_path, weight_format):
    report = pruned(make_model(), tmp_path, weight_format)
    found = read_packed(report.path)
    assert [matrix.name for matrix in report.matrices] == list(found.matrices)
    for figures in report.matrices:
        words = found.matrices[figures.name].weights
        assert (figures.rows, figures.columns, figures.bytes) == (words.rows, words.columns, words.bytes)
        assert (figures.kept, figures.weights) == (words.stored, words.rows * words.columns)
        assert (figures.zeros, figures.nonzeros) == (words.zeros, figures.weights)
        assert figures.dense_bytes == figures.weights
        lengths, dense = words.lengths.tolist(), [words.columns] * words.rows
        assert figures.cycles == cycles(
            TINY, weight_format, columns=words.columns, tokens=9, lengths=lengths, spread=figures.spread
        )
        assert figures.dense_cycles == cycles(TINY, WeightFormat.DENSE, columns=words.columns, tokens=9, lengths=dense)
        assert figures.speedup == figures.dense_cycles / figures.cycles
    total = report.total
    assert total.weights == WEIGHTS
    assert (total.nonzeros, total.own_sparsity) == (WEIGHTS, 0)
    assert total.zeros == sum(figures.zeros for figures in report.matrices)
    assert total.bytes == sum(figures.bytes for figures in report.matrices)
    assert total.speedup == pytest.approx(total.dense_cycles / total.cycles)
    expected = {WeightFormat.NM: 0.5, WeightFormat.DENSE: 0}.get(weight_format, TARGETS[weight_format])
    assert total.sparsity == pytest.approx(expected, abs=0.17 if weight_format is WeightFormat.BBS else 0.01)
    text = json.loads(json.dumps(report.to_dict()))
    assert text["total"]["sparsity"] == total.sparsity
    assert len(text["matrices"]) == 6 * LAYERS


def test_spread_lanes_serve_a_single_token(make_model, tmp_path):
    report = pruned(make_model(), tmp_path, WeightFormat.BBS, tokens=1)
    assert all(figures.spread for figures in report.matrices)
    # The engine's latency takes half of the cycles of matrices as small as these.
    assert report.total.speedup > 2.5


@pytest.mark.parametrize(
    ("weight_format", "options", "message"),
    [
        ("coo", {}, "weight_format='coo'"),
        (WeightFormat.CSR, {"sparsity": 1.0}, "sparsity=1.0"),
        (WeightFormat.CSR, {"sparsity": "all"}, "sparsity='all'"),
        (WeightFormat.CSR, {"tokens": 0}, "tokens=0"),
        (WeightFormat.BBS, {"sparsity": 0.9}, "a bank of 3 columns"),
        (WeightFormat.BBS, {"sparsity": 0.5, "global_ranking": True}, "csr or csr-delta, not bbs"),
        (WeightFormat.BBS, {"config": TINY.with_formats(WeightFormat.CSR), "sparsity": 0.5}, "the engine has csr"),
        (
            WeightFormat.CSR,
            {"config": SpmmConfig(rows=1, lanes=2, drain_lanes=1, max_columns=16, banks=2)},
            "takes 1 to 16",
        ),
    ],
)
def test_bad_settings_are_rejected_before_writing(make_model, tmp_path, weight_format, options, message):
    model = make_model()
    with pytest.raises(ThresherError, match=message) as caught:
        prune_model(model, tmp_path / "out", weight_format=weight_format, **DEFAULTS | options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
