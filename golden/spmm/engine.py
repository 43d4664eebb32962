"""SpMM engine: the result of a sparse matrix product, bit for bit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ...spec.errors import InputError
from ...spec.formats import BIAS_BITS, ROW_MULTIPLIER_BITS, ROW_SHIFT_BASE, ROW_SHIFT_BITS, signed_bits
from ...spec.spmm_command import Activation
from ...spec.spmm_config import SpmmConfig, WeightFormat
from ..lib.integer import Int8, Int64, exact_matmul
from ..lib.requantise import requantise
from .activation import activate
from .matrices import canonical
from .packing import PackedWeights, unpack

__all__ = ["SpmmResult", "sparse_product"]

Weights = NDArray[np.int8] | sparse.sparray | sparse.spmatrix | PackedWeights
Integers = NDArray[np.integer] | Sequence[int]


@dataclass(frozen=True, kw_only=True)
class SpmmResult:
    """Result of a product.

    Attributes
    ----------
    output : (M, N) int8
    saturations : int
        Number of results that were clipped, before the activation.
    """

    output: Int8
    saturations: int


def sparse_product(
    config: SpmmConfig,
    weights: Weights,
    x: Int8,
    bias: Integers,
    multiplier: Integers,
    shift: Integers,
    *,
    activation: Activation = Activation.NONE,
    table: Int8 | Sequence[int] | None = None,
) -> SpmmResult:
    """Compute Y = act(clip(round((W·X + bias) · multiplier / 2^(8 + shift)), −128, 127)).

    Parameters
    ----------
    config : SpmmConfig
    weights : (M, K) int8 NumPy array, scipy.sparse CSR, CSC or COO of int8, or PackedWeights
        The packing does not change the result.
    x : (K, N) int8
    bias : (M,) integers of 32 bits, signed
        In units of the accumulator.
    multiplier, shift : (M,) integers of 16 and 5 bits, unsigned
        See :func:`~thresher.spec.spmm_command.row_scaling`.
    activation, table
        See :func:`~thresher.golden.spmm.activation.activate`.

    Raises
    ------
    InputError
        An array has the wrong shape, dtype or range, the product is too large for the engine, or the weights are
        malformed or packed in a format that the engine does not have.
    """
    if isinstance(weights, PackedWeights):
        _check_packing(config, weights)
        weights = unpack(weights)
    w = canonical(weights).to_dense().astype(np.int64)
    rows, columns = w.shape
    wide_x = _check_x(x, columns)
    for name, size, largest in (
        ("rows", rows, config.max_rows),
        ("columns", columns, config.max_columns),
        ("tokens", wide_x.shape[1], config.max_tokens),
    ):
        if size > largest:
            raise InputError(f"the product must have at most {largest} {name} for this engine, not {size}")
    biases = _per_row("bias", bias, rows, -(1 << (BIAS_BITS - 1)), (1 << (BIAS_BITS - 1)) - 1)
    multipliers = _per_row("multiplier", multiplier, rows, 0, (1 << ROW_MULTIPLIER_BITS) - 1)
    shifts = _per_row("shift", shift, rows, 0, (1 << ROW_SHIFT_BITS) - 1)

    accumulators = exact_matmul(w, wide_x)
    assert np.abs(accumulators).max() <= config.accumulator_peak
    biased = accumulators + biases
    assert signed_bits(int(biased.min()), int(biased.max())) <= config.biased_bits
    results, saturations = requantise(biased, multipliers, ROW_SHIFT_BASE + shifts)
    return SpmmResult(output=activate(results, activation, table), saturations=saturations)


def _check_packing(config: SpmmConfig, packed: PackedWeights) -> None:
    if packed.format not in config.formats:
        raise InputError(
            f"weights must be packed as {' or '.join(config.formats)} for this engine, not {packed.format}"
        )
    used = {WeightFormat.BBS: ("banks",), WeightFormat.NM: ("kept", "group")}.get(packed.format, ())
    for name in used:
        given, expected = getattr(packed, name), getattr(config, name)
        if given != expected:
            raise InputError(f"weights must be packed with {name}={expected} for this engine, not {name}={given}")


def _check_x(x: Int8, columns: int) -> Int64:
    if not isinstance(x, np.ndarray) or x.dtype != np.int8:
        raise InputError(f"X must be a NumPy array of dtype int8, not {getattr(x, 'dtype', type(x).__name__)}")
    if x.ndim != 2 or x.shape[0] != columns or x.shape[1] < 1:
        raise InputError(f"X must have shape ({columns}, N), because W has {columns} columns, not {x.shape}")
    return x.astype(np.int64)


def _per_row(name: str, value: Integers, rows: int, low: int, high: int) -> Int64:
    """Check numbers of which there is one per row, and convert them to int64 of shape (M, 1)."""
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "iu" or numbers.shape != (rows,):
        raise InputError(f"{name} must hold {rows} integers, one per row, not {numbers.dtype} of shape {numbers.shape}")
    wrong = (numbers < low) | (numbers > high)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"{name} of row {row} must be from {low} to {high}, not {numbers[row]}")
    return numbers.astype(np.int64)[:, None]
