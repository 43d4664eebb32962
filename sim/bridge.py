"""Python and NumPy values to the packed integers that signals carry, and back, with every range checked.

Amaranth's ``ctx.set`` silently wraps what is out of range and rejects NumPy integers; all values on their way to
hardware pass through here instead.
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
    """The layout behind a shape (a ``data.Struct`` class included), or None for a plain number."""
    try:
        return data.Layout.cast(shape)
    except TypeError:
        return None


def _range(shape: Shape) -> tuple[int, int]:
    """Smallest and largest number of a shape."""
    if shape.signed:
        return -(1 << (shape.width - 1)), (1 << (shape.width - 1)) - 1
    return 0, (1 << shape.width) - 1


def _pack_number(shape: Shape, value: Any, path: str) -> int:
    try:
        number = int(value) if isinstance(value, np.bool_) else operator.index(value)
    except TypeError:
        raise InputError(f"{path} is {value!r}: must be an integer") from None
    low, high = _range(shape)
    if not low <= number <= high:
        raise InputError(f"{path}={number} is out of range: must be from {low} to {high}")
    return number & ((1 << shape.width) - 1)


def pack(shape: ShapeLike, value: Any, *, path: str = "value") -> int:
    """The bits of a value.

    Parameters
    ----------
    shape : ShapeLike
        A layout (structures and arrays nested at will) or a plain shape.
    value
        Structures as dicts with exactly the layout's fields, arrays as sequences or NumPy arrays of exactly the
        layout's length, numbers as Python or NumPy integers.
    path : str
        What errors call the value.

    Raises
    ------
    InputError
        A number is out of range or no integer, or a structure does not fit; the message has the field's path.
    """
    layout = _layout(shape)
    if layout is None:
        return _pack_number(Shape.cast(shape), value, path)
    if isinstance(layout, data.UnionLayout):
        raise InputError(f"{path} is a union: give its bits through a plain shape")
    if isinstance(layout, data.ArrayLayout):
        if not isinstance(value, (list, tuple, np.ndarray)) or len(value) != layout.length:
            raise InputError(f"{path} must be a sequence of {layout.length} elements, but is {value!r}")
        items = {index: (value[index], f"{path}[{index}]") for index in range(layout.length)}
    else:
        names = [str(key) for key, _ in _fields(layout)]
        if not isinstance(value, dict) or set(value) != {key for key, _ in _fields(layout)}:
            given = sorted(map(str, value)) if isinstance(value, dict) else value
            raise InputError(f"{path} must be a dict with the fields {', '.join(names)}, but is {given!r}")
        items = {key: (value[key], f"{path}.{key}") for key, _ in _fields(layout)}
    bits = 0
    for key, field in _fields(layout):
        item, item_path = items[key]
        bits |= pack(field.shape, item, path=item_path) << field.offset
    return bits


def unpack(shape: ShapeLike, bits: int) -> Any:
    """The value behind packed bits: dicts for structures, lists for arrays, Python integers with their sign."""
    layout = _layout(shape)
    if layout is None:
        plain = Shape.cast(shape)
        bits &= (1 << plain.width) - 1
        return bits - (1 << plain.width) if plain.signed and bits >> (plain.width - 1) else bits
    items = {key: unpack(field.shape, bits >> field.offset) for key, field in _fields(layout)}
    return list(items.values()) if isinstance(layout, data.ArrayLayout) else items


def words_of(width: int) -> int:
    """32-bit words that hold ``width`` bits."""
    return ceil_div(width, 32)


def _is_bytes(shape: ShapeLike) -> bool:
    """Whether a layout is an array of signed bytes, whose packed form is just its memory."""
    layout = _layout(shape)
    return layout is not None and isinstance(layout, data.ArrayLayout) and layout.elem_shape == signed(8)


def _columns(shape: ShapeLike, values: np.ndarray, path: str) -> Iterator[tuple[int, Shape, np.ndarray, str]]:
    """Offset, shape, values and path of each number in a structured array of n payloads."""
    layout = _layout(shape)
    if layout is None:
        yield 0, Shape.cast(shape), values, path
        return
    if isinstance(layout, data.ArrayLayout):
        if values.ndim != 2 or values.shape[1] != layout.length:
            raise InputError(f"{path} must be an (n, {layout.length}) array, but is {values.shape}")
        parts = {index: (values[:, index], f"{path}[{index}]") for index in range(layout.length)}
    else:
        names = [str(key) for key, _ in _fields(layout)]
        if values.dtype.names is None or set(values.dtype.names) != set(names):
            given = list(values.dtype.names or [str(values.dtype)])
            raise InputError(f"{path} must have the fields {', '.join(names)}, but has {', '.join(given)}")
        parts = {key: (values[key], f"{path}.{key}") for key, _ in _fields(layout)}
    for key, field in _fields(layout):
        for offset, plain, column, name in _columns(field.shape, *parts[key]):
            yield field.offset + offset, plain, column, name


def _pack_structures(shape: ShapeLike, values: np.ndarray, path: str) -> np.ndarray:
    """The bits of structured payloads, number by number for all of them at once."""
    bits = np.zeros((len(values), 32 * words_of(Shape.cast(shape).width)), np.uint8)
    for offset, plain, column, name in _columns(shape, values, f"{path}[i]"):
        if column.dtype.kind not in "iu" or column.ndim != 1:
            raise InputError(f"{name} must be integers, one per payload, but is {column.dtype} {column.shape}")
        low, high = _range(plain)
        wrong = np.flatnonzero((column < low) | (column > high))
        if len(wrong):
            _pack_number(plain, column[wrong[0]], name.replace("[i]", f"[{wrong[0]}]", 1))
        wide = column.astype(np.int64 if column.dtype.kind == "i" else np.uint64)[:, None]
        bits[:, offset : offset + plain.width] = (wide >> np.arange(plain.width, dtype=wide.dtype)) & 1
    return np.packbits(bits, axis=1, bitorder="little").view("<u4").astype(np.uint32, copy=False)


def pack_beats(shape: ShapeLike, values: Sequence[Any] | np.ndarray, *, path: str = "value") -> np.ndarray:
    """The bits of many values, as 32-bit words.

    Parameters
    ----------
    values : sequence of n values (see :func:`pack`)
        Two kinds of arrays are converted as a whole: (n, lanes) int8 for an array layout of signed bytes, and
        structured arrays for structures of integers of up to 64 bits, (n,), and arrays of such structures, (n, length).

    Returns
    -------
    (n, words) uint32
        Lowest bits first; bits beyond the shape's width are zero.

    Raises
    ------
    InputError
        See :func:`pack`.
    """
    words = words_of(Shape.cast(shape).width)
    if isinstance(values, np.ndarray) and values.dtype.names is not None:
        return _pack_structures(shape, values, path)
    if isinstance(values, np.ndarray) and values.dtype == np.int8 and _is_bytes(shape):
        if values.ndim != 2 or values.shape[1] * 8 != Shape.cast(shape).width:
            raise InputError(f"{path} must be an (n, {Shape.cast(shape).width // 8}) array, but is {values.shape}")
        padded = np.ascontiguousarray(values)
        if values.shape[1] != words * 4:
            padded = np.zeros((len(values), words * 4), np.int8)
            padded[:, : values.shape[1]] = values
        return padded.view("<u4").astype(np.uint32, copy=False)
    packed = [pack(shape, value, path=f"{path}[{i}]").to_bytes(words * 4, "little") for i, value in enumerate(values)]
    return np.frombuffer(b"".join(packed), "<u4").reshape(len(packed), words).astype(np.uint32)


def pack_all(shape: ShapeLike, values: Sequence[Any] | np.ndarray, *, path: str = "value") -> list[int]:
    """The bits of many values, an integer each; takes and raises what :func:`pack_beats` does."""
    return [int.from_bytes(row.tobytes(), "little") for row in pack_beats(shape, values, path=path).astype("<u4")]


def unpack_beats(shape: ShapeLike, words: np.ndarray) -> Any:
    """Undo :func:`pack_beats`: an (n, lanes) int8 array for an array layout of signed bytes, else a list of values."""
    raw = np.ascontiguousarray(words, "<u4")
    if _is_bytes(shape):
        return raw.view(np.int8)[:, : Shape.cast(shape).width // 8].copy()
    return [unpack(shape, int.from_bytes(row.tobytes(), "little")) for row in raw]
