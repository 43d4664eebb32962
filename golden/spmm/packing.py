"""Packing of weight matrices into the words that an SpMM engine takes, and unpacking."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ...spec.base import check_enum, check_one_of, check_range, powers_of_two
from ...spec.errors import InputError
from ...spec.formats import ceil_div
from ...spec.spmm_command import FORMAT_CODES
from ...spec.spmm_config import WeightFormat
from ...spec.weight_words import DELTA_BITS, NARROW_DELTA_BITS, WordShape, word_shape
from ..lib.integer import Int8, Int64
from .front_ends import bbs, csr, csr_delta, dense, nm
from .matrices import Entries, Words, canonical, find_first

__all__ = ["PackedWeights", "index_type", "pack", "structure", "unpack"]

LENGTH_FORMATS = (WeightFormat.CSR, WeightFormat.CSR_DELTA)
"""Formats whose rows have different numbers of words. In the others the shape gives the number."""
LARGEST_SIZE = 1 << 24
"""Largest number of rows or columns of a matrix that is read from arrays."""
HEADER = ("format", "rows", "columns", "banks", "kept", "group", "stored")
"""Numbers in the array ``header``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedWeights:
    """Weight matrix in words; see :mod:`~thresher.spec.weight_words`.

    Parameters
    ----------
    format : WeightFormat
    rows, columns : int
        M and K.
    banks, kept, group : int
        See :class:`~thresher.spec.spmm_config.SpmmConfig`. 1, 2 and 4 if the format does not use them.
    stored : int
        Number of weights, which are not 0. In the dense format M·K.
    values : (words, V) int8
        Values of the words, row after row.
    indices : (words, V) uint16, or uint32 if an index has more than 16 bits
        Indices of the words; 0 in the dense format.
    lengths : (rows,) int64
        Number of words of each row.

    Raises
    ------
    InputError
        An array has the wrong shape or dtype, or the lengths or ``stored`` contradict the values.
    ConfigError
        No engine can have these ``banks``, ``kept`` or ``group``.
    """

    format: WeightFormat
    rows: int
    columns: int
    banks: int = 1
    kept: int = 2
    group: int = 4
    stored: int
    values: Int8
    indices: NDArray[np.uint16] | NDArray[np.uint32]
    lengths: Int64

    def __post_init__(self):
        _check_structure(self.format, banks=self.banks, kept=self.kept, group=self.group)
        if self.rows < 1 or self.columns < 1:
            raise InputError(f"packed weights must have rows and columns, not shape {self.rows, self.columns}")
        for name, array, dtype, shape in (
            ("values", self.values, np.dtype(np.int8), (len(self.values), self.shape.values)),
            ("indices", self.indices, index_type(self.shape), self.values.shape),
            ("lengths", self.lengths, np.dtype(np.int64), (self.rows,)),
        ):
            if array.dtype != dtype or array.shape != shape:
                raise InputError(
                    f"{name} of {self.format} weights must be {dtype} of shape {shape}, "
                    f"not {array.dtype} of shape {array.shape}"
                )
        if (found := find_first((self.lengths < 0) | (self.lengths > self.columns))) is not None:
            raise InputError(f"row {found[0]} must have from 0 to {self.columns} words, not {self.lengths[found]}")
        if (total := int(self.lengths.sum())) != len(self.values):
            raise InputError(f"lengths must add up to the {len(self.values)} words that are given, not to {total}")
        if self.format not in LENGTH_FORMATS:
            expected = _row_words(self.format, self.columns, self.group, len(self.values) // self.rows)
            if (found := find_first(self.lengths != expected)) is not None:
                raise InputError(
                    f"row {found[0]} must have {expected} words, as every row in the format {self.format}, "
                    f"not {self.lengths[found]}"
                )
        smallest, largest = np.count_nonzero(self.values), self.rows * self.columns
        if not smallest <= self.stored <= largest:
            raise InputError(
                f"stored must be from {smallest}, the number of non-zeros, to {largest}, the size of the matrix, "
                f"not {self.stored}"
            )

    @property
    def shape(self) -> WordShape:
        """Layout of the words, with indices as wide as this matrix needs."""
        return word_shape(self.format, columns=self.columns, banks=self.banks, kept=self.kept, group=self.group)

    @property
    def zeros(self) -> int:
        """Number of values that are 0: padding, escapes of the format csr-delta, zeros of the dense format."""
        return self.values.size - int(np.count_nonzero(self.values))

    @property
    def bytes(self) -> int:
        """Bytes of the arrays of :meth:`to_arrays`, without the header."""
        lengths = self.rows * _length_type(self.columns).itemsize if self.format in LENGTH_FORMATS else 0
        return self.values.size + ceil_div(self.values.size * self.shape.index_bits, 8) + lengths

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Convert to arrays that can be stored, for example as safetensors.

        Returns
        -------
        dict
            ``header``, (7,) int64: format code, rows, columns, banks, kept, group, stored.
            ``values``, (words, V) int8.
            ``indices``, uint8: indices of ``shape.index_bits`` bits, the first in the lowest bits of the first byte.
            ``lengths``, (rows,) uint16, or uint32 from 65536 columns on. Only in the formats csr and csr-delta.
        """
        header = {name: getattr(self, name) for name in HEADER} | {"format": FORMAT_CODES[self.format]}
        arrays = {
            "header": np.array(list(header.values()), np.int64),
            "values": np.ascontiguousarray(self.values),
            "indices": _to_bits(self.indices, self.shape.index_bits),
        }
        if self.format in LENGTH_FORMATS:
            arrays["lengths"] = self.lengths.astype(_length_type(self.columns))
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "PackedWeights":
        """Convert the arrays of :meth:`to_arrays` back.

        Raises
        ------
        InputError
            An array is missing, or has the wrong shape, dtype or content.
        ConfigError
            No engine can have the header's ``banks``, ``kept`` or ``group``.
        """
        header = _array(arrays, "header", np.dtype(np.int64), 1)
        if header.shape != (len(HEADER),):
            raise InputError(f"header must hold {', '.join(HEADER)}, not {len(header)} numbers")
        settings = dict(zip(HEADER, header.tolist(), strict=True))
        code = settings.pop("format")
        formats = {number: item for item, number in FORMAT_CODES.items()}
        if code not in formats:
            raise InputError(f"format in the header must be from 0 to {max(formats)}, not {code}")
        weight_format = formats[code]
        rows, columns = settings["rows"], settings["columns"]
        _check_structure(weight_format, **{name: settings[name] for name in ("banks", "kept", "group")})
        # No engine takes more. The limit also keeps a damaged file from filling the memory.
        if not (1 <= rows <= LARGEST_SIZE and 1 <= columns <= LARGEST_SIZE):
            raise InputError(f"header must have 1 to {LARGEST_SIZE} rows and columns, not {rows} and {columns}")

        values = _array(arrays, "values", np.dtype(np.int8), 2)
        if weight_format in LENGTH_FORMATS:
            lengths = _array(arrays, "lengths", _length_type(columns), 1).astype(np.int64)
        else:
            each = _row_words(weight_format, columns, settings["group"], len(values) // rows)
            lengths = np.full(rows, each, np.int64)
        shape = word_shape(
            weight_format, columns=columns, banks=settings["banks"], kept=settings["kept"], group=settings["group"]
        )
        packed = _array(arrays, "indices", np.dtype(np.uint8), 1)
        expected = ceil_div(values.size * shape.index_bits, 8)
        if len(packed) != expected:
            raise InputError(f"indices must have {expected} bytes for {values.size} values, not {len(packed)}")
        indices = _from_bits(packed, shape.index_bits, values.size).reshape(values.shape)
        return cls(
            format=weight_format,
            **settings,
            values=values,
            indices=indices.astype(index_type(shape)),
            lengths=lengths,
        )


def pack(
    weights: NDArray[np.int8] | sparse.sparray | sparse.spmatrix,
    weight_format: WeightFormat,
    *,
    banks: int = 1,
    kept: int = 2,
    group: int = 4,
    delta_bits: int = DELTA_BITS,
) -> PackedWeights:
    """Pack a weight matrix.

    Parameters
    ----------
    weights : (M, K) int8 NumPy array, or scipy.sparse CSR, CSC or COO of int8, array or matrix
        The weights are the non-zeros. Zeros that a sparse matrix stores are left out.
    weight_format : WeightFormat
        The bank-balanced format takes any pattern. All banks are padded with zeros to the number of weights of the
        fullest bank.
    banks : int
        Number of banks in the bank-balanced format. Other formats ignore it.
    kept, group : int
        N and M of the N:M format. Other formats ignore them.
    delta_bits : int
        8, or 4 for words whose weights are stored with 4 bits: bits of a delta of the format csr-delta. Other formats
        ignore it.

    Raises
    ------
    InputError
        The matrix is malformed (see :func:`~thresher.golden.spmm.matrices.canonical`), or a group of the N:M format
        has too many weights. The message says where.
    ConfigError
        The format is unknown, no engine can have these ``banks``, ``kept`` or ``group``, or no delta has so many bits.
    """
    check_one_of("delta_bits", delta_bits, (NARROW_DELTA_BITS, DELTA_BITS))
    weight_format = check_enum("weight_format", weight_format, WeightFormat)
    used = structure(weight_format, banks=banks, kept=kept, group=group)
    _check_structure(weight_format, banks=banks, kept=kept, group=group)
    matrix = canonical(weights)
    rows, columns = matrix.shape
    words = _encode(matrix, weight_format, banks=banks, kept=kept, group=group, delta_bits=delta_bits)
    shape = word_shape(weight_format, columns=columns, **used)
    return PackedWeights(
        format=weight_format,
        rows=rows,
        columns=columns,
        **used,
        stored=rows * columns if weight_format is WeightFormat.DENSE else len(matrix.values),
        values=words.values,
        indices=words.indices.astype(index_type(shape)),
        lengths=words.lengths,
    )


def structure(weight_format: WeightFormat, *, banks: int, kept: int, group: int) -> dict[str, int]:
    """The parameters that a format uses."""
    match weight_format:
        case WeightFormat.BBS:
            return {"banks": banks}
        case WeightFormat.NM:
            return {"kept": kept, "group": group}
        case _:
            return {}


def unpack(packed: PackedWeights) -> sparse.csr_array:
    """Unpack a weight matrix.

    Returns
    -------
    (M, K) csr_array of int8
        The weights. No stored value is 0, and the columns of every row ascend.

    Raises
    ------
    InputError
        An index is out of range or out of order, or an escape of the format csr-delta has a value. The message names
        the row and the word.
    """
    return _decode(packed).to_csr()


def _encode(
    matrix: Entries, weight_format: WeightFormat, *, banks: int, kept: int, group: int, delta_bits: int
) -> Words:
    match weight_format:
        case WeightFormat.CSR:
            return csr.encode(matrix)
        case WeightFormat.CSR_DELTA:
            return csr_delta.encode(matrix, delta_bits)
        case WeightFormat.BBS:
            return bbs.encode(matrix, banks)
        case WeightFormat.NM:
            return nm.encode(matrix, kept, group)
        case WeightFormat.DENSE:
            return dense.encode(matrix)


def _decode(packed: PackedWeights) -> Entries:
    words = Words(packed.values, packed.indices.astype(np.int64), packed.lengths)
    match packed.format:
        case WeightFormat.CSR:
            return csr.decode(words, packed.columns)
        case WeightFormat.CSR_DELTA:
            return csr_delta.decode(words, packed.columns)
        case WeightFormat.BBS:
            return bbs.decode(words, packed.columns, packed.banks)
        case WeightFormat.NM:
            return nm.decode(words, packed.columns, packed.group)
        case WeightFormat.DENSE:
            return dense.decode(words, packed.columns)


def _check_structure(weight_format: WeightFormat, *, banks: int, kept: int, group: int) -> None:
    """Raise :class:`ConfigError` unless an engine with this format can have these settings."""
    if weight_format is WeightFormat.BBS:
        check_one_of("banks", banks, powers_of_two(2, 256))
    elif weight_format is WeightFormat.NM:
        check_one_of("group", group, powers_of_two(2, 64))
        check_range("kept", kept, 1, group - 1)


def _row_words(weight_format: WeightFormat, columns: int, group: int, average: int) -> int:
    """Number of words of a row, in a format in which all rows have the same number."""
    match weight_format:
        case WeightFormat.NM:
            return ceil_div(columns, group)
        case WeightFormat.DENSE:
            return columns
        case _:
            return average


def index_type(shape: WordShape) -> np.dtype:
    """Type of the indices of packed weights."""
    return np.dtype(np.uint16 if shape.index_bits <= 16 else np.uint32)


def _length_type(columns: int) -> np.dtype:
    """Type of a row's number of words, which is at most the number of columns."""
    return np.dtype(np.uint16 if columns < 1 << 16 else np.uint32)


def _array(arrays: Mapping[str, np.ndarray], name: str, dtype: np.dtype, dimensions: int) -> np.ndarray:
    if name not in arrays:
        raise InputError(f"packed weights lack the array {name!r}: they have {', '.join(sorted(arrays)) or 'none'}")
    array = arrays[name]
    if array.dtype != dtype or array.ndim != dimensions:
        raise InputError(f"{name} must be {dtype} of {dimensions} dimensions, not {array.dtype} of shape {array.shape}")
    return array


def _to_bits(indices: np.ndarray, bits: int) -> NDArray[np.uint8]:
    planes = indices.reshape(-1, 1) >> np.arange(bits, dtype=indices.dtype) & 1
    return np.packbits(planes.astype(np.uint8).ravel(), bitorder="little")


def _from_bits(packed: NDArray[np.uint8], bits: int, count: int) -> Int64:
    planes = np.unpackbits(packed, count=count * bits, bitorder="little").reshape(count, bits)
    return planes.astype(np.int64) @ (np.int64(1) << np.arange(bits, dtype=np.int64))
