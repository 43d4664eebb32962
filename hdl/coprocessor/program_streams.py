"""Streams between the sequencer and the units of a co-processor."""

from amaranth import Mux, Value
from amaranth.lib import data

from ...spec.formats import unsigned_bits
from ...spec.program import BODY_FIELDS, AttentionError, FaultCode, Opcode
from ...spec.spmm_command import SpmmError
from ...spec.vector_command import VectorError
from ..lib.streams import struct_layout

__all__ = ["completion_layout", "instruction_layout", "rejection_code"]


def instruction_layout(opcode: Opcode) -> data.StructLayout:
    """Fields of an instruction of a unit, without the header."""
    return struct_layout(dict(BODY_FIELDS[opcode]))


def completion_layout() -> data.StructLayout:
    """How an instruction ended: a :class:`~thresher.spec.program.FaultCode`, and the unit's own error or 0."""
    details = (max(SpmmError), max(AttentionError), max(VectorError))
    return data.StructLayout({"error": unsigned_bits(max(FaultCode)), "detail": unsigned_bits(max(details))})


def rejection_code(detail: Value) -> Value:
    """Fault of an instruction that its unit rejects if ``detail`` is not 0."""
    return Mux(detail == 0, FaultCode.NONE, FaultCode.COMMAND)
