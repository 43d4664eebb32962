"""Boards, one file each."""

from ...spec.errors import ConfigError
from . import ecpix5, icebreaker, ulx3s
from .board import Board

__all__ = ["BOARDS", "Board", "board"]

BOARDS = {each.BOARD.name: each.BOARD for each in (ulx3s, ecpix5, icebreaker)}
"""Boards by name."""


def board(name: str) -> Board:
    """The named board.

    Raises
    ------
    ConfigError
        The name is unknown.
    """
    found = BOARDS.get(name.lower())
    if found is None:
        raise ConfigError("board", name, "must be one of " + ", ".join(BOARDS))
    return found
