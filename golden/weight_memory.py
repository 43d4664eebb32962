"""Weight matrices in the memory of a co-processor, byte for byte."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import InputError
from ..spec.formats import ceil_div
from ..spec.memory import SETTING_BYTES, whole_words, word_bytes
from ..spec.program import WORD_BYTES
from ..spec.schedule import row_steps, schedule
from ..spec.spmm_config import SpmmConfig, WeightFormat
from ..spec.weight_words import WordShape, engine_word_shape, word_shape
from .lib.integer import Int64
from .memory import Memory
from .spmm.packing import PackedWeights, index_type, structure

__all__ = ["MatrixBytes", "RowSettings", "matrix_bytes", "read_matrix", "read_settings"]

Bytes = NDArray[np.uint8]

SETTING = np.dtype(
    [("bias", "<i4"), ("multiplier", "<u2"), ("shift", "u1"), ("zero", "u1"), ("length", "<u4"), ("engine", "<u4")]
)
"""Settings of a row of W."""
assert SETTING.itemsize == SETTING_BYTES


@dataclass(frozen=True, kw_only=True, eq=False)
class RowSettings:
    """Settings of the rows of W.

    Attributes
    ----------
    bias, multiplier, shift, length, engine : (M,) int64
        See :meth:`~thresher.spec.spmm_config.SpmmConfig.row_widths`.
    """

    bias: Int64
    multiplier: Int64
    shift: Int64
    length: Int64
    engine: Int64


@dataclass(frozen=True, kw_only=True, eq=False)
class MatrixBytes:
    """A weight matrix as bytes.

    Attributes
    ----------
    settings : (16·M,) uint8
    words : uint8
        Weight words of engine 0, then those of engine 1, and so on, each beginning at a multiple of ``segment``.
    segment : int
        Bytes from the words of one engine to those of the next.
    """

    settings: Bytes
    words: Bytes
    segment: int


def matrix_bytes(
    config: SpmmConfig, packed: PackedWeights, bias: Int64, multiplier: Int64, shift: Int64
) -> MatrixBytes:
    """Bytes of a weight matrix, with its rows dealt to the engines.

    Parameters
    ----------
    packed : PackedWeights
        In a format of the engine.
    bias, multiplier, shift : (M,) int64
    """
    engines = np.array(
        schedule(config, row_steps(config, packed.format, packed.lengths.tolist(), spread=False), spread=False)
    )
    settings = np.zeros(packed.rows, SETTING)
    for name, numbers in {
        "bias": bias,
        "multiplier": multiplier,
        "shift": shift,
        "length": packed.lengths,
        "engine": engines,
    }.items():
        settings[name] = numbers
    shape = engine_word_shape(config, packed.format)
    words = _encode(shape, packed)
    owners = np.repeat(engines, packed.lengths)
    parts = [words[owners == engine] for engine in range(config.rows)]
    segment = WORD_BYTES + whole_words(max(part.size for part in parts))
    data = np.zeros((config.rows, segment), np.uint8)
    for row, part in zip(data, parts, strict=True):
        row[:WORD_BYTES] = np.array([len(part), ceil_div(part.size, WORD_BYTES)], "<u4").view(np.uint8)
        row[WORD_BYTES : WORD_BYTES + part.size] = part.ravel()
    return MatrixBytes(settings=settings.view(np.uint8), words=data.ravel(), segment=segment)


def read_settings(memory: Memory, place: int, rows: int) -> RowSettings:
    """Settings of the rows of W.

    Raises
    ------
    AddressError
        Some bytes are not in the region.
    """
    settings = memory.read(place, rows * SETTING_BYTES).view(SETTING)
    return RowSettings(**{name: settings[name].astype(np.int64) for name in RowSettings.__dataclass_fields__})


def read_matrix(
    config: SpmmConfig,
    memory: Memory,
    place: int,
    segment: int,
    settings: RowSettings,
    weight_format: WeightFormat,
    columns: int,
) -> PackedWeights:
    """The weight words that the engines take, in the order of the rows.

    Raises
    ------
    AddressError
        Some bytes are not in the region.
    InputError
        An engine has fewer or more words than the rows that it gets, or the words are malformed.
    """
    if (settings.length > columns).any():
        raise InputError(f"a row must have from 0 to {columns} weight words, not {settings.length.max()}")
    shape = engine_word_shape(config, weight_format)
    size = word_bytes(shape.bits)
    words = np.zeros((int(settings.length.sum()), size), np.uint8)
    owners = np.repeat(settings.engine, settings.length)
    for engine in range(config.rows):
        start = place + engine * segment
        count, filled = memory.read(start, WORD_BYTES).view("<u4").tolist()
        expected = int(np.count_nonzero(owners == engine))
        if (count, filled) != (expected, ceil_div(expected * size, WORD_BYTES)):
            raise InputError(
                f"engine {engine} must have {expected} weight words, as its rows say, not {count} in {filled} words of "
                "memory"
            )
        words[owners == engine] = memory.read(start + WORD_BYTES, count * size).reshape(-1, size)
    values, indices = _decode(shape, words)
    used = structure(weight_format, banks=config.banks, kept=config.kept, group=config.group)
    own_shape = word_shape(weight_format, columns=columns, **used)
    if (indices >> own_shape.index_bits).any():
        raise InputError(f"an index of the weights is too large for {columns} columns")
    rows = len(settings.length)
    return PackedWeights(
        format=weight_format,
        rows=rows,
        columns=columns,
        **used,
        stored=rows * columns if weight_format is WeightFormat.DENSE else int(np.count_nonzero(values)),
        values=values,
        indices=indices.astype(index_type(own_shape)),
        lengths=settings.length,
    )


def _encode(shape: WordShape, packed: PackedWeights) -> Bytes:
    """(words, bytes): values in the lowest bits, then the indices."""
    count = len(packed.values)
    words = np.zeros((count, word_bytes(shape.bits)), np.uint8)
    words[:, : shape.values] = packed.values.view(np.uint8)
    planes = packed.indices.astype(np.int64)[:, :, None] >> np.arange(shape.index_bits) & 1
    bits = np.packbits(
        planes.reshape(count, shape.values * shape.index_bits).astype(np.uint8), axis=1, bitorder="little"
    )
    words[:, shape.values : shape.values + bits.shape[1]] = bits
    return words


def _decode(shape: WordShape, words: Bytes) -> tuple[NDArray[np.int8], Int64]:
    count = len(words)
    values = np.ascontiguousarray(words[:, : shape.values]).view(np.int8)
    planes = np.unpackbits(words[:, shape.values :], axis=1, bitorder="little")[:, : shape.values * shape.index_bits]
    planes = planes.reshape(count, shape.values, shape.index_bits).astype(np.int64)
    return values, planes @ (np.int64(1) << np.arange(shape.index_bits, dtype=np.int64))
