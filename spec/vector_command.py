"""Command of a vector unit."""

from dataclasses import dataclass, fields
from enum import IntEnum

from .base import check_encodable
from .formats import unsigned_bits
from .vector import EPSILON_BITS, NORM_SHIFT_BITS
from .vector_config import VectorConfig

__all__ = ["VectorCommand", "VectorError", "vector_command_widths"]


class VectorError(IntEnum):
    """Field ``error`` of the statistics: why the hardware rejects a command, or what is wrong with its packets.

    The output of a command with ``MISSING`` or ``SURPLUS`` has its usual length, and undefined values.
    """

    NONE = 0
    CHANNELS = 1
    TOKENS = 2
    MISSING = 3
    SURPLUS = 4


@dataclass(frozen=True, kw_only=True)
class VectorCommand:
    """Command of one residual sum with LayerNorm, with the fields of the command stream.

    The constructor checks nothing, so that tests can send illegal commands. :meth:`check_encodable` checks that the
    fields fit the stream, :meth:`rejection` what the hardware accepts.

    Parameters
    ----------
    channels, tokens : int
        C and N.
    shift : int
        Right shift of the results, 0…31.
    epsilon : int
        Added to C² times the variance, 32 bits.
    """

    channels: int
    tokens: int
    shift: int
    epsilon: int = 0

    def rejection(self, config: VectorConfig) -> VectorError:
        """Reason why the hardware rejects this command, or ``NONE``."""
        if not 1 <= self.channels <= config.max_channels:
            return VectorError.CHANNELS
        return VectorError.NONE if 1 <= self.tokens <= config.max_tokens else VectorError.TOKENS

    def check_encodable(self, config: VectorConfig) -> None:
        """Check that the command fits the fields of the command stream.

        Raises
        ------
        CommandValueError
            A field does not fit. The message names the field, its value and its range.
        """
        check_encodable(self, vector_command_widths(config))


def vector_command_widths(config: VectorConfig) -> dict[str, tuple[int, bool]]:
    """Bits and signedness of each command field, in the order of the stream's payload, lowest bits first."""
    widths = {
        "channels": (unsigned_bits(config.max_channels), False),
        "tokens": (unsigned_bits(config.max_tokens), False),
        "shift": (NORM_SHIFT_BITS, False),
        "epsilon": (EPSILON_BITS, False),
    }
    assert list(widths) == [field.name for field in fields(VectorCommand)]
    return widths
