"""The safetensors file of an encoder's packed weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from ..golden.spmm.packing import PackedWeights, unpack
from ..spec.errors import InputError, ThresherError
from ..spec.files import write_whole
from ..spec.spmm_config import WeightFormat
from .pruning.patterns import KEEP, Sparsity
from .weights import Float32, decode_arrays

__all__ = ["PackedLinear", "PackedModel", "packed_bytes", "read_packed", "write_packed"]

LAYOUT = 4
"""Version of the file's layout. It increases with every change after which old files cannot be read."""

KEY = "thresher"
"""The only entry of the file's metadata. The order of several entries would not be reproducible."""

NOTE = (
    "Read with thresher.model.packed_file.read_packed. Each matrix NAME has the arrays NAME.header (int64: format "
    "code, rows M, columns K, banks, kept, group, weights), NAME.values (int8 weight words), NAME.indices (bits of "
    "the indices, lowest first), NAME.lengths (words per row, CSR formats), NAME.scale (float32, value of one unit of "
    "each row) and NAME.bias (float32)."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedLinear:
    """A layer y = W·x + b.

    Attributes
    ----------
    weights : PackedWeights
        W / scales, (M, K) INT8.
    scales : (M,) float32
        Value of one unit of each row of W, > 0.
    biases : (M,) float32
        b, not quantised: its unit depends on the scale of x.
    nonzeros : int
        Number of weights that were not zero before pruning.
    """

    weights: PackedWeights
    scales: Float32
    biases: Float32
    nonzeros: int


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedModel:
    """All packed matrices of an encoder.

    Attributes
    ----------
    version : str
        Version of thresher that wrote the file.
    sparsity : float
        Share of zero weights. 0 for dense weights.
    target : Sparsity
        What was asked for.
    pattern : str
        See :class:`~thresher.model.pruning.patterns.PruneReport`.
    method : str
        One of :data:`~thresher.model.pruning.method.METHODS`, or ``none`` if nothing was pruned.
    unpacked : str
        Digest of what else the model has; see :func:`~thresher.model.sparse_encoder.unpacked_digest`.
    matrices : dict of str to PackedLinear
        Layer by layer.
    """

    format: WeightFormat
    version: str
    sparsity: float
    target: Sparsity
    pattern: str
    method: str
    unpacked: str
    matrices: dict[str, PackedLinear]


def packed_bytes(model: PackedModel) -> bytes:
    """Content of the file that :func:`write_packed` writes. The same model gives the same bytes."""
    tensors: dict[str, np.ndarray] = {}
    for name, matrix in model.matrices.items():
        arrays = matrix.weights.to_arrays() | {"scale": matrix.scales, "bias": matrix.biases}
        # safetensors copies the memory of an array, which must be contiguous.
        tensors |= {f"{name}.{part}": np.ascontiguousarray(array) for part, array in arrays.items()}
    metadata = {
        "layout": LAYOUT,
        "version": model.version,
        "format": str(model.format),
        "sparsity": model.sparsity,
        "target": model.target,
        "pattern": model.pattern,
        "method": model.method,
        "unpacked": model.unpacked,
        "matrices": {
            name: {"shape": [matrix.weights.rows, matrix.weights.columns], "nonzeros": matrix.nonzeros}
            for name, matrix in model.matrices.items()
        },
        "note": NOTE,
    }
    return save(tensors, {KEY: json.dumps(metadata)})


def write_packed(path: Path, model: PackedModel) -> None:
    """Write a file that :func:`read_packed` reads, whole or not at all. Its folder is made if necessary.

    Raises
    ------
    ThresherError
        The file cannot be written.
    """
    write_whole({path: packed_bytes(model)})


def read_packed(path: Path) -> PackedModel:
    """Read and check what :func:`write_packed` wrote.

    Raises
    ------
    InputError
        The file cannot be read, is damaged, was not written by thresher or by a later one, or holds weights that are
        not consistent with the metadata. The message names the file and, where it is about one, the matrix.
    """
    try:
        tensors, entries = decode_arrays(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except InputError as error:
        raise InputError(f"{str(path)!r} is truncated or damaged ({error}): write it again") from None
    metadata = _checked(path, entries)
    matrices = {}
    weight_format = WeightFormat(metadata["format"])
    for name, entry in metadata["matrices"].items():
        arrays = {part: tensors.pop(f"{name}.{part}") for part in PARTS if f"{name}.{part}" in tensors}
        try:
            matrices[name] = _matrix(arrays, weight_format, *entry["shape"], nonzeros=entry["nonzeros"])
        except ThresherError as error:
            raise InputError(f"{str(path)!r}, {name}: {error}") from None
    if tensors:
        raise InputError(f"{str(path)!r} holds {min(tensors)!r}, which belongs to none of its matrices: write it again")
    return PackedModel(
        format=weight_format,
        version=metadata["version"],
        sparsity=metadata["sparsity"],
        target=metadata["target"],
        pattern=metadata["pattern"],
        method=metadata["method"],
        unpacked=metadata["unpacked"],
        matrices=matrices,
    )


PARTS = ("header", "values", "indices", "lengths", "scale", "bias")


def _checked(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Read and check the metadata."""
    text = metadata.get(KEY)
    if text is None:
        raise InputError(f"{str(path)!r} does not hold packed weights: write it with `thresher prune`")
    try:
        fields = json.loads(text)
        if fields["layout"] != LAYOUT:
            raise InputError(f"{str(path)!r} has layout {fields['layout']}, not {LAYOUT}: write it again")
        WeightFormat(fields["format"])
        sizes = [(*entry["shape"], entry["nonzeros"]) for _, entry in fields["matrices"].items()]
        sound = all(len(each) == 3 and all(isinstance(size, int) for size in each) for each in sizes)
        sound = sound and all(isinstance(fields[name], str) for name in ("version", "pattern", "method", "unpacked"))
        sound = sound and 0 <= fields["sparsity"] <= 1 and (fields["target"] == KEEP or 0 <= fields["target"] < 1)
        if not sound:
            raise ValueError
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{str(path)!r} has damaged metadata: write it again") from None
    return fields


def _matrix(
    arrays: dict[str, np.ndarray], weight_format: WeightFormat, rows: int, columns: int, *, nonzeros: int
) -> PackedLinear:
    scales, biases = (_row_numbers(arrays, part, rows) for part in ("scale", "bias"))
    if not (scales > 0).all():
        raise InputError(f"scale of row {int(np.argmin(scales > 0))} is not positive: write the file again")
    weights = PackedWeights.from_arrays(arrays)
    if (weights.format, weights.rows, weights.columns) != (weight_format, rows, columns):
        raise InputError(
            f"weights are {weights.format} {weights.rows}×{weights.columns}, but the file says {weight_format} "
            f"{rows}×{columns}: write it again"
        )
    unpack(weights)  # what an engine would make of a wrong index is undefined
    return PackedLinear(weights=weights, scales=scales, biases=biases, nonzeros=nonzeros)


def _row_numbers(arrays: dict[str, np.ndarray], part: str, rows: int) -> Float32:
    found = arrays.pop(part, None)
    if found is None:
        raise InputError(f"{part} is missing: write the file again")
    if found.dtype != np.float32 or found.shape != (rows,):
        raise InputError(f"{part} is {found.dtype} {found.shape}, not float32 {(rows,)}: write the file again")
    if not np.isfinite(found).all():
        raise InputError(f"{part} holds NaN or infinity: write the file again")
    return found
