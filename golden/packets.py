"""What the statistics say about packets of operands."""

from collections.abc import Mapping
from typing import TypeVar

from ..spec.attention_command import CommandError
from ..spec.errors import InputError
from ..spec.spmm_command import SpmmError
from ..spec.vector_command import VectorError

__all__ = ["PacketError", "packet_error"]


class PacketError(InputError):
    """Operands have too few or too many beats. ``code`` is what the unit's statistics say."""

    def __init__(self, message: str, code: SpmmError):
        super().__init__(message)
        self.code = code


Code = TypeVar("Code", CommandError, SpmmError, VectorError)


def packet_error(codes: type[Code], expected: Mapping[str, int], given: Mapping[str, int]) -> Code:
    """Field ``error`` of an accepted command. A rejected command keeps the reason of its rejection.

    Parameters
    ----------
    codes : CommandError, SpmmError or VectorError
    expected, given : dict of int
        Beats of the packet on each operand stream, by the name of the stream: those that the command and the rows of W
        ask for, and those that are sent.

    Returns
    -------
    ``MISSING`` if a packet is too short, otherwise ``SURPLUS`` if one is too long, otherwise ``NONE``.
    """
    if any(given[name] < beats for name, beats in expected.items()):
        return codes.MISSING
    return codes.SURPLUS if any(given[name] > beats for name, beats in expected.items()) else codes.NONE
