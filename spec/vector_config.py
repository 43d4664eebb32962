"""Configuration of a vector unit: everything that is fixed when the hardware is generated."""

from dataclasses import dataclass

from .base import Configuration, check_one_of, check_range, powers_of_two
from .formats import unsigned_bits
from .vector import (
    CHANNEL_SHIFT_BITS,
    GAIN_BITS,
    MAX_CHANNELS,
    NORM_BIAS_BITS,
    operand_bits,
    square_sum_bits,
    total_bits,
    variance_bits,
)

__all__ = ["VectorConfig"]


@dataclass(frozen=True, kw_only=True)
class VectorConfig(Configuration):
    """Structure of a vector unit.

    Parameters
    ----------
    lanes : int
        Tokens that are computed at a time, a power of two, 1…32. A lane has three 18×18 multipliers; one more is
        shared.
    max_channels : int
        Largest number of channels C, 1…1024.
    max_tokens : int
        Largest number of tokens N, 1…2^24. It affects only the widths of counters, because tokens are streamed.

    Raises
    ------
    ConfigError
        A field is illegal. The message names the field, its value and what is allowed.
    """

    lanes: int = 8
    max_channels: int = MAX_CHANNELS
    max_tokens: int = 65535

    def __post_init__(self):
        check_one_of("lanes", self.lanes, powers_of_two(1, 32))
        check_range("max_channels", self.max_channels, 1, MAX_CHANNELS)
        check_range("max_tokens", self.max_tokens, 1, 1 << 24)

    @property
    def multipliers(self) -> int:
        """18×18 multipliers of all lanes, and the one that they share."""
        return 3 * self.lanes + 1

    @property
    def channel_bits(self) -> int:
        """Bits of a channel's index."""
        return unsigned_bits(self.max_channels - 1)

    @property
    def total_bits(self) -> int:
        """Bits of the signed sum S1, and of C·v − S1."""
        return total_bits(self.max_channels)

    @property
    def square_sum_bits(self) -> int:
        """Bits of S2."""
        return square_sum_bits(self.max_channels)

    @property
    def variance_bits(self) -> int:
        """Bits of V."""
        return variance_bits(self.max_channels)

    @property
    def exponent_bits(self) -> int:
        """Bits of k, where V = 4^k · m and 1 ≤ m < 4."""
        return unsigned_bits((self.variance_bits - 1) // 2)

    @property
    def operand_bits(self) -> int:
        """Bits of the signed operand u."""
        return operand_bits(self.max_channels)

    @property
    def saturation_bits(self) -> int:
        """Bits of the number of clipped results of a command."""
        return unsigned_bits(self.max_channels * self.max_tokens)

    def parameter_widths(self) -> dict[str, tuple[int, bool]]:
        """Bits and signedness of the parameters of a channel, in the order of the stream's payload, lowest bits first.

        ``x_shift`` and ``y_shift`` must be at most 9; the result is undefined for larger ones.
        """
        return {
            "x_shift": (CHANNEL_SHIFT_BITS, False),
            "y_shift": (CHANNEL_SHIFT_BITS, False),
            "gain": (GAIN_BITS, True),
            "bias": (NORM_BIAS_BITS, True),
        }
