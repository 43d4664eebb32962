"""What a method of pruning is given, and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import ConfigError
from ..encoder import Linear
from .patterns import Choose, Mask, PruneReport
from .statistics import LayerStatistics

__all__ = ["DEFAULT_METHOD", "METHODS", "Method", "MethodName", "Pruned", "check_method"]

MethodName = Literal["magnitude", "wanda", "obs", "random"]
METHODS: tuple[MethodName, ...] = get_args(MethodName)
"""``magnitude``: keep the largest weights. ``wanda``: weights times the norms of their inputs. ``obs``: second-order
pruning, which changes the kept weights. ``random``: a control, with a random mask."""
DEFAULT_METHOD: MethodName = "obs"
"""It corrects the kept weights and the bias, so that the outputs change least."""


def check_method(field: str, value: str) -> MethodName:
    """The method of this name. Raises :class:`~thresher.spec.errors.ConfigError` if there is none."""
    for method in METHODS:
        if value == method:
            return method
    raise ConfigError(field, value, "must be one of " + ", ".join(METHODS))


@dataclass(frozen=True)
class Pruned:
    """A pruned dense layer.

    Attributes
    ----------
    linear : Linear
        W, zero where pruned, and bias.
    mask : (M, K) bool
        True for a kept weight.
    report : PruneReport
    """

    linear: Linear
    mask: Mask
    report: PruneReport


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method of pruning.

    Attributes
    ----------
    scores : function
        (M, K) scores of the weights of a dense layer with these statistics. A global ranking compares them across
        layers. The score of a zero is 0.
    prune : function
        Prunes a dense layer with these statistics to a pattern.
    """

    scores: Callable[[Linear, LayerStatistics], NDArray[np.floating]]
    prune: Callable[[Linear, LayerStatistics, Choose], Pruned]
