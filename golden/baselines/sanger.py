"""Sanger's rule: a threshold on the softmax of the scores of quantised queries and keys.

Lu et al., "Sanger: A Co-Design Framework for Enabling Sparse Attention using Reconfigurable Architecture", MICRO 2021.
"""

import numpy as np

from .rule import HeadView, Mask, Rule

__all__ = ["SANGER"]

DENSEST = -24.0


def _keep(head: HeadView, log_threshold: float) -> Mask:
    exponents = np.where(head.visible, head.scores * head.nats, -np.inf)
    weights = np.exp(exponents - exponents.max(axis=-1, keepdims=True))
    return weights >= 2.0**log_threshold * weights.sum(axis=-1, keepdims=True)


SANGER = Rule(name="sanger", title="Sanger", elements=True, dense=DENSEST, sparse=0.0, keep=_keep)
"""The parameter is the binary logarithm of the threshold. The softmax is in floating point."""
