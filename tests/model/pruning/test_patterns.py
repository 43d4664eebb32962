"""Patterns of exact counts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from thresher.model.pruning.patterns import (
    keep_largest,
    keep_nonzeros,
    prune_bank_balanced,
    prune_blocks,
    prune_global,
    prune_groups,
    prune_unstructured,
)
from thresher.spec import ConfigError, InputError, ThresherError

# Few distinct magnitudes, so that ties are everywhere.
TIED = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5])
MATRICES = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, max_side=13), elements=TIED | st.floats(-4, 4, width=32)
)
SPARSITIES = st.floats(0, 1, exclude_max=True)


def rounded(x: float) -> int:
    return math.floor(x + 0.5)


def check_ranking(magnitude: np.ndarray, mask: np.ndarray, kept: int) -> None:
    """Exactly so many are kept, or all that are not zero: none smaller than a pruned one, and of equals the first."""
    magnitude, mask = magnitude.ravel(), mask.ravel()
    kept = min(kept, int(np.count_nonzero(magnitude)))
    expected = np.zeros(magnitude.size, bool)
    expected[sorted(range(magnitude.size), key=lambda i: (-magnitude[i], i))[:kept]] = True
    assert mask.sum() == kept
    assert np.array_equal(mask, expected)


@given(weights=MATRICES, sparsity=SPARSITIES)
def test_unstructured(weights, sparsity):
    mask, report = prune_unstructured(weights, sparsity)
    check_ranking(np.abs(weights), mask, weights.size - rounded(sparsity * weights.size))
    assert (report.pattern, report.target, report.total) == ("unstructured", sparsity, weights.size)
    assert report.kept == mask.sum()
    assert report.sparsity == pytest.approx(1 - mask.mean())
    per_row = mask.sum(axis=1)
    assert (report.row_min, report.row_max) == (per_row.min(), per_row.max())
    assert report.row_mean == pytest.approx(per_row.mean())


@given(matrices=st.lists(MATRICES, min_size=1, max_size=4), sparsity=SPARSITIES)
def test_global_ranks_all_matrices_together(matrices, sparsity):
    named = {f"m{i}": matrix for i, matrix in enumerate(matrices)}
    pruned = prune_global(named, sparsity)
    assert list(pruned) == list(named)
    assert [mask.shape for mask, _ in pruned.values()] == [matrix.shape for matrix in matrices]
    magnitude = np.concatenate([np.abs(matrix).ravel() for matrix in matrices])
    mask = np.concatenate([mask.ravel() for mask, _ in pruned.values()])
    check_ranking(magnitude, mask, magnitude.size - rounded(sparsity * magnitude.size))
    assert all(report.kept == mask.sum() and report.target == sparsity for mask, report in pruned.values())


@given(weights=MATRICES, data=st.data())
def test_so_many_are_kept(weights, data):
    kept = data.draw(st.integers(0, weights.size))
    mask, report = keep_largest(weights, kept)
    check_ranking(np.abs(weights), mask, kept)
    assert (report.pattern, report.kept) == ("global", mask.sum())


def test_global_ranking_prunes_small_weights_most():
    pruned = prune_global({"small": np.full((2, 4), 0.1), "large": np.full((2, 4), 3.0)}, 0.5)
    assert [report.sparsity for _, report in pruned.values()] == [1, 0]


@given(weights=MATRICES, sparsity=SPARSITIES, data=st.data())
def test_blocks_are_kept_or_pruned_whole(weights, sparsity, data):
    rows, columns = weights.shape
    block_rows = data.draw(st.integers(1, rows))
    block_columns = data.draw(st.integers(1, columns))
    mask, report = prune_blocks(weights, sparsity, block_rows=block_rows, block_columns=block_columns)
    means, kept = [], []
    for r in range(0, rows, block_rows):
        for c in range(0, columns, block_columns):
            cut = (slice(r, r + block_rows), slice(c, c + block_columns))
            assert mask[cut].all() or not mask[cut].any()
            means.append(np.abs(weights[cut].astype(np.float64)).mean())
            kept.append(mask[cut].all())
    means, kept = np.array(means), np.array(kept)
    assert kept.sum() == min(len(kept) - rounded(sparsity * len(kept)), np.count_nonzero(means))
    if kept.any() and not kept.all():
        assert means[kept].min() >= means[~kept].max() - 1e-9
    assert report.kept == mask.sum()


def test_short_blocks_are_ranked_per_weight():
    mask, _ = prune_blocks(np.array([[1.0, 1.0, 1.5]]), 0.5, block_rows=1, block_columns=2)
    assert mask.tolist() == [[False, False, True]]


def test_blocks_of_the_largest_numbers_do_not_overflow():
    mask, _ = prune_blocks(np.array([[1e308, 1e308, 1.0, 1.0]]), 0.5, block_rows=1, block_columns=2)
    assert mask.tolist() == [[True, True, False, False]]


@given(weights=MATRICES, sparsity=SPARSITIES, data=st.data())
def test_banks_are_balanced(weights, sparsity, data):
    rows, columns = weights.shape
    banks = data.draw(st.integers(1, columns + 3))
    length = math.ceil(columns / banks)
    kept = length - rounded(sparsity * length)
    if kept == 0:
        with pytest.raises(ConfigError, match=f"a bank of {length} columns? must"):
            prune_bank_balanced(weights, sparsity, banks=banks)
        return
    mask, report = prune_bank_balanced(weights, sparsity, banks=banks)
    for row in range(rows):
        for start in range(0, columns, length):
            bank = np.abs(weights[row, start : start + length])
            check_ranking(bank, mask[row, start : start + length], min(kept, len(bank)))
    if weights.all():
        assert report.row_min == report.row_max == report.row_mean


def test_last_banks_may_be_short_or_empty():
    """Five columns in four banks: two, two, one and none."""
    mask, report = prune_bank_balanced(np.array([[1.0, 2, 4, 3, 0.5]]), 0.5, banks=4)
    assert mask.tolist() == [[False, True, True, False, True]]
    assert (report.target, report.sparsity) == (0.5, pytest.approx(0.4))


@given(weights=MATRICES, data=st.data())
def test_groups_keep_their_largest(weights, data):
    rows, columns = weights.shape
    group = data.draw(st.integers(2, columns + 3))
    kept = data.draw(st.integers(1, group - 1))
    mask, report = prune_groups(weights, kept=kept, group=group)
    for row in range(rows):
        for start in range(0, columns, group):
            values = np.abs(weights[row, start : start + group])
            check_ranking(values, mask[row, start : start + group], min(kept, len(values)))
    assert report.target == pytest.approx(1 - kept / group)
    if weights.all():
        assert report.row_min == report.row_max


def test_integers_are_ranked_by_their_full_magnitude():
    """|−128| does not fit int8."""
    weights = np.array([[-128, 127, 5, 0]], np.int8)
    assert prune_groups(weights, kept=1, group=4)[0].tolist() == [[True, False, False, False]]
    assert prune_unstructured(weights, 0.5)[0].tolist() == [[True, True, False, False]]


@given(weights=MATRICES, sparsity=SPARSITIES)
def test_a_zero_is_never_kept(weights, sparsity):
    """Whatever the rule and the sparsity. Without anything to prune, the pattern is the matrix's own."""
    nonzero = weights != 0
    masks = [
        prune_unstructured(weights, sparsity)[0],
        prune_global({"one": weights, "other": np.ones((2, 2))}, sparsity)["one"][0],
        prune_groups(weights, kept=2, group=4)[0],
        prune_bank_balanced(weights, sparsity / weights.shape[1] / 2, banks=2)[0],
    ]
    assert not any((mask & ~nonzero).any() for mask in masks)
    for mask, report in (
        keep_nonzeros(weights),
        prune_unstructured(weights, 0),
        prune_global({"one": weights}, 0)["one"],
        prune_bank_balanced(weights, 0, banks=2),
        prune_blocks(weights, 0, block_rows=1, block_columns=1),
    ):
        assert np.array_equal(mask, nonzero)
        assert report.kept == np.count_nonzero(weights)


def test_own_zeros_count_toward_the_sparsity():
    """Of a matrix that is sparser than wanted, nothing is pruned; with a global ranking, of all of them together."""
    sparse, dense = np.eye(8) * 0.1, np.arange(1, 65).reshape(8, 8) * 1.0
    assert np.array_equal(prune_unstructured(sparse, 0.75)[0], sparse != 0)
    pruned = prune_global({"sparse": sparse, "dense": dense}, 56 / 128)
    assert [report.kept for _, report in pruned.values()] == [8, 64]
    pruned = prune_global({"sparse": sparse, "dense": dense}, 66 / 128)
    assert [report.kept for _, report in pruned.values()] == [0, 62]


def test_only_blocks_of_zeros_are_dropped_at_a_sparsity_of_0():
    weights = np.array([[1e-45, 0, 0, 0, 4]], np.float32)
    mask, _ = prune_blocks(weights, 0, block_rows=1, block_columns=2)
    assert mask.tolist() == [[True, True, False, False, True]]


GOOD = np.ones((4, 8), np.float32)
NAN = GOOD.copy()
NAN[2, 3] = np.nan


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: prune_unstructured(GOOD, 1.0), "sparsity=1.0"),
        (lambda: prune_unstructured(GOOD, -0.1), "sparsity=-0.1"),
        (lambda: prune_unstructured(GOOD, math.nan), "sparsity=nan"),
        (lambda: prune_unstructured(GOOD, True), "sparsity=True"),
        (lambda: prune_unstructured(NAN, 0.5), "row 2, column 3"),
        (lambda: prune_unstructured(-np.inf * GOOD, 0.5), "row 0, column 0"),
        (lambda: prune_unstructured(GOOD[0], 0.5), r"shape \(8,\)"),
        (lambda: prune_unstructured(GOOD[:0], 0.5), r"shape \(0, 8\)"),
        (lambda: prune_unstructured(GOOD * 1j, 0.5), "complex64"),
        (lambda: prune_unstructured([["a"]], 0.5), "give real numbers"),
        (lambda: keep_largest(GOOD, 33), "kept=33"),
        (lambda: prune_global({}, 0.5), "no matrix"),
        (lambda: prune_global({"good": GOOD, "query of layer 3": NAN}, 0.5), "query of layer 3 holds NaN"),
        (lambda: prune_blocks(GOOD, 0.5, block_rows=0, block_columns=1), "block_rows=0"),
        (lambda: prune_blocks(GOOD, 0.5, block_rows=4, block_columns=9), "block_columns=9"),
        (lambda: prune_bank_balanced(GOOD, 0.5, banks=0), "banks=0"),
        (lambda: prune_bank_balanced(GOOD, 0.9, banks=4), "a bank of 2 columns .* at most 0.5: .*fewer"),
        (lambda: prune_groups(GOOD, kept=4, group=4), "kept=4"),
        (lambda: prune_groups(GOOD, kept=1, group=1), "group=1"),
    ],
)
def test_refusals_are_one_line(call, message):
    with pytest.raises(ThresherError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ConfigError | InputError)
