"""Random heads: the control for rules that prune heads."""

import numpy as np

from .rule import Mask

__all__ = ["random_heads"]


def random_heads(heads: int, share: float, random: np.random.Generator) -> Mask:
    """(heads,) heads that one layer prunes: a share of them, at random places.

    The number is ``share · heads``, rounded up or down at random, so that the share is exact on average.

    Parameters
    ----------
    heads : int
        Heads of the layer.
    share : float
        From 0 to 1.
    """
    return random.permutation(heads) < int(share * heads + random.random())
