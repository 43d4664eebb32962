"""Configuration of an attention core: everything that is fixed when the hardware is generated."""

from dataclasses import dataclass
from enum import StrEnum

from .base import Configuration, check_enum, check_flag, check_one_of, check_range, powers_of_two
from .errors import ConfigError
from .formats import INT8_BITS, INT8_PEAK, OUTPUT_FRACTION, ceil_div, signed_bits, unsigned_bits

__all__ = ["AttentionConfig", "BlockRule", "Fill", "HeadRule", "Importance", "Normalise", "Score", "Split"]


class Split(StrEnum):
    """Rounding of the integer part when an INT8 value is split into an integer part and a fraction.

    The predictor uses only the integer part.
    """

    ROUND = "round"
    TRUNC = "trunc"
    FLOOR = "floor"


class Importance(StrEnum):
    """Reduction of a block's predicted scores II to its importance: max II, Σ|II| or Σ II."""

    MAX = "max"
    ABS_SUM = "abs_sum"
    SUM = "sum"


class BlockRule(StrEnum):
    """What decides whether a block is kept: its importance against a threshold between the mean and an extreme of its
    row (``threshold``), or the predicted probability of its positions (``probability``)."""

    THRESHOLD = "threshold"
    PROBABILITY = "probability"


class Score(StrEnum):
    """Score of a kept position: ``exact`` is q·k, ``approx`` is q·k − qf·kf, where qf and kf are fractions."""

    EXACT = "exact"
    APPROX = "approx"


class Fill(StrEnum):
    """Score of the positions of pruned blocks in the softmax.

    ``background``: the mean predicted score of the pruned positions in the block row. ``zero``: 0. ``skip``: none,
    so that these positions have weight 0.
    """

    BACKGROUND = "background"
    ZERO = "zero"
    SKIP = "skip"


class Normalise(StrEnum):
    """Whether rows are divided by the sum of their weights after P·V (``late``) or before it (``early``)."""

    LATE = "late"
    EARLY = "early"


class HeadRule(StrEnum):
    """What the head threshold τ is compared with: the mean of |II| over a head (``per_element``) or Σ|II|
    (``absolute``)."""

    PER_ELEMENT = "per_element"
    ABSOLUTE = "absolute"


@dataclass(frozen=True, kw_only=True)
class AttentionConfig(Configuration):
    """Structure and policy of an attention core. Golden and hardware take the same configuration.

    Parameters
    ----------
    max_length : int
        Longest sequence of queries or keys, 2…1024, a multiple of ``block``.
    max_head_dim : int
        Largest head dimension, 2…256, a multiple of ``lanes``.
    lanes : int
        Products per cycle of each dot product in the PE array, a power of two, 1…256. The array has
        ``block² · lanes`` INT8 multipliers.
    block : int
        Side of the square blocks of the attention matrix: 2 or 4.
    predictor_lanes : int
        Products per cycle of each dot product in the predictor, 2…256, a multiple of ``lanes`` that divides
        ``max_head_dim``.
    predictor_blocks : int
        Blocks that the predictor computes at a time: 1, 2 or 4.
    output_lanes : int
        Output values normalised per cycle, a power of two that divides ``lanes``.
    compact : bool
        Build a compact core, for the smallest FPGAs, instead of a pipelined one. Its softmax, predictor and
        normaliser process one value at a time and buffer data in block RAM. It needs ``output_lanes`` = 1. Both
        kinds of cores give the same results, bit for bit.
    causal : bool
        The core takes causal heads, those of decoders. The bit of the command that asks for one costs a core without
        this option nothing.
    weight_bits : int
        Bits of an unsigned softmax weight, 8…15.
    fraction_bits : int
        Bits of the fraction when an INT8 value is split into integer and fraction, 2…6.
    reciprocal_segments : int
        Segments of the piecewise-linear reciprocal, a power of two, 1…64.
    split, importance, block_rule, score, fill, normalise, head_rule
        The policy; see the enumerations of this module.

    Raises
    ------
    ConfigError
        A field is illegal. The message names the field, its value and what is allowed.
    """

    max_length: int
    max_head_dim: int
    lanes: int
    predictor_lanes: int
    predictor_blocks: int = 1
    output_lanes: int = 2
    block: int = 2
    compact: bool = False
    causal: bool = False
    weight_bits: int = 12
    fraction_bits: int = 4
    reciprocal_segments: int = 32
    split: Split = Split.ROUND
    importance: Importance = Importance.MAX
    block_rule: BlockRule = BlockRule.THRESHOLD
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
        check_flag("causal", self.causal)
        if self.compact and self.output_lanes != 1:
            raise ConfigError("output_lanes", self.output_lanes, "must be 1 if compact")
        check_range("weight_bits", self.weight_bits, 8, 15)
        check_range("fraction_bits", self.fraction_bits, 2, 6)
        check_one_of("reciprocal_segments", self.reciprocal_segments, powers_of_two(1, 64))
        for field, kind in _ENUMS.items():
            object.__setattr__(self, field, check_enum(field, getattr(self, field), kind))
        if self.block_rule is BlockRule.PROBABILITY and self.importance is not Importance.MAX:
            raise ConfigError("importance", self.importance, "must be max with block_rule=probability")
        if self.block_rule is BlockRule.PROBABILITY and self.fill is Fill.SKIP:
            raise ConfigError("fill", self.fill, "must be background or zero with block_rule=probability")

    # -- sizes ---------------------------------------------------------------------------------

    @property
    def multipliers(self) -> int:
        """INT8 multipliers of the PE array."""
        return self.block**2 * self.lanes

    @property
    def chunks(self) -> int:
        """Steps of ``lanes`` products in a dot product of the largest head dimension."""
        return self.max_head_dim // self.lanes

    @property
    def predictor_chunks(self) -> int:
        """Steps of ``predictor_lanes`` products in a dot product of the largest head dimension."""
        return self.max_head_dim // self.predictor_lanes

    @property
    def blocks(self) -> int:
        """Blocks in the longest sequence."""
        return self.max_length // self.block

    @property
    def predictor_keys(self) -> int:
        """Keys that the predictor processes at a time."""
        return self.predictor_blocks * self.block

    @property
    def groups(self) -> int:
        """Groups of ``predictor_keys`` keys in the longest sequence."""
        return ceil_div(self.max_length, self.predictor_keys)

    @property
    def key_masks(self) -> int:
        """Sets of keys that the queries of a block row see: one per query in a causal core, otherwise one for all."""
        return self.block if self.causal else 1

    # -- widths --------------------------------------------------------------------------------

    @property
    def length_bits(self) -> int:
        """Bits of a length from 0 to ``max_length``."""
        return unsigned_bits(self.max_length)

    @property
    def head_dim_bits(self) -> int:
        """Bits of a head dimension from 0 to ``max_head_dim``."""
        return unsigned_bits(self.max_head_dim)

    @property
    def integer_bits(self) -> int:
        """Bits of the signed integer part of a split INT8 value."""
        return INT8_BITS - self.fraction_bits

    @property
    def fraction_signed_bits(self) -> int:
        """Bits of the signed fraction of a split INT8 value, for every rule.

        With F fraction bits the range of ``round`` is −2^(F−1)…2^F−1, because its integer part saturates. The range
        of ``trunc`` is ±(2^F−1), that of ``floor`` 0…2^F−1.
        """
        return self.fraction_bits + 1

    @property
    def prediction_peak(self) -> int:
        """Largest magnitude of a predicted score II = QI·KI."""
        return self.max_head_dim * (INT8_PEAK >> self.fraction_bits) ** 2

    @property
    def prediction_bits(self) -> int:
        """Bits of a signed predicted score."""
        return signed_bits(-self.prediction_peak, self.prediction_peak)

    @property
    def level_bits(self) -> int:
        """Bits of a signed level: a predicted score times a factor of at most 1."""
        return self.prediction_bits

    @property
    def importance_peak(self) -> int:
        """Largest magnitude of the importance of a block."""
        return self.prediction_peak * (1 if self.importance is Importance.MAX else self.block**2)

    @property
    def importance_bits(self) -> int:
        """Bits of a signed importance."""
        return signed_bits(-self.importance_peak, self.importance_peak)

    @property
    def head_sum_bits(self) -> int:
        """Bits of θ_H = Σ|II|, and of the head threshold."""
        return unsigned_bits(self.max_length**2 * self.prediction_peak)

    @property
    def kept_bits(self) -> int:
        """Bits of the number of blocks that a head keeps."""
        return unsigned_bits(self.blocks**2)

    @property
    def saturation_bits(self) -> int:
        """Bits of the number of clipped outputs of a head."""
        return unsigned_bits(self.max_length * self.max_head_dim)

    @property
    def score_peak(self) -> int:
        """Bound of |score|: of exact scores, approximate scores and the background, 2^(2F) times a mean II."""
        exact = self.max_head_dim * INT8_PEAK**2
        fractions = self.max_head_dim * ((1 << self.fraction_bits) - 1) ** 2
        return exact + (fractions if self.score is Score.APPROX else 0)

    @property
    def score_bits(self) -> int:
        """Bits of a signed score."""
        return signed_bits(-self.score_peak, self.score_peak)

    @property
    def weight_max(self) -> int:
        """Largest softmax weight. The position of the row maximum has it."""
        return (1 << self.weight_bits) - 1

    @property
    def denominator_bits(self) -> int:
        """Bits of the sum of a row's weights."""
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
        """Bits of the signed sum of a column of V."""
        return signed_bits(-self.max_length * INT8_PEAK, self.max_length * INT8_PEAK)

    @property
    def output_operand_bits(self) -> int:
        """Bits of the signed operand acc · 2^9 >> e, where e is the exponent of the row.

        ``late``: −128·D ≤ acc ≤ 127·D and D < 2^(e+1) for the denominator D, so that the operand is at least
        −128·2^(9+1). ``early``: the probabilities of a row sum to at most 1, plus the error of the reciprocal (less
        than 7 %, with one segment), plus half a unit for each position.
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
        """The policy fields as strings."""
        return {field: str(getattr(self, field)) for field in _ENUMS}


_ENUMS: dict[str, type[StrEnum]] = {
    "split": Split,
    "importance": Importance,
    "block_rule": BlockRule,
    "score": Score,
    "fill": Fill,
    "normalise": Normalise,
    "head_rule": HeadRule,
}
