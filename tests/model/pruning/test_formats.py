"""Patterns of weight formats."""

import numpy as np
import pytest
from thresher.model.pruning.formats import FormatPattern, fixed_sparsity, prune_matrices
from thresher.model.pruning.patterns import prune_bank_balanced, prune_global, prune_groups, prune_unstructured
from thresher.spec import InputError, ThresherError, WeightFormat, spmm_preset

CONFIG = spmm_preset("tiny")
WEIGHTS = np.random.default_rng(3).normal(size=(6, 16)).astype(np.float32)


def pattern(weight_format: WeightFormat, sparsity=None, **options) -> FormatPattern:
    return FormatPattern(config=CONFIG, weight_format=weight_format, sparsity=sparsity, **options)


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (pattern(WeightFormat.CSR, 0.7), prune_unstructured(WEIGHTS, 0.7)),
        (pattern(WeightFormat.CSR_DELTA, 0.7), prune_unstructured(WEIGHTS, 0.7)),
        (pattern(WeightFormat.BBS, 0.5), prune_bank_balanced(WEIGHTS, 0.5, banks=CONFIG.banks)),
        (pattern(WeightFormat.NM), prune_groups(WEIGHTS, kept=CONFIG.kept, group=CONFIG.group)),
        (pattern(WeightFormat.DENSE), (np.ones_like(WEIGHTS, bool), None)),
        (pattern(WeightFormat.CSR, "keep"), (np.ones_like(WEIGHTS, bool), None)),
    ],
)
def test_a_format_has_its_pattern(made, wanted):
    mask, report = made.choose(WEIGHTS)
    assert np.array_equal(mask, wanted[0])
    assert report.pattern == ("none" if wanted[1] is None else wanted[1].pattern)
    assert made.prunes == (wanted[1] is not None)
    (found, _) = prune_matrices({"one": WEIGHTS}, made.weight_format, made.sparsity, config=CONFIG)["one"]
    assert np.array_equal(found, mask)


def test_targets():
    assert pattern(WeightFormat.NM).target == fixed_sparsity(CONFIG, WeightFormat.NM) == 0.5
    assert pattern(WeightFormat.DENSE).target == 0
    assert pattern(WeightFormat.BBS, 0.25).target == 0.25
    assert pattern(WeightFormat.BBS, "keep").target == "keep"


def test_global_patterns_are_those_of_a_common_ranking():
    scores = {"small": WEIGHTS * 0.5, "large": WEIGHTS * 2}
    choosers = pattern(WeightFormat.CSR, 0.6, global_ranking=True).globally(scores)
    wanted = prune_global(scores, 0.6)
    for name, choose in choosers.items():
        mask, report = choose(scores[name])
        assert np.array_equal(mask, wanted[name][0])
        assert report.pattern == "global"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((WeightFormat.CSR,), "sparsity=None is not allowed: must be given for csr weights"),
        ((WeightFormat.NM, 0.6), "must be 0.5 for 2:4 weights, or left out"),
        ((WeightFormat.DENSE, 0.6), "must be 0 for dense weights, or left out"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ThresherError, match=message):
        pattern(*options)


@pytest.mark.parametrize(("weight_format", "sparsity"), [(WeightFormat.BBS, 0.5), (WeightFormat.CSR, "keep")])
def test_a_global_ranking_needs_an_unstructured_pattern(weight_format, sparsity):
    with pytest.raises(InputError, match="--global"):
        pattern(weight_format, sparsity, global_ranking=True)
