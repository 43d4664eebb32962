"""A model's weights as a file."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from .encoder import Encoder
from .weights import Float32, number_formats, read_weights

__all__ = ["weights_bytes"]


def weights_bytes(folder: Path, encoder: Encoder) -> bytes:
    """A safetensors file with the arrays of an encoder in place of those of a model's folder.

    Other tensors of floats are kept. Tensors that the folder has in float16 are rounded to it, and all others are
    float32.

    Parameters
    ----------
    folder : Path
        Of ``config.json`` and the weights.
    encoder : Encoder
        With the shapes of this model.

    Raises
    ------
    InputError
        The folder's weights cannot be read, or are not those of the encoder's configuration.
    """
    weights, formats = read_weights(folder), number_formats(folder)
    names = {id(tensor): name for name, tensor in weights.tensors.items()}
    own = Encoder(encoder.config, weights)
    changed = dict(weights.tensors)
    for old, new in zip(_arrays(own.parameters()), _arrays(encoder.parameters()), strict=True):
        changed[names[id(old)]] = new
    return save({name: _stored(tensor, formats[name]) for name, tensor in changed.items()})


def _arrays(part: Any) -> Iterator[Float32]:
    """The arrays of an encoder's parameters, in a fixed order."""
    if isinstance(part, np.ndarray):
        yield part
    elif is_dataclass(part):
        for field in fields(part):
            yield from _arrays(getattr(part, field.name))
    elif isinstance(part, dict | list):
        for each in part.values() if isinstance(part, dict) else part:
            yield from _arrays(each)


def _stored(tensor: Float32, number_format: str) -> np.ndarray:
    fits = number_format == "F16" and np.abs(tensor).max(initial=0) <= np.finfo(np.float16).max
    return np.ascontiguousarray(tensor, np.float16 if fits else np.float32)
