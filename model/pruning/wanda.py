"""Pruning by the product of a weight and the norm of its input (Wanda, arXiv 2306.11695)."""

import numpy as np
from numpy.typing import NDArray

from ..encoder import Linear
from .method import Method, Pruned
from .patterns import Choose
from .statistics import LayerStatistics

__all__ = ["WANDA"]


def _scores(linear: Linear, statistics: LayerStatistics) -> NDArray[np.float64]:
    """|W_ij| · √E(x_j²), the error of the output if this weight alone is pruned."""
    return np.abs(linear.weight) * np.sqrt(statistics.squares)


def _prune(linear: Linear, statistics: LayerStatistics, choose: Choose) -> Pruned:
    mask, report = choose(_scores(linear, statistics))
    weight = np.where(mask, linear.weight, np.float32(0))
    return Pruned(Linear(weight, statistics.bias(weight)), mask, report)


WANDA = Method(scores=_scores, prune=_prune)
"""Keeps the weights as they are. The bias takes up the mean error of the outputs."""
