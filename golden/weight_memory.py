"""Weight matrices in the memory of a co-processor, byte for byte."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import InputError
from ..spec.formats import INT8_BITS, ROW_SHIFT_BITS, ceil_div
from ..spec.memory import SETTING_BYTES, filled_words, parts_of_word
from ..spec.program import WORD_BYTES
from ..spec.schedule import row_steps, schedule
from ..spec.spmm_command import SpmmError
from ..spec.spmm_config import SpmmConfig, WeightFormat
from ..spec.weight_words import WordShape, stored_word_shape, word_shape
from .lib.integer import Int64
from .memory import Memory
from .packets import PacketError, packet_error
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
    config: SpmmConfig,
    packed: PackedWeights,
    bias: Int64,
    multiplier: Int64,
    shift: Int64,
    *,
    weight_bits: int = INT8_BITS,
) -> MatrixBytes:
    """Bytes of a weight matrix, with its rows dealt to the engines.

    Parameters
    ----------
    packed : PackedWeights
        In a format of the engine.
    bias, multiplier, shift : (M,) int64
    weight_bits : int
        8, or 4 for weights from −8 to 7. Deltas of the format csr-delta must then have 4 bits, too.

    Raises
    ------
    InputError
        A weight or a delta does not fit 4 bits.
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
    shape = stored_word_shape(config, packed.format, weight_bits)
    _check_fits(shape, packed)
    words = _encode(shape, packed)
    owners = np.repeat(engines, packed.lengths)
    counts = [int(np.count_nonzero(owners == engine)) for engine in range(config.rows)]
    parts = [_join(shape, words[owners == engine]) for engine in range(config.rows)]
    segment = WORD_BYTES + max(part.size for part in parts)
    data = np.zeros((config.rows, segment), np.uint8)
    for row, count, part in zip(data, counts, parts, strict=True):
        row[:WORD_BYTES] = np.array([count, part.size // WORD_BYTES], "<u4").view(np.uint8)
        row[WORD_BYTES : WORD_BYTES + part.size] = part
    return MatrixBytes(settings=settings.view(np.uint8), words=data.ravel(), segment=segment)


def read_settings(memory: Memory, place: int, rows: int) -> RowSettings:
    """Settings of the rows of W.

    Raises
    ------
    AddressError
        Some bytes are not in the region.
    """
    settings = memory.read(place, rows * SETTING_BYTES).view(SETTING)
    found = {name: settings[name].astype(np.int64) for name in RowSettings.__dataclass_fields__}
    # The hardware takes the lowest bits of a shift.
    return RowSettings(**found | {"shift": found["shift"] % (1 << ROW_SHIFT_BITS)})


def read_matrix(
    config: SpmmConfig,
    memory: Memory,
    place: int,
    segment: int,
    settings: RowSettings,
    weight_format: WeightFormat,
    columns: int,
    *,
    weight_bits: int = INT8_BITS,
) -> PackedWeights:
    """The weight words that the engines take, in the order of the rows. ``weight_bits`` is 8 or 4.

    Raises
    ------
    AddressError
        Some bytes are not in the region.
    PacketError
        An engine has fewer or more words than the rows that it gets, or they do not fill as many words of the memory as
        the words say. (The hardware does not notice the difference between none and one, if there is one pass over the
        tokens.)
    InputError
        The words are malformed. The hardware does not notice this; its results are then undefined.
    """
    shape = stored_word_shape(config, weight_format, weight_bits)
    # The hardware takes the lowest bits of the number of words, and of the engine.
    lengths = settings.length % (1 << config.row_widths()["length"][0])
    words = np.zeros((int(lengths.sum()), shape.bits), np.uint8)
    owners = np.repeat(settings.engine % config.rows, lengths)
    starts = [place + engine * segment for engine in range(config.rows)]
    headers = [memory.read(start, WORD_BYTES).view("<u4").tolist() for start in starts]
    # An engine without weight words reads no more.
    parts = [
        memory.read(start + WORD_BYTES, filled * WORD_BYTES if count else 0)
        for start, (count, filled) in zip(starts, headers, strict=True)
    ]
    counts = {f"engine {engine}": count for engine, (count, _) in enumerate(headers)}
    expected = {f"engine {engine}": int(np.count_nonzero(owners == engine)) for engine in range(config.rows)}
    error = packet_error(SpmmError, expected, counts)
    if error is not SpmmError.NONE:
        name = next(name for name, words in expected.items() if counts[name] != words)
        raise PacketError(f"{name} must have {expected[name]} weight words, as its rows say, not {counts[name]}", error)
    for engine, (part, (count, filled)) in enumerate(zip(parts, headers, strict=True)):
        if count and filled != filled_words(shape.bits, count):
            message = f"{count} weight words of engine {engine} cannot lie in {filled} words of memory"
            raise PacketError(message, SpmmError.SURPLUS)
        words[owners == engine] = _divide(shape, part, count)
    if (lengths > columns).any():
        raise InputError(f"a row must have from 0 to {columns} weight words, not {lengths.max()}")
    values, indices = _decode(shape, words)
    used = structure(weight_format, banks=config.banks, kept=config.kept, group=config.group)
    own_shape = word_shape(weight_format, columns=columns, **used)
    if (indices >> own_shape.index_bits).any():
        raise InputError(f"an index of the weights is too large for {columns} columns")
    rows = len(lengths)
    return PackedWeights(
        format=weight_format,
        rows=rows,
        columns=columns,
        **used,
        stored=rows * columns if weight_format is WeightFormat.DENSE else int(np.count_nonzero(values)),
        values=values,
        indices=indices.astype(index_type(own_shape)),
        lengths=lengths,
    )


def _check_fits(shape: WordShape, packed: PackedWeights) -> None:
    """Check that every value and every index fits the bits of a stored word."""
    values, indices = packed.values.astype(np.int64), packed.indices.astype(np.int64)
    bound = 1 << (shape.value_bits - 1)
    if values.size and not (-bound <= values.min() and values.max() < bound):
        raise InputError(
            f"weights must be from {-bound} to {bound - 1} to be stored with {shape.value_bits} bits, not from "
            f"{values.min()} to {values.max()}"
        )
    if (indices >> shape.index_bits).any():
        raise InputError(f"an index has more than {shape.index_bits} bits: pack the weights with deltas of 4 bits")


def _encode(shape: WordShape, packed: PackedWeights) -> Bytes:
    """(words, bits) of weight words: values in the lowest bits, then the indices."""
    return np.concatenate([_bits(packed.values, shape.value_bits), _bits(packed.indices, shape.index_bits)], axis=1)


def _bits(numbers: NDArray[np.integer], bits: int) -> Bytes:
    """(words, V) numbers as (words, V·bits) bits."""
    planes = numbers.astype(np.int32)[:, :, None] >> np.arange(bits, dtype=np.int32) & 1
    return planes.astype(np.uint8).reshape(len(numbers), numbers.shape[1] * bits)


def _decode(shape: WordShape, words: Bytes) -> tuple[NDArray[np.int8], Int64]:
    """Values and indices of (words, bits)."""
    split = shape.values * shape.value_bits
    values = _numbers(words[:, :split], shape.values, shape.value_bits)
    values -= values >> (shape.value_bits - 1) << shape.value_bits
    return values.astype(np.int8), _numbers(words[:, split:], shape.values, shape.index_bits)


def _numbers(planes: Bytes, values: int, bits: int) -> Int64:
    """(words, V·bits) bits as (words, V) unsigned numbers."""
    planes = planes.reshape(len(planes), values, bits)
    return planes.astype(np.int64) @ (np.int64(1) << np.arange(bits, dtype=np.int64))


def _join(shape: WordShape, words: Bytes) -> Bytes:
    """Bytes of (words, bits): as many in a word of the memory as fit, or one in several."""
    parts, width = _places(shape)
    places = ceil_div(len(words), parts)
    bits = np.zeros((places * parts, shape.bits), np.uint8)
    bits[: len(words)] = words
    whole = np.zeros((places, width), np.uint8)
    whole[:, : parts * shape.bits] = bits.reshape(places, parts * shape.bits)
    return np.packbits(whole, axis=1, bitorder="little").ravel()


def _divide(shape: WordShape, data: Bytes, count: int) -> Bytes:
    """(``count``, bits) from their bytes."""
    parts, width = _places(shape)
    whole = np.unpackbits(data, bitorder="little").reshape(-1, width)
    return whole[:, : parts * shape.bits].reshape(-1, shape.bits)[:count]


def _places(shape: WordShape) -> tuple[int, int]:
    """Weight words that lie together in whole words of the memory, and the bits of these."""
    parts = parts_of_word(shape.bits) or 1
    return parts, 8 * WORD_BYTES * filled_words(shape.bits, parts)
