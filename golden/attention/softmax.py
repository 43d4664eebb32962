"""Softmax of a head's rows: weights relative to the row maximum, their sums, and what is needed to divide by them."""

from dataclasses import dataclass

import numpy as np

from ...spec.attention_command import HeadCommand
from ...spec.attention_config import AttentionConfig, Fill, Normalise
from ...spec.formats import RECIPROCAL_FRACTION
from ..lib.integer import Int64, round_half_up_shift
from .exponential import weights
from .reciprocal import reciprocal

__all__ = ["Softmax", "softmax"]


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """A head's softmax in integers. The probability of position (i, j) is weight · mantissa_i / 2^(16 + exponent_i).

    Attributes
    ----------
    weights : (Lq, Lk) int64
        Weight of every position; pruned positions hold their row's background.
    background : (Lq,) int64
        Weight of a pruned position of each row.
    denominators : (Lq,) int64
        Sum of each row's exponentials.
    mantissa, exponent : (Lq,) int64
        What an accumulator is multiplied by to be normalised. With ``early`` the weights are probabilities already,
        and these say 2^−weight_bits.
    """

    weights: Int64
    background: Int64
    denominators: Int64
    mantissa: Int64
    exponent: Int64

    def probabilities(self) -> np.ndarray:
        """(Lq, Lk) float64, for comparison with a float softmax."""
        scale = self.mantissa / 2.0 ** (RECIPROCAL_FRACTION + self.exponent)
        return self.weights * scale[:, None]


def softmax(
    config: AttentionConfig, command: HeadCommand, scores: Int64, kept: np.ndarray, background: Int64
) -> Softmax:
    """Softmax along the rows.

    Parameters
    ----------
    scores : (Lq, Lk) int64
        Read where ``kept``.
    kept : (Lq, Lk) bool
        At least one position of each row.
    background : (Lq,) int64
        Score of each row's pruned positions (ignored by fill ``skip``).
    """
    low = np.iinfo(np.int64).min
    pruned_count = (~kept).sum(axis=1)
    filled = (pruned_count > 0) & (config.fill is not Fill.SKIP)
    maximum = np.maximum(np.where(kept, scores, low).max(axis=1), np.where(filled, background, low))
    own = weights(config, command, np.where(kept, maximum[:, None] - scores, 0))
    fill = np.where(filled, weights(config, command, np.where(filled, maximum - background, 0)), 0)
    row = np.where(kept, own, fill[:, None])
    denominators = row.sum(axis=1)
    mantissa, exponent = reciprocal(config, denominators)
    if config.normalise is Normalise.EARLY:
        shift = RECIPROCAL_FRACTION + exponent - config.weight_bits
        row = np.minimum(round_half_up_shift(row * mantissa[:, None], shift[:, None]), config.weight_max)
        fill = np.minimum(round_half_up_shift(fill * mantissa, shift), config.weight_max)
        mantissa = np.full_like(mantissa, 1 << RECIPROCAL_FRACTION)
        exponent = np.full_like(exponent, config.weight_bits)
    return Softmax(weights=row, background=fill, denominators=denominators, mantissa=mantissa, exponent=exponent)
