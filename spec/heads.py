"""A head of attention as work for a core, and the core's answer."""

from dataclasses import dataclass, field
from typing import Any

from .attention_command import CommandError, HeadCommand

__all__ = ["Head", "HeadStatistics"]

Head = tuple[HeadCommand, Any, Any, Any]
"""A command with its Q (Lq, d), K (Lk, d) and V (Lk, d) as int8 arrays. Operands of a refused command are not read."""


@dataclass(frozen=True, kw_only=True)
class HeadStatistics:
    """The statistics stream's answer to a head.

    Two answers are equal if everything but their cycles is equal.

    Attributes
    ----------
    error : CommandError
        Why the command was refused, or ``NONE``.
    pruned : bool
        The head mask removed the head; its output is zero.
    kept_blocks : int
        Blocks that the main array computed; 0 for a pruned head.
    saturations : int
        Outputs that were clipped to INT8.
    cycles : int or None
        From the acceptance of the command to that of the head's last output beat; the golden model has none.
    """

    error: CommandError
    pruned: bool
    kept_blocks: int
    saturations: int
    cycles: int | None = field(default=None, compare=False)
