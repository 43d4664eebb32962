"""The control: a mask that is drawn at random, with the weights that are best under it."""

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..encoder import Linear
from .method import Method, Pruned
from .obs import best_with_mask, quadratic
from .patterns import Choose
from .statistics import LayerStatistics

__all__ = ["RANDOM"]


def _scores(linear: Linear, _: LayerStatistics) -> NDArray[np.float64]:
    """Random numbers, the same in every run. They lie above 0, but zeros have 0."""
    random = np.random.default_rng(crc32(linear.weight.tobytes()))
    return np.where(linear.weight != 0, 1 - random.random(linear.weight.shape), 0)


def _prune(linear: Linear, statistics: LayerStatistics, choose: Choose) -> Pruned:
    mask, report = choose(_scores(linear, statistics))
    weight = best_with_mask(quadratic(linear, statistics), mask).astype(np.float32)
    return Pruned(Linear(weight, statistics.bias(weight)), mask, report)


RANDOM = Method(scores=_scores, prune=_prune)
"""Changes the kept weights and the bias as :data:`~thresher.model.pruning.obs.OBS` does. Only the mask differs."""
