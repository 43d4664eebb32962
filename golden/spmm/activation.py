"""Activation: the function that is applied to requantised results."""

from collections.abc import Sequence

import numpy as np

from ...spec.errors import InputError
from ...spec.formats import INT8_MAX, INT8_MIN
from ...spec.spmm_command import Activation
from ..lib.integer import Int8

__all__ = ["activate"]


def activate(y: Int8, activation: Activation, table: Int8 | Sequence[int] | None = None) -> Int8:
    """Apply an activation: y (``NONE``), max(0, y) (``RELU``) or table[y + 128] (``TABLE``).

    Parameters
    ----------
    y : int8 array
    activation : Activation
    table : 256 integers from −128 to 127, optional
        Results for the inputs −128…127, in this order. Only ``TABLE`` uses it.

    Returns
    -------
    int8 array, shape of ``y``

    Raises
    ------
    InputError
        The table is missing or is not 256 INT8 values, or the activation is unknown.
    """
    match activation:
        case Activation.NONE:
            return y.copy()
        case Activation.RELU:
            return np.maximum(y, np.int8(0))
        case Activation.TABLE:
            return _entries(table)[y.astype(np.int64) - INT8_MIN]
        case _:
            known = ", ".join(item.name for item in Activation)
            raise InputError(f"activation must be one of {known}, not {activation!r}")


def _entries(table: Int8 | Sequence[int] | None) -> Int8:
    if table is None:
        raise InputError(
            "activation TABLE needs a table of 256 INT8 values: give one, such as spec.tables.gelu_table()"
        )
    entries = np.asarray(table)
    if entries.dtype.kind not in "iu" or entries.shape != (INT8_MAX - INT8_MIN + 1,):
        raise InputError(f"table must hold 256 integers, not {entries.dtype} of shape {entries.shape}")
    if not ((entries >= INT8_MIN) & (entries <= INT8_MAX)).all():
        raise InputError(
            f"table must hold numbers from {INT8_MIN} to {INT8_MAX}, not from {entries.min()} to {entries.max()}"
        )
    return entries.astype(np.int8)
