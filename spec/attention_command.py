"""Command of an attention head: the run-time settings as integers, and their conversion from real numbers."""

import math
import operator
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import SupportsFloat, SupportsIndex

from .attention_config import AttentionConfig, HeadRule
from .base import check_encodable
from .errors import CommandValueError
from .formats import (
    EXP_FRACTION,
    OUTPUT_MULTIPLIER_BITS,
    OUTPUT_SHIFT_BITS,
    RHO_FRACTION,
    SCALE_FRACTION,
    SCORE_MULTIPLIER_BITS,
    SCORE_SHIFT_BITS,
    unsigned_bits,
)

__all__ = [
    "CommandError",
    "HeadCommand",
    "command_widths",
    "head_command",
    "output_scaling",
    "rejection_bits",
    "scaling",
    "score_scaling",
]

DENSE_RHO = -1.0
"""ρ that keeps every block: the threshold is the row's smallest importance."""


class CommandError(IntEnum):
    """Field ``error`` of the statistics: why the hardware rejects a command, or what is wrong with its packets.

    The output of a command with ``MISSING`` or ``SURPLUS`` has its usual length, and undefined values.
    """

    NONE = 0
    QUERY_LENGTH = 1
    KEY_LENGTH = 2
    HEAD_DIM = 3
    CAUSAL = 4
    """A causal head has more queries than keys. Only causal cores have this code."""
    MISSING = 5
    SURPLUS = 6


@dataclass(frozen=True, kw_only=True)
class HeadCommand:
    """Command of one head, with the fields of the command stream.

    The constructor checks nothing, so that tests can send illegal commands. :meth:`check_encodable` checks that the
    fields fit the stream, :meth:`rejection` what the hardware accepts.

    Parameters
    ----------
    query_length, key_length, head_dim : int
        Lq, Lk and d.
    rho : int
        Pruning parameter ρ·2^8, −256…255. −256 keeps every block. With the rule ``probability``, the cutoff is
        (rho + 256) / 512.
    head_threshold : int
        The head is pruned if Σ|II| is below this number.
    score_multiplier, score_shift : int
        Scale of the scores: a weight is 2^−t, t = (δ >> score_shift) · score_multiplier / 2^24, where δ is the row
        maximum minus the score.
    output_multiplier, output_shift : int
        Scale of the outputs: the INT8 result is the normalised output times output_multiplier / 2^output_shift.
    causal : int
        1: query i sees the keys 0…Lk − Lq + i. 0: every query sees every key. Cores without ``causal`` have no such
        bit; they take 0.
    """

    query_length: int
    key_length: int
    head_dim: int
    rho: int = -(1 << RHO_FRACTION)
    head_threshold: int = 0
    score_multiplier: int = 1 << SCALE_FRACTION
    score_shift: int = 0
    output_multiplier: int = 1 << (OUTPUT_MULTIPLIER_BITS - 1)
    output_shift: int = OUTPUT_MULTIPLIER_BITS - 1
    causal: int = 0

    def visible_keys(self, query: int) -> int:
        """Number of keys that a query sees: the first ones. The queries are the last positions of the sequence."""
        return self.key_length - self.query_length + query + 1 if self.causal else self.key_length

    def rejection(self, config: AttentionConfig) -> CommandError:
        """Reason why the hardware rejects this command, or ``NONE``."""
        if not 1 <= self.query_length <= config.max_length:
            return CommandError.QUERY_LENGTH
        if not 1 <= self.key_length <= config.max_length:
            return CommandError.KEY_LENGTH
        if not 1 <= self.head_dim <= config.max_head_dim:
            return CommandError.HEAD_DIM
        if config.causal and self.causal and self.query_length > self.key_length:
            return CommandError.CAUSAL
        return CommandError.NONE

    def check_encodable(self, config: AttentionConfig) -> None:
        """Check that the command fits the fields of the command stream.

        Raises
        ------
        CommandValueError
            A field does not fit. The message names the field, its value and its range.
        """
        if self.causal and not config.causal:
            raise CommandValueError("causal", self.causal, "must be 0, unless the core is generated with causal=True")
        check_encodable(self, command_widths(config))


def rejection_bits(config: AttentionConfig) -> int:
    """Bits of the reason why a core rejects a command."""
    return unsigned_bits(CommandError.CAUSAL if config.causal else CommandError.HEAD_DIM)


def command_widths(config: AttentionConfig) -> dict[str, tuple[int, bool]]:
    """Bits and signedness of each command field, in the order of the stream's payload, lowest bits first."""
    widths = {
        "query_length": (config.length_bits, False),
        "key_length": (config.length_bits, False),
        "head_dim": (config.head_dim_bits, False),
        "rho": (RHO_FRACTION + 1, True),
        "head_threshold": (config.head_sum_bits, False),
        "score_multiplier": (SCORE_MULTIPLIER_BITS, False),
        "score_shift": (SCORE_SHIFT_BITS, False),
        "output_multiplier": (OUTPUT_MULTIPLIER_BITS, False),
        "output_shift": (OUTPUT_SHIFT_BITS, False),
        "causal": (int(config.causal), False),
    }
    assert list(widths) == [field.name for field in fields(HeadCommand)]
    return widths


def _integer(name: str, value: object) -> int:
    """Convert an integer of any type, such as NumPy's, to a Python integer."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise CommandValueError(name, value, "must be an integer")
    return operator.index(value)


def _real(name: str, value: object) -> float:
    if isinstance(value, str | bytes) or not isinstance(value, SupportsFloat):
        raise CommandValueError(name, value, "must be a number")
    return float(value)


def score_scaling(score_scale: float) -> tuple[int, int]:
    """Fields ``score_multiplier`` and ``score_shift`` for scores of ``score_scale`` nats per unit of q·k.

    The exponent is t = difference · score_scale · log2(e), with 12 fraction bits. The shift drops low bits of the
    difference as long as a unit of the shifted difference is at most one unit of t, 2^−12, and the shift fits 4 bits.

    Raises
    ------
    CommandValueError
        The scale is not positive and finite, or so large that its multiplier does not fit 17 bits: a unit of q·k is
        more than 2^−7 in t.
    """
    score_scale = _real("score_scale", score_scale)
    if not (math.isfinite(score_scale) and score_scale > 0):
        raise CommandValueError("score_scale", score_scale, "must be positive and finite")
    factor = score_scale * math.log2(math.e) * (1 << EXP_FRACTION)
    shift = 0
    while factor * 2 ** (shift + 1) <= 1 and shift < (1 << SCORE_SHIFT_BITS) - 1:
        shift += 1
    multiplier = round(factor * 2**shift * (1 << SCALE_FRACTION))
    limit = (1 << SCORE_MULTIPLIER_BITS) - 1
    if multiplier > limit:
        allowed = limit / (math.log2(math.e) * (1 << (EXP_FRACTION + SCALE_FRACTION)))
        raise CommandValueError("score_scale", score_scale, f"must be at most {allowed:.6f} nats per unit of q·k")
    return multiplier, shift


def scaling(name: str, scale: float, *, bits: int, least_shift: int, shift_bits: int) -> tuple[int, int]:
    """Multiplier and shift for which multiplier / 2^(least_shift + shift) is nearest to ``scale``.

    The multiplier has exactly ``bits`` bits: its highest bit is 1.

    Parameters
    ----------
    name : str
        Name of the scale in messages.
    scale : float
    bits : int
        Bits of the multiplier.
    least_shift : int
        Constant part of the shift.
    shift_bits : int
        Bits of the shift.

    Returns
    -------
    multiplier, shift : int

    Raises
    ------
    CommandValueError
        ``scale`` is not a number from 2^(bits − least_shift − 2^shift_bits) to 2^(bits − 1 − least_shift).
    """
    scale = _real(name, scale)
    high = bits - 1 - least_shift
    low = high - (1 << shift_bits) + 1
    if not (math.isfinite(scale) and 2.0**low <= scale <= 2.0**high):
        raise CommandValueError(name, scale, f"must be from 2^{low} to 2^{high}")
    mantissa, exponent = math.frexp(scale)
    multiplier, shift = round(mantissa * (1 << bits)), bits - exponent
    if multiplier == 1 << bits:  # the mantissa was rounded up to 1
        multiplier, shift = multiplier // 2, shift - 1
    return multiplier, shift - least_shift


def output_scaling(output_scale: float) -> tuple[int, int]:
    """Fields ``output_multiplier`` and ``output_shift``, for which multiplier / 2^shift is nearest to ``output_scale``.

    Raises
    ------
    CommandValueError
        The scale is not from 2^−16 to 2^15.
    """
    return scaling(
        "output_scale", output_scale, bits=OUTPUT_MULTIPLIER_BITS, least_shift=0, shift_bits=OUTPUT_SHIFT_BITS
    )


def head_command(
    config: AttentionConfig,
    *,
    query_length: int,
    key_length: int,
    head_dim: int,
    score_scale: float,
    output_scale: float,
    rho: float = DENSE_RHO,
    tau: float = 0.0,
    causal: int = 0,
) -> HeadCommand:
    """Make the command of a head from real-valued settings.

    Parameters
    ----------
    query_length, key_length, head_dim : int
        Lq, Lk and d.
    score_scale : float
        Nats per unit of q·k: (scale of Q)·(scale of K) / √d.
    output_scale : float
        (Scale of V) / (scale of O).
    rho : float
        Pruning parameter, −1 ≤ ρ < 1, rounded to a multiple of 1/256. −1 keeps every block.
    tau : float
        Head threshold, at least 0. It is compared with the mean or the sum of |II|, as ``config.head_rule`` says.
        0 prunes no head.
    causal : int
        1: query i sees the keys 0…Lk − Lq + i only. The core must be generated with ``causal``.

    Raises
    ------
    CommandValueError
        A value is out of range. The message names it and says what is allowed.
    """
    lengths = {"query_length": query_length, "key_length": key_length, "head_dim": head_dim}
    query_length, key_length, head_dim = (_integer(name, value) for name, value in lengths.items())
    rho, tau = _real("rho", rho), _real("tau", tau)
    if not (math.isfinite(rho) and -1 <= rho < 1):
        raise CommandValueError("rho", rho, "must be at least -1 (keep all blocks) and below 1")
    if not (math.isfinite(tau) and tau >= 0):
        raise CommandValueError("tau", tau, "must be 0 (no head is pruned) or positive")
    elements = 1
    if config.head_rule is HeadRule.PER_ELEMENT:
        # A causal query sees one key fewer than the query behind it.
        hidden = query_length * (query_length - 1) // 2 if causal else 0
        elements = max(query_length * key_length - hidden, 0)
    # An integer is below a real threshold if and only if it is below its ceiling: rounding up is exact.
    head_threshold = min(math.ceil(tau * elements), (1 << config.head_sum_bits) - 1)
    score_multiplier, score_shift = score_scaling(score_scale)
    output_multiplier, output_shift = output_scaling(output_scale)
    return HeadCommand(
        query_length=query_length,
        key_length=key_length,
        head_dim=head_dim,
        rho=min(round(rho * (1 << RHO_FRACTION)), (1 << RHO_FRACTION) - 1),
        head_threshold=head_threshold,
        score_multiplier=score_multiplier,
        score_shift=score_shift,
        output_multiplier=output_multiplier,
        output_shift=output_shift,
        causal=int(causal),
    )
