"""Exact integer arithmetic: matrix products, and the one rounding rule of the project."""

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import InputError

__all__ = ["Int8", "Int64", "as_int8_matrix", "exact_matmul", "round_half_up_shift"]

Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]


def as_int8_matrix(name: str, value: object) -> Int64:
    """Check an INT8 matrix and convert it to int64.

    Parameters
    ----------
    name : str
        Name of the matrix in messages.
    value : (length, head dimension) int8

    Raises
    ------
    InputError
        ``value`` is not a two-dimensional array of dtype int8.
    """
    if not isinstance(value, np.ndarray) or value.dtype != np.int8:
        found = getattr(value, "dtype", type(value).__name__)
        raise InputError(f"{name} must be a NumPy array of dtype int8, not {found}")
    if value.ndim != 2:
        raise InputError(f"{name} must have two dimensions (length, head dimension), not shape {value.shape}")
    return value.astype(np.int64)


def exact_matmul(a: Int64, b: Int64) -> Int64:
    """Exact product a @ b of integer matrices.

    NumPy computes integer products without BLAS. The product in float64 is about ten times as fast. It is exact if no
    partial sum can reach 2^53; otherwise the integer product is used.
    """
    bound = int(np.abs(a).max(initial=0)) * int(np.abs(b).max(initial=0)) * a.shape[-1]
    if bound < 1 << 53:
        return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    return a @ b


def round_half_up_shift(value: Int64, shift: int | Int64) -> Int64:
    """Divide by 2^shift, shift ≥ 1, and round to the nearest integer, halves toward +∞."""
    half = np.int64(1) << (np.asarray(shift, np.int64) - 1)
    return (value + half) >> shift
