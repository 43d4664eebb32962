"""The state of an unfinished training run, as a file."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save

from ...spec.errors import InputError
from ..weights import decode_arrays
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
        tensors, entries = decode_arrays(path.read_bytes())
        notes = json.loads(entries["thresher"])
        step = notes.pop("step") if isinstance(notes, dict) else None
        if type(step) is not int or step < 0:
            raise ValueError("the number of steps is missing")
        masks = {name: _alike(f"masks/{name}", mask, tensors) for name, mask in start.masks.items()}
        units = {name.removeprefix("units/"): tensor for name, tensor in tensors.items() if name.startswith("units/")}
        parts = {name: _filled(name, part, tensors) for name, part in _changing(start).items()}
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot read {str(path)!r} ({reason}): train without --resume") from None
    except (ValueError, KeyError, RecursionError) as error:
        raise InputError(f"{str(path)!r} is damaged or of another run ({error}): train without --resume") from None
    return State(step, parts["parameters"], parts["optimiser"], masks, units), notes


def _changing(state: State) -> dict[str, Any]:
    return {"parameters": state.parameters, "optimiser": state.optimiser}


def _filled(name: str, part: Any, tensors: dict[str, np.ndarray]) -> Any:
    """A tree with the arrays of a file."""
    leaves, structure = jax.tree.flatten(part)
    found = [_alike(f"{name}/{i}", leaf, tensors) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, map(jnp.asarray, found))


def _alike(name: str, old: Any, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """An array of a file, which must have the shape and type of another one."""
    if tensors[name].shape != old.shape or tensors[name].dtype != old.dtype:
        raise ValueError(f"{name} has another shape or type")
    return tensors[name]
