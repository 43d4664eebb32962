"""Readable listing of a program."""

from collections.abc import Iterator

from ...spec.program import BODY_FIELDS, Opcode, Region, offset_of, region_of
from .constants import Constants
from .program import EncoderProgram

__all__ = ["listing"]

ADDRESSES = {
    Opcode.PRODUCT: ("x", "y", "settings", "weights", "table"),
    Opcode.ATTENTION: ("q", "k", "v", "o"),
    Opcode.VECTOR: ("x", "y", "z", "x_index", "y_index", "parameters"),
    Opcode.END: (),
}
"""Fields that are addresses."""


def listing(program: EncoderProgram, constants: Constants) -> str:
    """The map of the memory, and the instructions, one line each."""
    return "\n".join([*_map(program, constants), "", *_instructions(program)]) + "\n"


def _map(program: EncoderProgram, constants: Constants) -> Iterator[str]:
    for space in (constants.space, *program.spaces.values()):
        yield f"{space.region.name}: {space.size} bytes"
        for name, start, size in space.names:
            yield f"  {offset_of(start):08x}  {size:9}  {name}"


def _instructions(program: EncoderProgram) -> Iterator[str]:
    name = ""
    for number, item in enumerate(program.instructions):
        if program.tags[item.tag] != name:
            name = program.tags[item.tag]
            yield f"# {name}"
        waits = " ".join(f"{unit.name.lower()}>={count}" for unit, count in item.waits.items() if count)
        fields = [
            f"{field}={_place(value) if field in ADDRESSES[item.opcode] else value}"
            for field in BODY_FIELDS[item.opcode]
            if (value := item.body.get(field, 0))
        ]
        yield f"{number:5}  {item.opcode.name:9}  {' '.join(fields)}{f'  after {waits}' if waits else ''}"


def _place(value: int) -> str:
    return f"{Region(region_of(value)).name.lower()}:{offset_of(value):x}"
