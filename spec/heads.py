"""Head of attention: the operands that a core takes, and the statistics that it returns."""

from dataclasses import dataclass, field
from typing import Any

from .attention_command import CommandError, HeadCommand

__all__ = ["Head", "HeadStatistics"]

Head = tuple[HeadCommand, Any, Any, Any]
"""Command, Q (Lq, d), K (Lk, d) and V (Lk, d) of a head; the matrices are int8 arrays. Operands of a rejected command
are not used."""


@dataclass(frozen=True, kw_only=True)
class HeadStatistics:
    """Statistics of a head. Comparison with ``==`` ignores the cycles.

    Attributes
    ----------
    error : CommandError
        Reason why the command is rejected, or ``NONE``.
    pruned : bool
        Whether the head is pruned. Its output is then zero.
    kept_blocks : int
        Number of kept blocks; 0 for a pruned head.
    saturations : int
        Number of outputs that were clipped to INT8.
    cycles : int or None
        Clock cycles from the acceptance of the command to the last output beat. None in the golden model.
    """

    error: CommandError
    pruned: bool
    kept_blocks: int
    saturations: int
    cycles: int | None = field(default=None, compare=False)
