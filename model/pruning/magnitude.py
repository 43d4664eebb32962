"""Pruning by magnitude, which needs no data."""

import numpy as np

from ..encoder import Linear
from .method import Pruned
from .patterns import Choose

__all__ = ["prune"]


def prune(linear: Linear, choose: Choose) -> Pruned:
    """Keep the weights of the largest magnitudes. They and the bias stay as they are."""
    mask, report = choose(np.abs(linear.weight))
    return Pruned(Linear(np.where(mask, linear.weight, np.float32(0)), linear.bias), mask, report)
