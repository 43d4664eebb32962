"""Tensors in the memory of a co-processor, byte for byte."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import InputError
from ..spec.memory import INDEX_BYTES, Place, row_bytes, tensor_spans, tile_widths, tiles_bytes, whole_words
from ..spec.program import READ_ONLY, Layout, Region, offset_of, region_of, word_at
from .lib.integer import Int8

__all__ = ["AddressError", "Memory", "read_tensor", "write_tensor"]

Bytes = NDArray[np.uint8]


class AddressError(InputError):
    """An instruction reads or writes bytes that it may not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Memory:
    """The bytes of each region. Addresses are those of words; see :func:`~thresher.spec.program.word_at`.

    Attributes
    ----------
    regions : dict of Region to (bytes,) uint8
    """

    regions: dict[Region, Bytes]

    def read(self, place: int, size: int) -> Bytes:
        """A copy of some bytes.

        Raises
        ------
        AddressError
            They are not all in the region.
        """
        return self._bytes(place, size).copy()

    def write(self, place: int, data: Bytes) -> None:
        """Replace some bytes.

        Raises
        ------
        AddressError
            They are not all in the region, or the region is read-only.
        """
        if (region := region_of(word_at(place))) in READ_ONLY:
            raise AddressError(f"the region {region.name} is read-only, but an instruction writes to it")
        self._bytes(place, len(data))[:] = data

    def _bytes(self, place: int, size: int) -> Bytes:
        place = word_at(place)
        region, start = region_of(place), offset_of(place)
        data = self.regions[region]
        if start + size > len(data):
            raise AddressError(
                f"the region {region.name} has {len(data)} bytes, but an instruction uses bytes {start} to "
                f"{start + size - 1}"
            )
        return data[start : start + size]


def read_tensor(config: CoprocessorConfig, memory: Memory, place: Place, channels: int, tokens: int) -> Int8:
    """(C, N) int8.

    Raises
    ------
    AddressError
        Some of its bytes are not in the region, or a row does not exist.
    """
    match place.layout:
        case Layout.TILES:
            data = memory.read(place.address, tiles_bytes(config, channels, tokens))
            return _from_tiles(config, data, channels, tokens)
        case Layout.GATHER:
            index = memory.read(place.index, whole_words(tokens * INDEX_BYTES)).view("<u4")[:tokens]
            if (largest := int(index.max())) >= place.rows:
                raise AddressError(f"an index is {largest}, but there are {place.rows} rows")
            width = row_bytes(channels)
            rows = [memory.read(place.address + int(row) * width, width)[:channels] for row in index]
            return np.stack(rows, axis=1).view(np.int8)
        case Layout.ROWS:
            parts = [memory.read(*span).reshape(tokens, -1) for span in tensor_spans(config, place, channels, tokens)]
            rows = np.concatenate([part[:, : place.segment] for part in parts], axis=1)
            return rows[:, :channels].T.view(np.int8)


def write_tensor(config: CoprocessorConfig, memory: Memory, place: Place, x: Int8) -> None:
    """Write a tensor in the layout TILES or ROWS. What fills tiles and rows is 0.

    Raises
    ------
    AddressError
        Some of its bytes are not in the region, or the region is read-only.
    """
    channels, tokens = x.shape
    if place.layout is Layout.TILES:
        memory.write(place.address, _to_tiles(config, x))
        return
    spans = tensor_spans(config, place, channels, tokens)
    for (start, size), first in zip(spans, range(0, channels, place.segment), strict=True):
        part = x[first : first + place.segment].T
        rows = np.zeros((tokens, size // tokens), np.int8)
        rows[:, : part.shape[1]] = part
        memory.write(start, rows.view(np.uint8).ravel())


def _from_tiles(config: CoprocessorConfig, data: Bytes, channels: int, tokens: int) -> Int8:
    tiles, start = [], 0
    for count, width in tile_widths(config, tokens):
        tiles.append(data[start : start + channels * width].reshape(channels, width)[:, :count])
        start += channels * width
    return np.concatenate(tiles, axis=1).view(np.int8)


def _to_tiles(config: CoprocessorConfig, x: Int8) -> Bytes:
    tiles, start = [], 0
    for count, width in tile_widths(config, x.shape[1]):
        tile = np.zeros((len(x), width), np.int8)
        tile[:, :count] = x[:, start : start + count]
        tiles.append(tile.ravel())
        start += count
    return np.concatenate(tiles).view(np.uint8)
