"""Patterns of pruned weights: which weights of a matrix are kept, given a score of each.

Each function ranks weights by the magnitudes of the numbers that it is given, the weights themselves or scores of them.
It returns a mask of the kept weights, and a report. Counts are exact: of equal magnitudes, the first in row order are
kept. What is exactly zero, a weight or a whole block, is never kept. So the zeros of a sparse matrix count toward the
sparsity, and nothing else is pruned if they suffice.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...spec.errors import ConfigError, InputError
from ...spec.formats import ceil_div

__all__ = [
    "KEEP",
    "Choose",
    "Mask",
    "PruneReport",
    "Sparsity",
    "check_size",
    "check_sparsity",
    "keep_largest",
    "keep_nonzeros",
    "magnitudes",
    "prune_bank_balanced",
    "prune_blocks",
    "prune_global",
    "prune_groups",
    "prune_unstructured",
]

KEEP: Final = "keep"
"""Target of a matrix that is not pruned: it keeps its own pattern."""
Sparsity = float | Literal["keep"]
"""What is asked for: the share of weights to prune, 0 ≤ sparsity < 1, or :data:`KEEP`."""

Mask = NDArray[np.bool_]
"""(M, K): True for a kept weight."""

_Magnitude = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class PruneReport:
    """Result of pruning a matrix.

    Attributes
    ----------
    pattern : str
        ``none``, ``unstructured``, ``global``, ``block``, ``bank-balanced`` or ``n:m``.
    target, sparsity : float
        Share of pruned weights that was wanted and that was reached. They differ if the structure or a global ranking
        requires it, or if more weights were zero already.
    kept, total : int
        Number of weights.
    row_min, row_mean, row_max : int, float, int
        Kept weights per row.
    """

    pattern: str
    target: float
    sparsity: float
    kept: int
    total: int
    row_min: int
    row_mean: float
    row_max: int


Choose = Callable[[_Magnitude], tuple[Mask, PruneReport]]
"""A pattern of one matrix: takes (M, K) scores, and returns the mask and its report."""


def keep_nonzeros(weights: ArrayLike) -> tuple[Mask, PruneReport]:
    """Prune nothing: keep the matrix's own pattern. Raises as :func:`prune_unstructured`.

    Parameters
    ----------
    weights : (M, K) numbers
    """
    mask = magnitudes("the weight matrix", weights) > 0
    return mask, _report("none", 1 - mask.mean(), mask)


def prune_unstructured(weights: ArrayLike, sparsity: float) -> tuple[Mask, PruneReport]:
    """Prune the smallest round(sparsity · M·K) weights of a matrix, its zeros among them.

    Parameters
    ----------
    weights : (M, K) numbers
    sparsity : float
        Share of weights to prune, 0 ≤ sparsity < 1.

    Raises
    ------
    ConfigError
        The sparsity is out of range.
    InputError
        The weights are not a matrix of finite numbers.
    """
    check_sparsity("sparsity", sparsity)
    magnitude = magnitudes("the weight matrix", weights)
    mask = _largest(magnitude.ravel(), _kept(sparsity, magnitude.size)).reshape(magnitude.shape)
    return mask, _report("unstructured", sparsity, mask)


def keep_largest(weights: ArrayLike, kept: int) -> tuple[Mask, PruneReport]:
    """Keep so many weights of a matrix, as a global ranking does; raises as :func:`prune_unstructured`.

    Parameters
    ----------
    weights : (M, K) numbers
    kept : int
        0 … M·K.
    """
    magnitude = magnitudes("the weight matrix", weights)
    check_size("kept", kept, magnitude.size, smallest=0)
    mask = _largest(magnitude.ravel(), kept).reshape(magnitude.shape)
    return mask, _report("global", 1 - kept / magnitude.size, mask)


def prune_global(matrices: Mapping[str, ArrayLike], sparsity: float) -> dict[str, tuple[Mask, PruneReport]]:
    """Prune the smallest weights of several matrices, all ranked together; raises as :func:`prune_unstructured`.

    Parameters
    ----------
    matrices : mapping of name to (M, K) numbers
    sparsity : float
        Of all matrices together.

    Returns
    -------
    dict
        Mask and report of each matrix, in the order given.
    """
    check_sparsity("sparsity", sparsity)
    if not matrices:
        raise InputError("there is no matrix to prune: give at least one")
    ranked = {name: magnitudes(name, weights) for name, weights in matrices.items()}
    everything = np.concatenate([magnitude.ravel() for magnitude in ranked.values()])
    kept = _largest(everything, _kept(sparsity, everything.size))
    pruned, start = {}, 0
    for name, magnitude in ranked.items():
        mask = kept[start : start + magnitude.size].reshape(magnitude.shape)
        pruned[name] = mask, _report("global", sparsity, mask)
        start += magnitude.size
    return pruned


def prune_blocks(
    weights: ArrayLike, sparsity: float, *, block_rows: int, block_columns: int
) -> tuple[Mask, PruneReport]:
    """Prune the round(sparsity · blocks) blocks with the smallest L1 norm.

    Blocks at the lower and right edge are smaller if the sizes do not divide, so the norm is taken per weight. Raises
    as :func:`prune_unstructured`.

    Parameters
    ----------
    weights : (M, K) numbers
    sparsity : float
        Share of blocks to prune, 0 ≤ sparsity < 1.
    block_rows, block_columns : int
        Size of a block, at most that of the matrix.
    """
    check_sparsity("sparsity", sparsity)
    magnitude = magnitudes("the weight matrix", weights)
    rows, columns = magnitude.shape
    check_size("block_rows", block_rows, rows)
    check_size("block_columns", block_columns, columns)
    row_starts, column_starts = np.arange(0, rows, block_rows), np.arange(0, columns, block_columns)

    def block_sums(x: _Magnitude) -> NDArray[np.float64]:
        return np.add.reduceat(np.add.reduceat(x, row_starts, axis=0, dtype=np.float64), column_starts, axis=1)

    # The common factor changes no rank and keeps the sums of large numbers finite.
    scaled = np.divide(magnitude, magnitude.max() or 1, dtype=np.float64)
    norms = block_sums(scaled) / block_sums(np.ones_like(magnitude))
    kept = _largest(norms.ravel(), _kept(sparsity, norms.size)).reshape(norms.shape)
    mask = kept.repeat(block_rows, axis=0)[:rows].repeat(block_columns, axis=1)[:, :columns]
    return mask, _report("block", sparsity, mask)


def prune_bank_balanced(weights: ArrayLike, sparsity: float, *, banks: int) -> tuple[Mask, PruneReport]:
    """Keep the largest weights of each bank of each row, the same number in each bank.

    After Cao et al. (FPGA 2019). A bank is L = ceil(K / banks) neighbouring columns, of which L − round(sparsity · L)
    are kept, or fewer if the others are zero. If ``banks`` does not divide K, the last banks are short or empty. They
    keep the same number, or all they have, because the words have room for them. Raises as :func:`prune_unstructured`.

    Parameters
    ----------
    weights : (M, K) numbers
    sparsity : float
        Share of each bank to prune. At least one weight of a bank must be kept.
    banks : int
        At least 1. With more than K, each column is a bank.
    """
    check_sparsity("sparsity", sparsity)
    magnitude = magnitudes("the weight matrix", weights)
    check_size("banks", banks)
    bank = ceil_div(magnitude.shape[1], banks)
    kept = _kept(sparsity, bank)
    if kept == 0:
        columns = "column" if bank == 1 else "columns"
        limit = f"a bank of {bank} {columns} must keep one weight, so the sparsity is at most {1 - 1 / bank:.4g}"
        raise ConfigError("sparsity", sparsity, f"{limit}: choose that, or fewer banks (--config)")
    mask = _largest_of_each(magnitude, bank, kept)
    return mask, _report("bank-balanced", sparsity, mask)


def prune_groups(weights: ArrayLike, *, kept: int, group: int) -> tuple[Mask, PruneReport]:
    """N:M: keep the ``kept`` largest of every ``group`` neighbouring weights of a row, such as 2 of 4.

    A shorter group at the end of a row keeps the same number, or all it has. Raises as :func:`prune_unstructured`.

    Parameters
    ----------
    weights : (M, K) numbers
    kept, group : int
        1 ≤ kept < group.
    """
    magnitude = magnitudes("the weight matrix", weights)
    check_size("group", group, smallest=2)
    check_size("kept", kept, group - 1)
    mask = _largest_of_each(magnitude, group, kept)
    return mask, _report("n:m", 1 - kept / group, mask)


# -- checks and counts -------------------------------------------------------------------------


def check_sparsity(name: str, value: float) -> None:
    """Raise :class:`~thresher.spec.errors.ConfigError` unless 0 ≤ value < 1. ``name`` is what the message calls it."""
    legal = isinstance(value, float | int | np.number) and not isinstance(value, bool) and 0 <= value < 1
    if not legal:
        raise ConfigError(name, value, "must be a number from 0 up to, but not including, 1")


def check_size(name: str, value: int, largest: int | None = None, *, smallest: int = 1) -> None:
    """Raise :class:`~thresher.spec.errors.ConfigError` unless an integer is in range."""
    legal = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= smallest
    if not legal or (largest is not None and value > largest):
        limits = f"of at least {smallest}" if largest is None else f"from {smallest} to {largest}"
        raise ConfigError(name, value, f"must be an integer {limits}")


def magnitudes(name: str, weights: ArrayLike) -> _Magnitude:
    """|weights|, (M, K) float32 or float64. ``name`` is what an error calls the matrix.

    Raises
    ------
    InputError
        The weights are not a matrix of finite numbers.
    """
    found = np.asarray(weights)
    if found.dtype.kind not in "fiu":
        raise InputError(f"{name} holds {found.dtype}: give real numbers")
    if found.ndim != 2 or not found.size:
        raise InputError(f"{name} has shape {found.shape}: give a matrix of at least one row and column")
    # Float32 ranks no worse and takes half the memory; |−128| would not fit int8.
    exact = found if found.dtype == np.float32 else found.astype(np.float64)
    if not np.isfinite(exact).all():
        row, column = np.argwhere(~np.isfinite(exact))[0]
        raise InputError(f"{name} holds NaN or infinity at row {row}, column {column}: give finite weights")
    return np.abs(exact)


def _kept(sparsity: float, total: int) -> int:
    """Number of kept weights if round(sparsity · total) are pruned, halves up."""
    return total - math.floor(float(sparsity) * total + 0.5)


def _largest(magnitude: _Magnitude, count: int) -> Mask:
    """(n,) bool, True for the ``count`` largest, and among equal ones the first; fewer if the others are zero."""
    count = min(count, int(np.count_nonzero(magnitude)))
    if count == 0:
        return np.zeros(magnitude.shape, bool)
    threshold = np.partition(magnitude, magnitude.size - count)[magnitude.size - count]
    mask = magnitude > threshold
    mask[np.flatnonzero(magnitude == threshold)[: count - int(mask.sum())]] = True
    return mask


def _largest_of_each(magnitude: _Magnitude, run: int, count: int) -> Mask:
    """Keep the ``count`` largest, the first among equals, of every ``run`` neighbouring columns of each row. Zeros are
    not kept."""
    rows, columns = magnitude.shape
    runs = ceil_div(columns, run)
    # The padding of the last run ranks below every weight and is removed at the end.
    filled = np.full((rows, runs * run), -1, magnitude.dtype)
    filled[:, :columns] = magnitude
    filled = filled.reshape(rows, runs, run)
    mask = np.zeros(filled.shape, bool)
    order = np.argsort(-filled, axis=-1, kind="stable")[..., :count]
    np.put_along_axis(mask, order, True, axis=-1)
    return mask.reshape(rows, runs * run)[:, :columns] & (magnitude > 0)


def _report(pattern: str, target: float, mask: Mask) -> PruneReport:
    per_row = mask.sum(axis=1)
    kept = int(per_row.sum())
    return PruneReport(
        pattern=pattern,
        target=float(target),
        sparsity=1 - kept / mask.size,
        kept=kept,
        total=mask.size,
        row_min=int(per_row.min()),
        row_mean=kept / len(per_row),
        row_max=int(per_row.max()),
    )
