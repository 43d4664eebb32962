"""Metrics of tasks, and their standard errors by the bootstrap."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ..model.tasks import Metric

__all__ = ["RESAMPLES", "merit", "merits", "resamples"]

RESAMPLES = 2000

LARGEST = 700.0
"""Larger means of −log p count as this, so that their perplexity is a number. A guess among all tokens has about 11."""

_Counts = NDArray[np.float64]


def _accuracy(counts: _Counts) -> NDArray[np.float64]:
    return np.trace(counts, axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1))


def _matthews(counts: _Counts) -> NDArray[np.float64]:
    """Matthews correlation of any number of classes (Gorodkin, 2004); 0 if all targets or predictions are one class."""
    total = counts.sum(axis=(-2, -1))
    wanted, found = counts.sum(axis=-1), counts.sum(axis=-2)
    covariance = np.trace(counts, axis1=-2, axis2=-1) * total - (wanted * found).sum(axis=-1)
    spread = (total**2 - (wanted**2).sum(axis=-1)) * (total**2 - (found**2).sum(axis=-1))
    return np.where(spread > 0, covariance / np.sqrt(np.maximum(spread, 1)), 0.0)


def _f1(counts: _Counts) -> NDArray[np.float64]:
    """F1 of class 1 of two classes, 0 if it never occurs. Of more classes, the mean over those that occur at all."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    places = counts.sum(axis=-1) + counts.sum(axis=-2)
    each = 2 * hits / np.maximum(places, 1)
    return each[..., 1] if counts.shape[-1] == 2 else each.sum(axis=-1) / (places > 0).sum(axis=-1)


_OF_COUNTS: dict[Metric, Callable[[_Counts], NDArray[np.float64]]] = {
    Metric.ACCURACY: _accuracy,
    Metric.MCC: _matthews,
    Metric.F1: _f1,
}
"""Metrics of (…, classes, classes) counts of examples by target and prediction."""


def merit(metric: Metric, targets: NDArray[np.float64], predictions: NDArray[np.float64], *, classes: int) -> float:
    """A metric of all examples; parameters are those of :func:`merits`."""
    return float(merits(metric, targets, predictions, np.arange(len(targets))[None], classes=classes)[0])


def resamples(examples: int, *, seed: int = 0, count: int = RESAMPLES) -> NDArray[np.int64]:
    """(count, examples) indices of examples, drawn with replacement."""
    return np.random.default_rng(seed).integers(0, examples, (count, examples))


def merits(
    metric: Metric,
    targets: NDArray[np.float64],
    predictions: NDArray[np.float64],
    samples: NDArray[np.int64],
    *,
    classes: int,
) -> NDArray[np.float64]:
    """A metric of each resample. Their standard deviation is the bootstrap standard error.

    Resamples that are shared between two settings give the standard error of the difference of the two.

    Parameters
    ----------
    targets, predictions : (examples,) float64
        Classes, or scores for Spearman's correlation. If all of one of them are equal, the correlation is 0. For the
        perplexity, predictions are (examples, 2): the sum of −log p of each window's tokens, and their number.
    samples : (resamples, examples) int64
        Indices of examples.
    classes : int
        Number of classes, at least 2: 0, 1, …; also of those that never occur.

    Returns
    -------
    (resamples,) float64
    """
    if metric is Metric.PERPLEXITY:
        total, count = np.array([predictions[sample].sum(axis=0) for sample in samples]).T
        return np.exp(np.minimum(total / count, LARGEST))  # of the mean over all predicted tokens
    if metric is Metric.SPEARMAN:
        return np.array([_spearman(targets[sample], predictions[sample]) for sample in samples])
    cells = (targets * classes + predictions).astype(np.int64)
    counts = np.stack([np.bincount(cells[sample], minlength=classes**2) for sample in samples])
    return _OF_COUNTS[metric](counts.reshape(-1, classes, classes).astype(np.float64))


def _spearman(targets: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    if np.ptp(targets) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(targets), rankdata(predictions))[0, 1])
