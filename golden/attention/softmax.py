"""Softmax: the weights of a head's rows, their sums, and the reciprocals of these sums."""

from dataclasses import dataclass

import numpy as np

from ...spec.attention_command import HeadCommand
from ...spec.attention_config import AttentionConfig, Fill, Normalise
from ...spec.formats import RECIPROCAL_FRACTION
from ..lib.integer import Int64, round_half_up_shift
from .exponential import weights
from .reciprocal import reciprocal
from .visible import visible_positions

__all__ = ["Softmax", "softmax"]


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """Softmax of a head in integers. The probability of position (i, j) is weight · mantissa_i / 2^(16 + exponent_i).

    Attributes
    ----------
    weights : (…, Lq, Lk) int64
        Weight of every position. All pruned positions of a row have the weight of its background, and keys that the row
        does not see have none.
    background : (…, Lq) int64
        Weight of a pruned position of each row; 0 if the row has none.
    denominators : (…, Lq) int64
        Sum of the weights of each row; weight_max for a row without weights. With ``early``, the sum before the weights
        are divided by it.
    mantissa, exponent : (…, Lq) int64
        Factor that normalises an accumulator. With ``early`` the weights are already probabilities, and the factor is
        2^−weight_bits.
    """

    weights: Int64
    background: Int64
    denominators: Int64
    mantissa: Int64
    exponent: Int64

    def probabilities(self) -> np.ndarray:
        """Probabilities (…, Lq, Lk) as float64, for comparison with a softmax in floating point."""
        scale = self.mantissa / 2.0 ** (RECIPROCAL_FRACTION + self.exponent)
        return self.weights * scale[..., None]


def softmax(
    config: AttentionConfig, command: HeadCommand, scores: Int64, kept: np.ndarray, background: Int64
) -> Softmax:
    """Softmax of each row.

    Parameters
    ----------
    config : AttentionConfig
    command : HeadCommand
    scores : (…, Lq, Lk) int64
        Only the scores of kept positions are used.
    kept : (…, Lq, Lk) bool
        Kept positions; only keys that the row sees.
    background : (…, Lq) int64
        Score of the pruned positions of each row. Not used with the fill ``skip``.
    """
    seen = visible_positions(command) if command.causal else np.True_
    counted = kept if config.fill is Fill.SKIP else np.broadcast_to(seen, kept.shape)
    filled = np.where(kept, scores, background[..., None])
    maximum = np.where(counted, filled, np.iinfo(np.int64).min).max(axis=-1)
    # Where a position does not count, 0 replaces a difference that may be negative.
    difference = np.where(counted, maximum[..., None] - filled, 0)
    row_weights = np.where(counted, weights(config, command, difference), 0)
    denominators = np.where(counted.any(axis=-1), row_weights.sum(axis=-1), config.weight_max)
    mantissa, exponent = reciprocal(config, denominators)
    if config.normalise is Normalise.EARLY:
        shift = RECIPROCAL_FRACTION + exponent - config.weight_bits
        probabilities = round_half_up_shift(row_weights * mantissa[..., None], shift[..., None])
        row_weights = np.minimum(probabilities, config.weight_max)
        mantissa = np.full_like(mantissa, 1 << RECIPROCAL_FRACTION)
        exponent = np.full_like(exponent, config.weight_bits)
    return Softmax(
        weights=row_weights,
        background=np.where(kept, 0, row_weights).max(axis=-1),
        denominators=denominators,
        mantissa=mantissa,
        exponent=exponent,
    )
