"""Tensors of a safetensors file as float32."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from ..spec.errors import InputError

__all__ = ["Float32", "Weights", "read_matrix", "read_weights"]

Float32 = NDArray[np.float32]


class Weights:
    """Named float32 tensors that are checked when they are taken.

    Parameters
    ----------
    tensors : mapping of name to float32 array
    prefix : str
        Stands before every name asked for.
    """

    def __init__(self, tensors: Mapping[str, Float32], prefix: str = ""):
        self._tensors, self._prefix = tensors, prefix

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._tensors

    def below(self, prefix: str) -> "Weights":
        """Tensors whose names begin with ``prefix``, without it."""
        return Weights(self._tensors, self._prefix + prefix)

    def replaced(self, tensors: Mapping[str, Float32]) -> "Weights":
        """The same with other tensors in place of those with these full names."""
        return Weights({**self._tensors, **tensors}, self._prefix)

    def take(self, name: str, *shape: int) -> Float32:
        """The tensor of this name.

        Raises
        ------
        InputError
            It is missing, has another shape, or holds NaN or infinity.
        """
        name = self._prefix + name
        if name not in self._tensors:
            raise InputError(f"model.safetensors lacks the tensor {name!r}: only BERT encoders are supported")
        tensor = self._tensors[name]
        if tensor.shape != shape:
            raise InputError(f"tensor {name!r} has shape {tensor.shape}, but config.json asks for {shape}")
        if not np.isfinite(tensor).all():
            raise InputError(f"tensor {name!r} holds NaN or infinity: the model file is damaged")
        return tensor


def read_weights(path: Path) -> Weights:
    """Read a safetensors file; 16-bit, bfloat16 and 32-bit floats become float32, other tensors are left out.

    Raises
    ------
    InputError
        The file cannot be read, or is not a complete safetensors file.
    """
    tensors = {}
    for name, entry in _entries(path).items():
        values = _as_float32(entry["dtype"], entry["data"])
        if values is not None:
            # Checkpoints from before 2019 call the parameters of a layer norm gamma and beta.
            modern = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
            tensors[modern] = values.reshape(entry["shape"])
    return Weights(tensors)


def read_matrix(path: Path, name: str | None) -> Float32:
    """One weight matrix of any safetensors file.

    Parameters
    ----------
    name : str or None
        Of a tensor of two dimensions and 16-bit, bfloat16 or 32-bit floats. ``None`` is refused with some names.

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
    return values.reshape(shape)


FLOATS = ("F16", "BF16", "F32")


def _suggestion(name: str | None, matrices: list[str]) -> str:
    near = get_close_matches(name or "", matrices, n=3, cutoff=0.4) or sorted(matrices)[:3]
    return f"try {' or '.join(map(repr, near))}" if near else "the file holds no matrix of floats"


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    """``dtype``, ``shape`` and ``data`` of each tensor."""
    try:
        return dict(deserialize(path.read_bytes()))
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise InputError(f"{str(path)!r} is truncated or damaged ({error}): fetch it again") from None


def _as_float32(dtype: str, data: bytes) -> Float32 | None:
    if dtype == "F32":
        return np.frombuffer(data, "<f4").astype(np.float32, copy=False)
    if dtype == "F16":
        return np.frombuffer(data, "<f2").astype(np.float32)
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return None
