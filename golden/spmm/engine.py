"""A sparse matrix product: what the SpMM engine answers, bit for bit."""

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
    """A product's output (M, N) int8, and how many of its results were clipped before the activation."""

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
    """act(clip(round_half_up((W·X + bias) · multiplier / 2^(8 + shift)), −128, 127)).

    Parameters
    ----------
    weights : (M, K) int8 NumPy array, scipy.sparse CSR, CSC or COO of int8, or PackedWeights
        How they are packed makes no difference to the result.
    x : (K, N) int8
    bias : (M,) integers of 32 bits, in units of the accumulator
    multiplier, shift : (M,) unsigned integers
        Of 16 and 5 bits; :func:`~thresher.spec.spmm_command.row_scaling` gives them.
    activation, table
        See :func:`~thresher.golden.spmm.activation.activate`.

    Raises
    ------
    InputError
        An array has the wrong shape, dtype or range, is larger than the engine takes, or weights are malformed or
        packed in a way that the engine does not take.
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
            raise InputError(f"the product has {size} {name}: the engine takes at most {largest}")
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
        raise InputError(f"weights are packed as {packed.format}: the engine takes {', '.join(config.formats)}")
    used = {WeightFormat.BBS: ("banks",), WeightFormat.NM: ("kept", "group")}.get(packed.format, ())
    for name in used:
        given, expected = getattr(packed, name), getattr(config, name)
        if given != expected:
            raise InputError(f"weights are packed with {name}={given}: the engine takes {name}={expected}")


def _check_x(x: Int8, columns: int) -> Int64:
    if not isinstance(x, np.ndarray) or x.dtype != np.int8:
        raise InputError(f"X must be a NumPy array of dtype int8, not {getattr(x, 'dtype', type(x).__name__)}")
    if x.ndim != 2 or x.shape[0] != columns or x.shape[1] < 1:
        raise InputError(f"X must have shape ({columns}, N), as many rows as W has columns, not {x.shape}")
    return x.astype(np.int64)


def _per_row(name: str, value: Integers, rows: int, low: int, high: int) -> Int64:
    """(M, 1) of what is told about each row."""
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "iu" or numbers.shape != (rows,):
        raise InputError(f"{name} must hold {rows} integers, one per row, not {numbers.dtype} of shape {numbers.shape}")
    wrong = (numbers < low) | (numbers > high)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"{name} of row {row} is {numbers[row]}: must be from {low} to {high}")
    return numbers.astype(np.int64)[:, None]
