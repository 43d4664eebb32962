"""The state of an unfinished training run, as a file."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ...spec.errors import InputError
from .loop import State

__all__ = ["checkpoint_bytes", "read_checkpoint"]


def checkpoint_bytes(state: State, **notes: Any) -> bytes:
    """A safetensors file of a state, with notes that JSON can hold."""
    tensors: dict[str, np.ndarray] = {f"masks/{name}": mask for name, mask in state.masks.items()}
    tensors |= {f"units/{name}": value for name, value in state.units.items()}
    for name, part in _changing(state).items():
        tensors |= {f"{name}/{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(part))}
    return save(tensors, {"thresher": json.dumps({"step": state.step, **notes})})


def read_checkpoint(path: Path, start: State) -> tuple[State, dict[str, Any]]:
    """The state of a file, and its notes.

    Parameters
    ----------
    start : State
        Before the first step, of the same run.

    Raises
    ------
    InputError
        The file cannot be read, or is of another run.
    """
    try:
        data = path.read_bytes()
        tensors = load(data)
        notes = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["thresher"])
        masks = {name: tensors[f"masks/{name}"] for name in start.masks}
        units = {name.removeprefix("units/"): tensor for name, tensor in tensors.items() if name.startswith("units/")}
        parts = {name: _filled(name, part, tensors) for name, part in _changing(start).items()}
        step = notes.pop("step")
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot read {str(path)!r} ({reason}): train without --resume") from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{str(path)!r} is damaged or of another run ({error}): train without --resume") from None
    return State(step, parts["parameters"], parts["optimiser"], masks, units), notes


def _changing(state: State) -> dict[str, Any]:
    return {"parameters": state.parameters, "optimiser": state.optimiser}


def _filled(name: str, part: Any, tensors: dict[str, np.ndarray]) -> Any:
    """A tree with the arrays of a file."""
    leaves, structure = jax.tree.flatten(part)
    found = [tensors[f"{name}/{i}"] for i in range(len(leaves))]
    if any(old.shape != new.shape or old.dtype != new.dtype for old, new in zip(leaves, found, strict=True)):
        raise ValueError(f"the shapes of {name} differ")
    return jax.tree.unflatten(structure, map(jnp.asarray, found))
