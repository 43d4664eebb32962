"""Second-order pruning: the kept weights take up the errors of the pruned ones.

A dense layer shall compute outputs y from inputs x. On calibration sentences, x has the covariance C, and B is the
covariance of y and x. The bias takes up the means. So the weights V have the error

    E(V) = Σ over rows v of V, with the row b of B:  v·C·vᵀ − 2·v·bᵀ  + a constant

The weights of least error are B·C⁻¹. Pruning weight j of such a row w, and changing the others for the best, adds
w_j² / [C⁻¹]_jj to the error (the Optimal Brain Surgeon of Hassibi and Stork, NIPS 1992). The columns are decided span
by span, from the first to the last. The weights of later columns take up the errors of those pruned (SparseGPT, arXiv
2301.00774). Last, the kept weights of every row become those of least error under the mask.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky

from ...spec.errors import InputError
from ..encoder import Linear
from .method import Method, Pruned
from .patterns import Choose, Mask
from .statistics import Float64, LayerStatistics

__all__ = ["OBS", "Quadratic", "best_with_mask", "quadratic"]

DAMPING: Final = 0.03
"""Variance that is added to every input, relative to their mean variance. It also holds the weights near those of the
dense model, as few sentences do not determine the covariance."""

SPAN: Final = 32
"""Columns whose masks are decided together."""


@dataclass(frozen=True, kw_only=True)
class Quadratic:
    """The error of a dense layer's weights, a quadratic function of each row.

    Attributes
    ----------
    curvature : (K, K) float64
        C, positive definite.
    slope : (M, K) float64
        B.
    best : (M, K) float64
        B·C⁻¹, the weights of least error.
    """

    curvature: Float64
    slope: Float64
    best: Float64

    def errors(self, weights: NDArray[np.floating]) -> Float64:
        """(M,) error of each row of (M, K) weights, above that of the best weights."""
        difference = weights - self.best
        return ((difference @ self.curvature) * difference).sum(axis=1)


def quadratic(linear: Linear, statistics: LayerStatistics) -> Quadratic:
    """The error of weights, with damping.

    Raises
    ------
    InputError
        The statistics are not finite, or some inputs are so large that the others vanish beside them.
    """
    if not (np.isfinite(statistics.covariance).all() and np.isfinite(statistics.cross).all()):
        raise InputError("inputs of a dense layer hold NaN or infinity: check the model's weights")
    inputs = len(statistics.covariance)
    added = DAMPING * float(np.trace(statistics.covariance)) / inputs
    added = added if added > 0 else 1.0  # inputs that never change
    curvature = statistics.covariance + added * np.eye(inputs)
    slope = statistics.cross + added * linear.weight
    try:
        best = cho_solve(cho_factor(curvature), slope.T).T
    except np.linalg.LinAlgError:
        raise InputError(
            "inputs of a dense layer differ too much in size for second-order pruning: choose --method wanda"
        ) from None
    return Quadratic(curvature=curvature, slope=slope, best=best)


def _chosen(error: Quadratic, nonzero: Mask, choose: Choose) -> Mask:
    """Decide the mask, span by span.

    C⁻¹ = UᵀU with U upper triangular. The rows of U from j on give the inverse of C without the columns before j.
    """
    columns = error.best.shape[1]
    upper = cholesky(cho_solve(cho_factor(error.curvature), np.eye(columns)))
    weights, keep = error.best.copy(), nonzero.copy()
    for start in range(0, columns, SPAN):
        end = min(start + SPAN, columns)
        variances = np.square(upper[start:, start:]).sum(axis=0)
        losses = np.square(weights[:, start:]) / variances
        scores = np.zeros(weights.shape)
        # The zeros of the matrix stay pruned, and decided columns stay as they are.
        scores[:, start:] = np.where(nonzero[:, start:], np.maximum(losses, np.finfo(np.float64).tiny), 0)
        scores[:, :start] = np.where(keep[:, :start], 2 * scores.max() or 1, 0)
        keep[:, start:end] = choose(scores)[0][:, start:end]
        lost = np.empty((len(weights), end - start))
        for j in range(start, end):
            lost[:, j - start] = np.where(keep[:, j], 0, weights[:, j]) / upper[j, j]
            weights[:, j:end] -= np.outer(lost[:, j - start], upper[j, j:end])
        weights[:, end:] -= lost @ upper[start:end, end:]
    return keep


def best_with_mask(error: Quadratic, mask: Mask) -> Float64:
    """(M, K) weights of least error that are zero outside of a mask."""
    found = np.zeros(mask.shape)
    for row, (kept, slope) in enumerate(zip(mask, error.slope, strict=True)):
        columns = np.flatnonzero(kept)
        if len(columns):
            factor = cho_factor(error.curvature[columns][:, columns], overwrite_a=True, check_finite=False)
            found[row, columns] = cho_solve(factor, slope[columns], check_finite=False)
    return found


def _prune(linear: Linear, statistics: LayerStatistics, choose: Choose) -> Pruned:
    error, nonzero = quadratic(linear, statistics), linear.weight != 0
    mask, report = choose(np.where(_chosen(error, nonzero, choose), 1.0, 0.0))
    found = best_with_mask(error, mask)
    plain, own = choose(np.abs(linear.weight))
    unchanged = np.where(plain, linear.weight, 0)
    if error.errors(found).sum() > error.errors(unchanged).sum():  # on very small matrices
        mask, report, found = plain, own, best_with_mask(error, plain)
    # A kept weight that became 0 is still a kept weight: its place is in the pattern.
    weight = found.astype(np.float32)
    return Pruned(Linear(weight, statistics.bias(weight)), mask, report)


def _scores(linear: Linear, statistics: LayerStatistics) -> Float64:
    """Losses w_j² / [C⁻¹]_jj, relative to the variance of the layer's outputs."""
    error = quadratic(linear, statistics)
    inverse = cho_solve(cho_factor(error.curvature), np.eye(len(error.curvature)))
    weight = linear.weight.astype(np.float64)
    spread = float(((weight @ error.curvature) * weight).sum())
    return np.square(weight) / np.diag(inverse) / (spread if spread > 0 else 1.0)


OBS = Method(scores=_scores, prune=_prune)
"""Changes the kept weights and the bias. The error is never above that of pruning by magnitude."""
