"""Tensors of safetensors files as float32."""

import json
import math
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from ..spec.errors import InputError
from ..spec.inputs import LONGEST_NAME, read_json

__all__ = [
    "INDEX",
    "WEIGHTS",
    "Float32",
    "Weights",
    "decode_arrays",
    "number_formats",
    "read_matrix",
    "read_weights",
    "weights_file",
]

Float32 = NDArray[np.float32]

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
"""Names of a file with all tensors, and of the index of several files (shards)."""

FLOATS = ("F16", "BF16", "F32", "F64")
"""Number formats that are read."""

QUANTISED = ("qweight", "qzeros", "scales", "g_idx", "absmax", "SCB", "weight_packed", "weight_scale")
"""Last parts of the names of tensors that stand in place of a quantised weight, or beside it."""


class Weights:
    """Named float32 tensors that are checked when they are taken.

    Parameters
    ----------
    tensors : mapping of name to float32 array
    prefix : str
        Stands before every name asked for.
    others : mapping of name to number format
        Tensors that are not floats. They are refused when they are taken.
    file : str
        Name of the file that messages name.
    """

    def __init__(
        self,
        tensors: Mapping[str, Float32],
        prefix: str = "",
        others: Mapping[str, str] | None = None,
        *,
        file: str = WEIGHTS,
    ):
        self._tensors, self._prefix, self._others, self._file = tensors, prefix, others or {}, file

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._tensors or self._prefix + name in self._others

    @property
    def tensors(self) -> Mapping[str, Float32]:
        """All tensors of floats by their full names."""
        return self._tensors

    def below(self, prefix: str) -> "Weights":
        """Tensors whose names begin with ``prefix``, without it."""
        return Weights(self._tensors, self._prefix + prefix, self._others, file=self._file)

    def replaced(self, tensors: Mapping[str, Float32]) -> "Weights":
        """The same with other tensors in place of those with these full names."""
        return Weights({**self._tensors, **tensors}, self._prefix, self._others, file=self._file)

    def take(self, name: str, *shape: int) -> Float32:
        """The tensor of this name.

        Raises
        ------
        InputError
            It is missing, is not made of floats, has another shape, or holds NaN or infinity.
        """
        name = self._prefix + name
        if name in self._others:
            raise InputError(f"tensor {name!r} holds {self._others[name]}, not {', '.join(FLOATS)}: convert it")
        if name not in self._tensors:
            raise InputError(f"{self._file} lacks the tensor {name!r}: {self._reason(name)}")
        tensor = self._tensors[name]
        if tensor.shape != shape:
            raise InputError(f"tensor {name!r} has shape {tensor.shape}, but config.json asks for {shape}")
        if not np.isfinite(tensor).all():
            raise InputError(f"tensor {name!r} holds NaN or infinity as float32: the model file is damaged")
        return tensor

    def _reason(self, name: str) -> str:
        """Why a tensor may be missing."""
        layer = name.rpartition(".")[0] + "."
        for other in (*self._others, *self._tensors):
            if other.startswith(layer) and (other in self._others or other.endswith(QUANTISED)):
                dtype = self._others.get(other, "floats")
                return f"the model is quantised ({other!r} holds {dtype}), choose it before its quantisation"
        return "it does not belong to this config.json"


def weights_file(folder: Path) -> Path | None:
    """The file with a folder's tensors, or their index; ``None`` if there is neither."""
    return next((folder / name for name in (WEIGHTS, INDEX) if (folder / name).is_file()), None)


def read_weights(path: Path) -> Weights:
    """Read a model's tensors. Floats of 16, 32 and 64 bits become float32.

    Parameters
    ----------
    path : Path
        A safetensors file, the index of several (shards), or a folder with either.

    Raises
    ------
    InputError
        A file is missing or cannot be read, is not a complete safetensors file, or lacks a tensor of the index.
    """
    tensors, others, file = {}, {}, _weights_path(path)
    for name, entry in _entries(file).items():
        modern = _modern(name)
        values = _as_float32(entry["dtype"], entry["data"])
        if values is None:
            others[modern] = entry["dtype"]
        else:
            tensors[modern] = _shaped(name, values, entry["shape"])
    return Weights(tensors, others=others, file=file.name)


ARRAYS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BOOL": "?"} | {
    f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)
}
"""NumPy's types of number formats that an array can have."""


def decode_arrays(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays of any type in the bytes of a safetensors file, and its metadata.

    Raises
    ------
    InputError
        The file is damaged, or holds an array that NumPy has no type for. The message does not name the file.
    """
    try:
        entries = deserialize(data)
        arrays = {name: np.frombuffer(each["data"], ARRAYS[each["dtype"]]) for name, each in entries}
        arrays = {name: arrays[name].reshape(each["shape"]) for name, each in entries}
    except KeyError as error:
        raise InputError(f"it holds numbers of the format {error.args[0]}") from None
    except (SafetensorError, ValueError) as error:  # NumPy rejects some shapes, such as (2^60, 0)
        raise InputError(str(error)) from None
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return arrays, header.get("__metadata__", {})


def number_formats(path: Path) -> dict[str, str]:
    """Number format of each tensor, such as ``F16``; parameters and errors are those of :func:`read_weights`."""
    return {_modern(name): entry["dtype"] for name, entry in _entries(path).items()}


def _modern(name: str) -> str:
    """Checkpoints from before 2019 call the parameters of a layer norm gamma and beta."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def read_matrix(path: Path, name: str | None) -> Float32:
    """One weight matrix of a model's tensors.

    Parameters
    ----------
    path : Path
        As for :func:`read_weights`.
    name : str or None
        Of a tensor of two dimensions and floats of 16, 32 or 64 bits. ``None`` is refused with some names.

    Raises
    ------
    InputError
        The file cannot be read, or has no such tensor; the message names similar ones.
    """
    entries = _entries(path)
    matrices = [item for item, entry in entries.items() if len(entry["shape"]) == 2 and entry["dtype"] in FLOATS]
    if name is None or name not in entries:
        asked = "no tensor is named" if name is None else f"{str(path)!r} has no tensor {name!r}"
        raise InputError(f"{asked}: {_suggestion(name, matrices)}")
    shape, dtype = entries[name]["shape"], entries[name]["dtype"]
    if len(shape) != 2:
        raise InputError(f"tensor {name!r} has shape {tuple(shape)}, not two dimensions: {_suggestion(name, matrices)}")
    values = _as_float32(dtype, entries[name]["data"])
    if values is None:
        raise InputError(f"tensor {name!r} holds {dtype}, not {', '.join(FLOATS)}: {_suggestion(name, matrices)}")
    return _shaped(name, values, shape)


def _suggestion(name: str | None, matrices: list[str]) -> str:
    near = get_close_matches(name or "", matrices, n=3, cutoff=0.4) or sorted(matrices)[:3]
    return f"try {' or '.join(map(repr, near))}" if near else "the file holds no matrix of floats"


def _weights_path(path: Path) -> Path:
    """The file or index of a folder; any other path as it is."""
    if not path.is_dir():
        return path
    found = weights_file(path)
    if found is None:
        raise InputError(f"folder {str(path)!r} lacks {WEIGHTS}: name a folder that has it, or a file")
    return found


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    """``dtype``, ``shape`` and ``data`` of each tensor."""
    path = _weights_path(path)
    return _sharded(path) if path.suffix == ".json" else _single(path)


def _single(path: Path) -> dict[str, dict[str, Any]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    try:
        return dict(deserialize(data))
    except SafetensorError as error:
        named = _other_format(data, str(error))
        if named is not None:
            told = f"tensor {named[0]!r} of {str(path)!r} holds {named[1]}, not {', '.join(FLOATS)}: convert it"
            raise InputError(told) from None
        raise InputError(f"{str(path)!r} is truncated or damaged ({error}): fetch it again") from None


def _other_format(data: bytes, error: str) -> tuple[str, str] | None:
    """Name and number format of the tensor because of which the library refuses a file, if it does not hold floats.

    To the library, a number format that it does not know is an error of the header.
    """
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        for name, entry in header.items():
            dtype = entry.get("dtype")
            if f"unknown variant `{dtype}`" in error:
                return name, dtype
            if dtype is not None and dtype not in FLOATS and "invalid shape, data type" in error:
                start, stop = entry["data_offsets"]
                bits = 8 if dtype == "BOOL" else int(dtype.partition("_")[0].lstrip("BCFIU"))
                if 8 * (stop - start) != bits * math.prod(entry["shape"]):
                    return name, dtype
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError):  # another damage
        pass
    return None


def _sharded(index: Path) -> dict[str, dict[str, Any]]:
    """Tensors of several files, which the index names."""
    places = read_json(index, dict).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(shard, str) for shard in places.values()):
        raise InputError(f"{str(index)!r} has no weight_map from tensors to files: fetch it again")
    entries: dict[str, dict[str, Any]] = {}
    for shard in sorted(set(places.values())):
        # Only beside the index: a model must not make us read files elsewhere.
        if shard in ("", ".", "..") or set("/\\\0") & set(shard) or len(shard) > LONGEST_NAME:
            raise InputError(f"{str(index)!r} names the shard {shard!r}, which is not a file's name: fetch it again")
        if not index.with_name(shard).is_file():
            raise InputError(f"the shard {shard!r}, which {index.name} names, is missing: complete the folder")
        found = _single(index.with_name(shard))
        for name in (name for name, place in places.items() if place == shard):
            if name not in found:
                raise InputError(f"the shard {shard!r} lacks the tensor {name!r}, which {index.name} places there")
            entries[name] = found[name]
    return entries


def _shaped(name: str, values: Float32, shape: list[int]) -> Float32:
    try:
        return values.reshape(shape)
    except ValueError:  # more than 64 dimensions, or a size beyond 63 bits beside a 0
        raise InputError(
            f"tensor {name!r} has the shape {shape}, which no array can have: fetch the file again"
        ) from None


def _as_float32(dtype: str, data: bytes) -> Float32 | None:
    """(values,) float32; ``None`` for number formats that are not floats."""
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype not in FLOATS:
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes NaN or infinity is refused when it is taken
        return np.frombuffer(data, {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]).astype(np.float32, copy=False)
