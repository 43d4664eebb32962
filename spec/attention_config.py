"""What an attention core is: everything that is fixed when the hardware is generated."""

from dataclasses import dataclass
from enum import StrEnum

from .base import Configuration, check_enum, check_flag, check_one_of, check_range, powers_of_two
from .errors import ConfigError
from .formats import INT8_BITS, INT8_PEAK, OUTPUT_FRACTION, ceil_div, signed_bits, unsigned_bits

__all__ = ["AttentionConfig", "Fill", "HeadRule", "Importance", "Normalise", "Score", "Split"]


class Split(StrEnum):
    """How an INT8 value is split into an integer part, which the predictor sees, and a fraction."""

    ROUND = "round"
    TRUNC = "trunc"
    FLOOR = "floor"


class Importance(StrEnum):
    """What a block's predicted scores are reduced to."""

    MAX = "max"
    ABS_SUM = "abs_sum"
    SUM = "sum"


class Score(StrEnum):
    """Score of a kept position: ``exact`` q·k, or ``approx`` q·k − qf·kf."""

    EXACT = "exact"
    APPROX = "approx"


class Fill(StrEnum):
    """What a pruned block stands for in the softmax."""

    BACKGROUND = "background"
    ZERO = "zero"
    SKIP = "skip"


class Normalise(StrEnum):
    """When the softmax is divided by its row sum: after P·V (``late``) or before it (``early``)."""

    LATE = "late"
    EARLY = "early"


class HeadRule(StrEnum):
    """What τ is compared with: the mean |II| of a head, or its plain sum."""

    PER_ELEMENT = "per_element"
    ABSOLUTE = "absolute"


@dataclass(frozen=True, kw_only=True)
class AttentionConfig(Configuration):
    """Structure of an attention core. One configuration drives golden and hardware alike.

    Parameters
    ----------
    max_length : int
        Longest sequence (queries or keys), 2…1024, a multiple of ``block``.
    max_head_dim : int
        Largest head dimension, 2…256, a multiple of ``lanes``.
    lanes : int
        Depth of the INT8 array: it has ``block² · lanes`` multipliers. A power of two, 1…256.
    block : int
        Side of the square blocks of the attention matrix: 2 or 4.
    predictor_lanes : int
        Depth of the predictor's nibble array, a multiple of ``lanes`` that divides ``max_head_dim``.
    predictor_blocks : int
        Blocks that the predictor works on at a time: 1, 2 or 4.
    output_lanes : int
        Output values normalised per cycle, a power of two that divides ``lanes``.
    compact : bool
        For the smallest FPGAs: softmax, predictor and normaliser work on one value at a time and keep what waits in
        block RAM. Needs ``output_lanes`` of 1. Results are the same, to the bit.
    weight_bits : int
        Bits of an unsigned softmax weight, 8…15.
    fraction_bits : int
        Bits of the fraction in the split of INT8 into integer and fraction, 2…6.
    reciprocal_segments : int
        Pieces of the piecewise-linear reciprocal, a power of two, 1…64.
    split, importance, score, fill, normalise, head_rule
        The policy; see the enumerations of this module.

    Raises
    ------
    ConfigError
        Names the field, its value and what is allowed.
    """

    max_length: int
    max_head_dim: int
    lanes: int
    predictor_lanes: int
    predictor_blocks: int = 1
    output_lanes: int = 2
    block: int = 2
    compact: bool = False
    weight_bits: int = 12
    fraction_bits: int = 4
    reciprocal_segments: int = 32
    split: Split = Split.ROUND
    importance: Importance = Importance.MAX
    score: Score = Score.EXACT
    fill: Fill = Fill.BACKGROUND
    normalise: Normalise = Normalise.LATE
    head_rule: HeadRule = HeadRule.PER_ELEMENT

    def __post_init__(self):
        check_one_of("block", self.block, (2, 4))
        check_range("max_length", self.max_length, 2, 1024)
        if self.max_length % self.block:
            raise ConfigError("max_length", self.max_length, f"must be a multiple of block={self.block}")
        check_one_of("lanes", self.lanes, powers_of_two(1, 256))
        check_range("max_head_dim", self.max_head_dim, 2, 256)
        if self.max_head_dim % self.lanes:
            raise ConfigError("max_head_dim", self.max_head_dim, f"must be a multiple of lanes={self.lanes}")
        check_range("predictor_lanes", self.predictor_lanes, 2, 256)
        if self.predictor_lanes % self.lanes or self.max_head_dim % self.predictor_lanes:
            raise ConfigError(
                "predictor_lanes",
                self.predictor_lanes,
                f"must be a multiple of lanes={self.lanes} that divides max_head_dim={self.max_head_dim}",
            )
        check_one_of("predictor_blocks", self.predictor_blocks, (1, 2, 4))
        check_one_of("output_lanes", self.output_lanes, powers_of_two(1, 256))
        if self.lanes % self.output_lanes:
            raise ConfigError("output_lanes", self.output_lanes, f"must divide lanes={self.lanes}")
        check_flag("compact", self.compact)
        if self.compact and self.output_lanes != 1:
            raise ConfigError("output_lanes", self.output_lanes, "must be 1 if compact")
        check_range("weight_bits", self.weight_bits, 8, 15)
        check_range("fraction_bits", self.fraction_bits, 2, 6)
        check_one_of("reciprocal_segments", self.reciprocal_segments, powers_of_two(1, 64))
        for field, kind in _ENUMS.items():
            object.__setattr__(self, field, check_enum(field, getattr(self, field), kind))

    # -- sizes ---------------------------------------------------------------------------------

    @property
    def multipliers(self) -> int:
        """INT8 multipliers of the main array (the "lanes" of the reports)."""
        return self.block**2 * self.lanes

    @property
    def chunks(self) -> int:
        """Steps of ``lanes`` that the largest head dimension takes."""
        return self.max_head_dim // self.lanes

    @property
    def predictor_chunks(self) -> int:
        """Steps of ``predictor_lanes`` that the largest head dimension takes."""
        return self.max_head_dim // self.predictor_lanes

    @property
    def blocks(self) -> int:
        """Blocks along the longest sequence."""
        return self.max_length // self.block

    @property
    def predictor_keys(self) -> int:
        """Keys that the predictor works on at a time."""
        return self.predictor_blocks * self.block

    @property
    def groups(self) -> int:
        """Key groups of the predictor along the longest sequence."""
        return ceil_div(self.max_length, self.predictor_keys)

    # -- widths --------------------------------------------------------------------------------

    @property
    def length_bits(self) -> int:
        """Bits of a length 0…max_length."""
        return unsigned_bits(self.max_length)

    @property
    def head_dim_bits(self) -> int:
        """Bits of a head dimension 0…max_head_dim."""
        return unsigned_bits(self.max_head_dim)

    @property
    def integer_bits(self) -> int:
        """Bits of the signed integer part of a split INT8 value."""
        return INT8_BITS - self.fraction_bits

    @property
    def fraction_signed_bits(self) -> int:
        """Bits of the signed fraction of a split INT8 value, whatever the rule.

        ``round`` reaches −2^(F−1)…2^F−1 (its integer part saturates), ``trunc`` ±(2^F−1), ``floor`` 0…2^F−1.
        """
        return self.fraction_bits + 1

    @property
    def prediction_peak(self) -> int:
        """Largest |II| = |QI·KI|."""
        return self.max_head_dim * (INT8_PEAK >> self.fraction_bits) ** 2

    @property
    def prediction_bits(self) -> int:
        """Bits of a signed II."""
        return signed_bits(-self.prediction_peak, self.prediction_peak)

    @property
    def importance_peak(self) -> int:
        """Largest magnitude of a block's importance."""
        return self.prediction_peak * (1 if self.importance is Importance.MAX else self.block**2)

    @property
    def importance_bits(self) -> int:
        """Bits of a signed importance."""
        return signed_bits(-self.importance_peak, self.importance_peak)

    @property
    def head_sum_bits(self) -> int:
        """Bits of θ_H = Σ|II|, and of the threshold that it is compared with."""
        return unsigned_bits(self.max_length**2 * self.prediction_peak)

    @property
    def kept_bits(self) -> int:
        """Bits of the number of kept blocks of a head."""
        return unsigned_bits(self.blocks**2)

    @property
    def saturation_bits(self) -> int:
        """Bits of the number of clipped outputs of a head."""
        return unsigned_bits(self.max_length * self.max_head_dim)

    @property
    def score_peak(self) -> int:
        """Bound of |score|: exact and approximate scores, and 2^2F times a mean II, stay within it."""
        exact = self.max_head_dim * INT8_PEAK**2
        fractions = self.max_head_dim * ((1 << self.fraction_bits) - 1) ** 2
        return exact + (fractions if self.score is Score.APPROX else 0)

    @property
    def score_bits(self) -> int:
        """Bits of a signed score."""
        return signed_bits(-self.score_peak, self.score_peak)

    @property
    def weight_max(self) -> int:
        """Largest softmax weight; the row maximum has it."""
        return (1 << self.weight_bits) - 1

    @property
    def denominator_bits(self) -> int:
        """Bits of a row's sum of weights."""
        return unsigned_bits(self.max_length * self.weight_max)

    @property
    def exponent_bits(self) -> int:
        """Bits of floor(log2 denominator)."""
        return unsigned_bits(self.denominator_bits - 1)

    @property
    def accumulator_bits(self) -> int:
        """Bits of a signed P·V accumulator."""
        peak = self.max_length * self.weight_max * INT8_PEAK
        return signed_bits(-peak, peak)

    @property
    def value_sum_bits(self) -> int:
        """Bits of the signed sum of one column of V."""
        return signed_bits(-self.max_length * INT8_PEAK, self.max_length * INT8_PEAK)

    @property
    def output_operand_bits(self) -> int:
        """Bits of the signed accumulator after division by a power of two, with ``OUTPUT_FRACTION`` bits.

        Late: −128·D ≤ acc ≤ 127·D and D < 2^(k+1), so the operand is at least −128·2^(9+1). Early: the
        probabilities of a row sum to at most 1 + the error of the reciprocal (6.7 % with one segment) + half a unit
        each.
        """
        if self.normalise is Normalise.LATE:
            peak = INT8_PEAK << (OUTPUT_FRACTION + 1)
            return signed_bits(-peak, peak - 1)
        probabilities = ((1 << self.weight_bits) * 107) // 100 + self.max_length // 2 + 1
        peak = ((INT8_PEAK * probabilities) << OUTPUT_FRACTION) >> self.weight_bits
        return signed_bits(-peak, peak)

    # -- policy --------------------------------------------------------------------------------

    @property
    def policy(self) -> dict[str, str]:
        """The policy fields as plain strings."""
        return {field: str(getattr(self, field)) for field in _ENUMS}


_ENUMS: dict[str, type[StrEnum]] = {
    "split": Split,
    "importance": Importance,
    "score": Score,
    "fill": Fill,
    "normalise": Normalise,
    "head_rule": HeadRule,
}
