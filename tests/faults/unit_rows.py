"""Rows of the table that all units have."""

from collections.abc import Callable

from . import commands, streams
from .fault import Fault
from .stands import Stand

__all__ = ["rows_of"]

NEXT = "the next command is right"
WAITS = "the unit stops to accept commands; nothing is lost when they are taken"


def rows_of(part: str, stand: Callable[[], Stand]) -> list[Fault]:
    """Rows of the table for a unit."""

    def row(fault: str, answer: str, afterwards: str, inject: Callable[[Stand], int]) -> Fault:
        return Fault(part=part, fault=fault, answer=answer, afterwards=afterwards, inject=lambda: inject(stand()))

    return [
        row(
            "each field of the command at its limit, one beyond, at the ends of its bits, and beyond these",
            "executed, or the unit's error; beyond the bits, the host raises an error and sends nothing",
            NEXT,
            commands.limits,
        ),
        row(
            "each bit of the command flipped before the operands are made",
            "the result of the altered command, or the unit's error",
            NEXT,
            commands.flips_before_the_operands,
        ),
        row(
            "each bit of the command flipped on the way to the unit",
            "the result of the altered command, or the unit's error; `MISSING` or `SURPLUS` if its packets have another"
            " length",
            NEXT,
            commands.flips_on_the_way,
        ),
        row(
            "each input stops for ever: before its first beat, in the middle, before its last beat",
            "the unit waits; it continues if the rest comes",
            "right, also after a reset instead of the rest",
            streams.stopped,
        ),
        row(
            "statistics are never taken",
            WAITS,
            NEXT,
            lambda stand: streams.never_taken(stand, "o_statistics"),
        ),
        row(
            "results are never taken",
            WAITS,
            NEXT,
            lambda stand: streams.never_taken(stand, "o_data"),
        ),
        row(
            "a reset of one cycle, around the first and last transfer of every stream, and in random cycles",
            "all work is dropped",
            "right, in as many cycles as without the reset",
            streams.resets,
        ),
    ]
