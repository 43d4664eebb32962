"""Conversion of Python and NumPy values to the bits of a shape, and back, with checks of all ranges.

All values that go to hardware are converted here, because Amaranth's ``ctx.set`` wraps values that are out of range and
rejects NumPy integers.
"""

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from amaranth import Shape, signed
from amaranth.hdl import ShapeLike
from amaranth.lib import data

from ..spec.errors import InputError
from ..spec.formats import ceil_div

__all__ = ["pack", "pack_all", "pack_beats", "unpack", "unpack_beats", "words_of"]


def _fields(layout: data.Layout) -> list[tuple[Any, data.Field]]:
    return list(layout)


def _layout(shape: ShapeLike) -> data.Layout | None:
    """Layout of a shape, for example of a ``data.Struct`` class, or None if the shape is a plain number."""
    try:
        return data.Layout.cast(shape)
    except TypeError:
        return None


def _range(shape: Shape) -> tuple[int, int]:
    """Smallest and largest number of a plain shape."""
    if shape.signed:
        return -(1 << (shape.width - 1)), (1 << (shape.width - 1)) - 1
    return 0, (1 << shape.width) - 1


def _pack_number(shape: Shape, value: Any, path: str) -> int:
    try:
        number = int(value) if isinstance(value, np.bool_) else operator.index(value)
    except TypeError:
        raise InputError(f"{path} must be an integer, not {value!r}") from None
    low, high = _range(shape)
    if not low <= number <= high:
        raise InputError(f"{path} must be from {low} to {high}, not {number}")
    return number & ((1 << shape.width) - 1)


def pack(shape: ShapeLike, value: Any, *, path: str = "value") -> int:
    """Convert a value to bits.

    Parameters
    ----------
    shape : ShapeLike
        A plain shape, or a layout of structures and arrays, nested to any depth.
    value
        A structure is a dict with exactly the fields of its layout. An array is a sequence or a NumPy array of exactly
        the layout's length. A number is a Python or NumPy integer.
    path : str
        Name of the value in messages.

    Raises
    ------
    InputError
        A number is not an integer or is out of range, or a structure does not fit. The message names the field.
    """
    layout = _layout(shape)
    if layout is None:
        return _pack_number(Shape.cast(shape), value, path)
    if isinstance(layout, data.UnionLayout):
        raise InputError(f"{path} must not be a union: use a plain shape for its bits")
    if isinstance(layout, data.ArrayLayout):
        if not isinstance(value, (list, tuple, np.ndarray)) or len(value) != layout.length:
            raise InputError(f"{path} must be a sequence of {layout.length} elements, not {value!r}")
        items = {index: (value[index], f"{path}[{index}]") for index in range(layout.length)}
    else:
        names = [str(key) for key, _ in _fields(layout)]
        if not isinstance(value, dict) or set(value) != {key for key, _ in _fields(layout)}:
            given = sorted(map(str, value)) if isinstance(value, dict) else value
            raise InputError(f"{path} must be a dict with the fields {', '.join(names)}, not {given!r}")
        items = {key: (value[key], f"{path}.{key}") for key, _ in _fields(layout)}
    bits = 0
    for key, field in _fields(layout):
        item, item_path = items[key]
        bits |= pack(field.shape, item, path=item_path) << field.offset
    return bits


def unpack(shape: ShapeLike, bits: int) -> Any:
    """Convert bits to a value: a dict for a structure, a list for an array, a Python integer for a number."""
    layout = _layout(shape)
    if layout is None:
        plain = Shape.cast(shape)
        bits &= (1 << plain.width) - 1
        return bits - (1 << plain.width) if plain.signed and bits >> (plain.width - 1) else bits
    items = {key: unpack(field.shape, bits >> field.offset) for key, field in _fields(layout)}
    return list(items.values()) if isinstance(layout, data.ArrayLayout) else items


def words_of(width: int) -> int:
    """Number of 32-bit words that hold ``width`` bits."""
    return ceil_div(width, 32)


def _is_bytes(shape: ShapeLike) -> bool:
    """Whether a shape is an array of signed bytes. Its bits are the memory of an int8 array."""
    layout = _layout(shape)
    return layout is not None and isinstance(layout, data.ArrayLayout) and layout.elem_shape == signed(8)


def _columns(shape: ShapeLike, values: np.ndarray, path: str) -> Iterator[tuple[int, ShapeLike, np.ndarray, str]]:
    """Yield offset, shape, values and path of each number, or array of bytes, in a structured array of n payloads."""
    layout = _layout(shape)
    if layout is None:
        yield 0, Shape.cast(shape), values, path
        return
    if isinstance(layout, data.ArrayLayout):
        if values.ndim != 2 or values.shape[1] != layout.length:
            raise InputError(f"{path} must be an (n, {layout.length}) array, not {values.shape}")
        if _is_bytes(layout) and values.dtype == np.int8:
            yield 0, layout, values, path
            return
        parts = {index: (values[:, index], f"{path}[{index}]") for index in range(layout.length)}
    else:
        names = [str(key) for key, _ in _fields(layout)]
        if values.dtype.names is None or set(values.dtype.names) != set(names):
            given = list(values.dtype.names or [str(values.dtype)])
            raise InputError(f"{path} must have the fields {', '.join(names)}, not {', '.join(given)}")
        parts = {key: (values[key], f"{path}.{key}") for key, _ in _fields(layout)}
    for key, field in _fields(layout):
        for offset, plain, column, name in _columns(field.shape, *parts[key]):
            yield field.offset + offset, plain, column, name


def _pack_structures(shape: ShapeLike, values: np.ndarray, path: str) -> np.ndarray:
    """Convert a structured array of payloads to bits, one field of all payloads at a time."""
    bits = np.zeros((len(values), 32 * words_of(Shape.cast(shape).width)), np.uint8)
    for offset, plain, column, name in _columns(shape, values, f"{path}[i]"):
        if _is_bytes(plain):
            packed = np.ascontiguousarray(column).view(np.uint8)
            bits[:, offset : offset + 8 * column.shape[1]] = np.unpackbits(packed, axis=1, bitorder="little")
            continue
        if column.dtype.kind not in "iu" or column.ndim != 1:
            raise InputError(f"{name} must be integers, one per payload, not {column.dtype} {column.shape}")
        plain = Shape.cast(plain)
        low, high = _range(plain)
        wrong = np.flatnonzero((column < low) | (column > high))
        if len(wrong):
            _pack_number(plain, column[wrong[0]], name.replace("[i]", f"[{wrong[0]}]", 1))
        wide = column.astype(np.int64 if column.dtype.kind == "i" else np.uint64)[:, None]
        bits[:, offset : offset + plain.width] = (wide >> np.arange(plain.width, dtype=wide.dtype)) & 1
    return np.packbits(bits, axis=1, bitorder="little").view("<u4").astype(np.uint32, copy=False)


def pack_beats(shape: ShapeLike, values: Sequence[Any] | np.ndarray, *, path: str = "value") -> np.ndarray:
    """Convert many values to bits, as 32-bit words.

    Parameters
    ----------
    shape : ShapeLike
    values : sequence of n values
        See :func:`pack`. Two kinds of NumPy arrays are converted fast: (n, length) int8 for an array of signed bytes,
        and structured arrays for structures of such arrays or of integers of up to 64 bits, (n,), or for arrays of such
        structures, (n, length).
    path : str
        Name of the values in messages.

    Returns
    -------
    (n, words) uint32
        Lowest bits first. Bits beyond the width of the shape are 0.

    Raises
    ------
    InputError
        As in :func:`pack`.
    """
    words = words_of(Shape.cast(shape).width)
    if isinstance(values, np.ndarray) and values.dtype.names is not None:
        return _pack_structures(shape, values, path)
    if isinstance(values, np.ndarray) and values.dtype == np.int8 and _is_bytes(shape):
        if values.ndim != 2 or values.shape[1] * 8 != Shape.cast(shape).width:
            raise InputError(f"{path} must be an (n, {Shape.cast(shape).width // 8}) array, not {values.shape}")
        padded = np.ascontiguousarray(values)
        if values.shape[1] != words * 4:
            padded = np.zeros((len(values), words * 4), np.int8)
            padded[:, : values.shape[1]] = values
        return padded.view("<u4").astype(np.uint32, copy=False)
    packed = [pack(shape, value, path=f"{path}[{i}]").to_bytes(words * 4, "little") for i, value in enumerate(values)]
    return np.frombuffer(b"".join(packed), "<u4").reshape(len(packed), words).astype(np.uint32)


def pack_all(shape: ShapeLike, values: Sequence[Any] | np.ndarray, *, path: str = "value") -> list[int]:
    """Convert many values to bits, one Python integer for each. See :func:`pack_beats`."""
    return [int.from_bytes(row.tobytes(), "little") for row in pack_beats(shape, values, path=path).astype("<u4")]


def unpack_beats(shape: ShapeLike, words: np.ndarray) -> Any:
    """Convert the words of :func:`pack_beats` to values.

    Returns
    -------
    (n, length) int8, or list
        The array if the shape is an array of signed bytes, otherwise a list of values (see :func:`unpack`).
    """
    raw = np.ascontiguousarray(words, "<u4")
    if _is_bytes(shape):
        return raw.view(np.int8)[:, : Shape.cast(shape).width // 8].copy()
    return [unpack(shape, int.from_bytes(row.tobytes(), "little")) for row in raw]
