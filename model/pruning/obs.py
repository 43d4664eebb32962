"""Second-order pruning: the kept weights take up the errors of the pruned ones.

A dense layer shall compute outputs y from inputs x. On calibration sentences, x has the covariance C, and B is the
covariance of y and x. The bias takes up the means. So the weights V have the error

    E(V) = Σ over rows v of V, with the row b of B:  v·C·vᵀ − 2·v·bᵀ  + a constant

The weights of least error are B·C⁻¹. The mask is found by the alternating direction method of multipliers (ADMM; for
pruning: Boža, arXiv 2401.02938, and Meng et al., arXiv 2406.07831). It alternates between weights of little error and
weights of the pattern, and pulls them together ever harder. Then the kept weights of every row become those of least
error under the mask: the surgeon's step of Hassibi and Stork (Optimal Brain Surgeon, NIPS 1992), for all pruned weights
at once.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh

from ...spec.errors import InputError
from ..encoder import Linear
from .method import Method, Pruned
from .patterns import Choose, Mask
from .statistics import Float64, LayerStatistics

__all__ = ["OBS", "Quadratic", "best_with_mask", "quadratic"]

DAMPING: Final = 0.03
"""Variance that is added to every input, relative to their mean variance. It also holds the weights near those of the
dense model, as few sentences do not determine the covariance."""

ROUNDS: Final = 40
"""Rounds in which the mask is sought. Twice as many reduce the error by less than 1 %."""
PULL: Final = 0.1
"""How hard the two sets of weights are pulled together in the first round, ρ, for inputs of variance 1."""
PULL_GROWTH: Final = 1.08
"""Factor of ρ from round to round."""


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
    """Find the mask.

    With inputs of variance 1, the rounds are, from Z = B·C⁻¹ and Y = 0 on::

        V = (B + ρ·(Z − Y))·(C + ρ·I)⁻¹        T = V + Y        Z = T where it is kept, else 0        Y = T − Z
    """
    spreads = np.sqrt(np.diag(error.curvature))
    values, vectors = eigh(error.curvature / np.outer(spreads, spreads))
    slope, pull = (error.slope / spreads) @ vectors, PULL
    near, left, mask = error.best * spreads, np.zeros(nonzero.shape), nonzero
    for _ in range(ROUNDS):
        weights = ((slope + pull * ((near - left) @ vectors)) / (values + pull)) @ vectors.T + left
        # Squares, so that the nearest weights of a block pattern are found, too. The zeros of the matrix stay pruned.
        mask, _ = choose(np.where(nonzero, np.maximum(np.square(weights), np.finfo(np.float64).tiny), 0))
        near = np.where(mask, weights, 0)
        left = weights - near
        pull *= PULL_GROWTH
    return mask


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
