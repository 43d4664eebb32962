"""What is applied to a requantised result."""

from collections.abc import Sequence

import numpy as np

from ...spec.errors import InputError
from ...spec.formats import INT8_MAX, INT8_MIN
from ...spec.spmm_command import Activation
from ..lib.integer import Int8

__all__ = ["activate"]


def activate(y: Int8, activation: Activation, table: Int8 | Sequence[int] | None = None) -> Int8:
    """y, max(0, y), or table[y + 128].

    Parameters
    ----------
    y : int8 array
    table : 256 INT8 values, the results for −128…127 in order
        Needed by ``Activation.TABLE``; the others ignore it.

    Raises
    ------
    InputError
        The table is missing, has another length, or holds something other than INT8 values; or the activation is
        unknown.
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
        raise InputError("activation TABLE needs a table of 256 INT8 values, for example spec.tables.gelu_table()")
    entries = np.asarray(table)
    if entries.dtype.kind not in "iu" or entries.shape != (INT8_MAX - INT8_MIN + 1,):
        raise InputError(f"table must hold 256 integers, not {entries.dtype} of shape {entries.shape}")
    if not ((entries >= INT8_MIN) & (entries <= INT8_MAX)).all():
        raise InputError(f"table holds {entries.min()} to {entries.max()}: must be {INT8_MIN} to {INT8_MAX}")
    return entries.astype(np.int8)
