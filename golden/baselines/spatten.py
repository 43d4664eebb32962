"""SpAtten's cascade head pruning: heads of little importance so far are pruned in all later layers.

Wang et al., arXiv 2012.09852. The importance of a head is the sum of the magnitudes of its outputs, accumulated over
the layers that have run.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["CascadeHeads"]


class CascadeHeads:
    """Heads of one sentence, layer by layer.

    Layer l of L prunes the share min(p · l / (L − 1), 1 − 1/H) of its H heads, rounded to whole heads. So the first
    layer prunes none, because nothing is known yet, and one head always stays.

    Parameters
    ----------
    heads, layers : int
        H and L.
    parameter : float
        p, from 0 (no head) to L − 1 (all but one from the second layer on).

    Attributes
    ----------
    pruned : (heads,) bool
        Heads that are pruned in the current layer.
    """

    def __init__(self, heads: int, layers: int, parameter: float):
        self._layers, self._parameter = layers, parameter
        self._importance = np.zeros(heads)
        self._layer = 0
        self.pruned: NDArray[np.bool_] = np.zeros(heads, np.bool_)

    @staticmethod
    def count(layer: int, *, heads: int, layers: int, parameter: float) -> int:
        """Number of heads that a layer prunes."""
        return min(round(heads * parameter * layer / max(layers - 1, 1)), heads - 1)

    def advance(self, magnitudes: NDArray[np.float64]) -> None:
        """Go to the next layer.

        Parameters
        ----------
        magnitudes : (heads,) float64
            Sum of the magnitudes of each head's outputs in this layer, in real units; 0 for pruned heads.
        """
        self._importance += magnitudes
        self._layer += 1
        heads = len(self.pruned)
        wanted = self.count(self._layer, heads=heads, layers=self._layers, parameter=self._parameter)
        ranked = np.argsort(np.where(self.pruned, -1, self._importance), kind="stable")
        self.pruned = np.zeros(heads, np.bool_)
        self.pruned[ranked[:wanted]] = True
