"""What is told of a trained model."""

from pathlib import Path

import pytest
from thresher.runtime.train import TrainReport
from thresher.spec import WeightFormat, spmm_preset


def report_of(folder: str, sparsity: float | str | None) -> TrainReport:
    return TrainReport(
        folder=Path(folder),
        task="sst2",
        metric="accuracy",
        columns=(("sentence", "label"),),
        model="start",
        teacher=None,
        data="data.tsv",
        dev=None,
        digests={},
        examples=1,
        settings={"weight_format": WeightFormat.BBS, "sparsity": sparsity},
        engine=spmm_preset("server"),
        sparsity=0.5,
        score=None,
        history=(),
        notes=(),
        seconds=1.0,
    )


@pytest.mark.parametrize("sparsity", [0.5, "keep"])
def test_the_command_of_packing_names_the_engine(sparsity):
    assert report_of("of mine/model", sparsity).to_dict()["packing"] == (
        "thresher prune --model 'of mine/model' --format bbs --sparsity keep --config 'of mine/model/engine.json' "
        "-o 'of mine/model/packed'"
    )
    assert report_of("model", sparsity).to_dict()["engine"]["banks"] == 64


def test_without_pruned_weights_nothing_is_packed():
    assert report_of("model", None).packing is None
