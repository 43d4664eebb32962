"""Exact integer helpers: checked inputs, products, and the one rounding rule."""

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import InputError

__all__ = ["Int8", "Int64", "as_int8_matrix", "exact_matmul", "round_half_up_shift"]

Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]


def as_int8_matrix(name: str, value: object) -> Int64:
    """Check an INT8 matrix and widen it.

    Raises
    ------
    InputError
        Not a 2-D array of dtype int8.
    """
    if not isinstance(value, np.ndarray) or value.dtype != np.int8:
        found = getattr(value, "dtype", type(value).__name__)
        raise InputError(f"{name} must be a NumPy array of dtype int8, not {found}")
    if value.ndim != 2:
        raise InputError(f"{name} must have two dimensions (length, head dimension), not shape {value.shape}")
    return value.astype(np.int64)


def exact_matmul(a: Int64, b: Int64) -> Int64:
    """a @ b of integers, exactly.

    NumPy multiplies integer matrices without BLAS. Float64 is exact, and ten times as fast, while no partial
    sum reaches 2^53; beyond that the integer product is used.
    """
    bound = int(np.abs(a).max(initial=0)) * int(np.abs(b).max(initial=0)) * a.shape[-1]
    if bound < 1 << 53:
        return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    return a @ b


def round_half_up_shift(value: Int64, shift: int | Int64) -> Int64:
    """value / 2^shift rounded to the nearest integer, halves toward +∞. ``shift`` ≥ 1."""
    return (value + (np.int64(1) << (np.asarray(shift, np.int64) - 1))) >> shift
