"""Sizes of what a program's instructions read and write."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .coprocessor_config import CoprocessorConfig
from .formats import ceil_div
from .program import VECTOR_FIELDS, WORD_BYTES, Instruction, Layout, Region, address

__all__ = [
    "INDEX_BYTES",
    "PARAMETER_BYTES",
    "REGION_ALIGNMENT",
    "SETTING_BYTES",
    "SUM_BYTES",
    "TABLE_BYTES",
    "MemoryMap",
    "Place",
    "filled_words",
    "memory_map",
    "operand",
    "parts_of_word",
    "row_bytes",
    "tensor_spans",
    "tile_widths",
    "tiles_bytes",
    "whole_words",
]

Span = tuple[int, int]
"""Address and number of bytes."""

SETTING_BYTES = 16
"""Of the settings of a row of W."""
TABLE_BYTES = 256
"""Of an activation table."""
PARAMETER_BYTES = 8
"""Of the parameters of a channel of a LayerNorm."""
INDEX_BYTES = 4
"""Of an index of the layout GATHER."""
SUM_BYTES = 8
"""Of the sum of a channel."""


REGION_ALIGNMENT = 128
"""The place of a region is a multiple of this number of bytes."""


@dataclass(frozen=True, kw_only=True)
class MemoryMap:
    """Where a program and its regions lie in the memory.

    Attributes
    ----------
    bases, sizes : dict of Region to int
        In bytes.
    program : int
        Address of the program, in the region CONSTANTS, behind the constants.
    size : int
        Bytes of the memory in use, from the first region to the end of the last.
    """

    bases: dict[Region, int]
    sizes: dict[Region, int]
    program: int
    size: int


def memory_map(sizes: Mapping[Region, int], *, program_bytes: int, base: int = 0) -> MemoryMap:
    """Place all regions one after another.

    Parameters
    ----------
    sizes : dict of Region to int
        Bytes of each region; CONSTANTS without the program.
    program_bytes : int
    base : int
        Where the memory begins, a multiple of :data:`REGION_ALIGNMENT`.
    """
    sizes = {region: whole_words(sizes[region]) for region in Region}
    program = address(Region.CONSTANTS, sizes[Region.CONSTANTS])
    sizes[Region.CONSTANTS] += program_bytes
    bases, start = {}, base
    for region in Region:
        bases[region] = start
        start += ceil_div(sizes[region], REGION_ALIGNMENT) * REGION_ALIGNMENT
    return MemoryMap(bases=bases, sizes=sizes, program=program, size=start - base)


def whole_words(size: int) -> int:
    """A number of bytes, rounded up to whole words of the memory."""
    return ceil_div(size, WORD_BYTES) * WORD_BYTES


def tile_widths(config: CoprocessorConfig, tokens: int) -> Iterator[tuple[int, int]]:
    """Tokens of each tile of a tensor in the layout TILES: those it has, and those it has room for."""
    for start in range(0, tokens, config.tile):
        count = min(config.tile, tokens - start)
        yield count, ceil_div(count, config.tile_step) * config.tile_step


def tiles_bytes(config: CoprocessorConfig, channels: int, tokens: int) -> int:
    """Bytes of a tensor in the layout TILES."""
    return channels * sum(width for _, width in tile_widths(config, tokens))


def row_bytes(channels: int) -> int:
    """Bytes of a token's row in a segment of the layout ROWS."""
    return whole_words(channels)


def parts_of_word(bits: int) -> int:
    """Weight words of this many bits that a word of the memory holds; 0 if one takes several words of the memory."""
    return 8 * WORD_BYTES // bits


def filled_words(bits: int, count: int) -> int:
    """Words of the memory that ``count`` weight words of this many bits fill.

    A word of the memory holds as many weight words as fit, the first in the lowest bits. A wider weight word takes
    whole words of the memory.
    """
    parts = parts_of_word(bits)
    return ceil_div(count, parts) if parts else count * ceil_div(bits, 8 * WORD_BYTES)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tensor of C channels and N tokens lies.

    Attributes
    ----------
    layout : Layout
    address : int
    segment, segment_tokens : int
        Channels of a segment, and tokens between two segments, in the layout ROWS.
    index, rows : int
        Address of the indices of the layout GATHER, and number of rows that they choose from.
    """

    layout: Layout
    address: int
    segment: int = 0
    segment_tokens: int = 0
    index: int = 0
    rows: int = 0


def operand(instruction: Instruction, name: str) -> Place:
    """Place of the operand x or y, or of the result z, of a VECTOR instruction with legal layouts."""
    body = dict.fromkeys(VECTOR_FIELDS, 0) | dict(instruction.body)
    prefix = "z_" if name == "z" else ""
    return Place(
        layout=Layout(body[f"{name}_layout"]),
        address=body[name],
        segment=body[f"{prefix}segment"],
        segment_tokens=body[f"{prefix}segment_tokens"],
        index=body.get(f"{name}_index", 0),
        rows=body.get(f"{name}_rows", 0),
    )


def tensor_spans(config: CoprocessorConfig, place: Place, channels: int, tokens: int) -> list[Span]:
    """Contiguous parts of a tensor; all rows, and the indices, of the layout GATHER."""
    if place.layout is Layout.TILES:
        return [(place.address, tiles_bytes(config, channels, tokens))]
    if place.layout is Layout.GATHER:
        return [(place.index, whole_words(tokens * INDEX_BYTES)), (place.address, place.rows * row_bytes(channels))]
    width = row_bytes(place.segment)
    return [
        (place.address + number * place.segment_tokens * width, tokens * width)
        for number in range(ceil_div(channels, place.segment))
    ]
