"""Streams between the sequencer and the units of a co-processor."""

from amaranth import Mux, Value
from amaranth.lib import data

from ...spec.formats import unsigned_bits
from ...spec.program import BODY_FIELDS, HEADER_FIELDS, UNITS, AttentionError, FaultCode, Opcode
from ...spec.spmm_command import SpmmError
from ...spec.vector_command import VectorError
from ..lib.streams import struct_layout
from .memory_streams import ADDRESS_BITS

__all__ = [
    "COUNT_BITS",
    "UNIT_BITS",
    "activity_layout",
    "completion_layout",
    "finish_layout",
    "instruction_layout",
    "oldest_layout",
    "program_layout",
    "rejection_code",
    "waiting_layout",
]

COUNT_BITS = 16
"""Of the number of an instruction, and of the instructions that a unit has completed."""
TAG_BITS, _ = HEADER_FIELDS["tag"]
UNIT_BITS = unsigned_bits(max(UNITS))


def program_layout() -> data.StructLayout:
    """A program: its address, and its number of instructions."""
    return data.StructLayout({"address": ADDRESS_BITS, "instructions": COUNT_BITS})


def instruction_layout(opcode: Opcode) -> data.StructLayout:
    """Fields of an instruction of a unit, without the header."""
    return struct_layout(dict(BODY_FIELDS[opcode]))


def completion_layout() -> data.StructLayout:
    """How an instruction ended: a :class:`~thresher.spec.program.FaultCode`, and the unit's own error or 0."""
    details = (max(SpmmError), max(AttentionError), max(VectorError))
    return data.StructLayout({"error": unsigned_bits(max(FaultCode)), "detail": unsigned_bits(max(details))})


def finish_layout() -> data.StructLayout:
    """The end of a program: its fault or 0, and which instruction and unit caused it.

    ``unit`` is an :class:`~thresher.spec.program.Opcode`, or 0 if the fault is of the program. ``address`` is the block
    of 128 bytes that a fault of the memory concerns. Units read ahead: at a fault of the memory or of the watchdog, the
    instruction is the oldest one of the unit that has begun and is not complete.
    """
    return data.StructLayout(
        {
            **completion_layout().members,
            "unit": UNIT_BITS,
            "instruction": COUNT_BITS,
            "tag": TAG_BITS,
            "address": ADDRESS_BITS,
        }
    )


def oldest_layout() -> data.StructLayout:
    """The oldest instruction of each unit that has begun and is not complete, by the unit's name, if ``valid``."""
    oldest = data.StructLayout({"valid": 1, "instruction": COUNT_BITS, "tag": TAG_BITS})
    return data.StructLayout({unit.name.lower(): oldest for unit in UNITS})


def waiting_layout() -> data.StructLayout:
    """The first instruction of the program that has not begun. ``unit`` is 0 for END. ``unit`` and ``tag`` are 0 if it
    has not been read."""
    return data.StructLayout({"unit": UNIT_BITS, "instruction": COUNT_BITS, "tag": TAG_BITS})


def activity_layout() -> data.StructLayout:
    """What happens in a cycle. Each unit, by its name, has these bits:

    begins, completes
        An instruction does.
    busy
        An instruction has begun and is not complete.
    waiting
        None has, and the next one waits for other instructions.
    starved
        The unit is busy and waits for words of the memory, and nothing moves: no word of its operands and results, or
        in the product engine no weight.

    ``word_read`` and ``word_written`` are asserted if a word passes the memory port.
    """
    unit = data.StructLayout(dict.fromkeys(("begins", "completes", "busy", "waiting", "starved"), 1))
    return data.StructLayout({**{each.name.lower(): unit for each in UNITS}, "word_read": 1, "word_written": 1})


def rejection_code(detail: Value) -> Value:
    """Fault of an instruction that its unit rejects if ``detail`` is not 0."""
    return Mux(detail == 0, FaultCode.NONE, FaultCode.COMMAND)
