"""What an unfinished training run leaves."""

from functools import cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from thresher.model.training.checkpoint import checkpoint_bytes
from thresher.model.training.loop import State
from thresher.runtime.train import resumed
from thresher.runtime.train_progress import COLUMNS

from ..reader import FuzzReader
from .tensors import DTYPES, SHAPES, safetensors_bytes, safetensors_tree

__all__ = ["READERS"]

RUN = {"settings": {"epochs": 2}, "digests": {"data": "ab"}, "hardware": "{}", "columns": []}


@cache
def _start() -> State:
    parameters = {"layers": [{"weight": jnp.ones((2, 3)), "bias": jnp.zeros(2)}], "words": jnp.ones((2, 2))}
    masks = {"layers.0": np.ones((2, 3), bool)}
    return State(0, parameters, (jnp.zeros((), jnp.int32), jnp.ones(2)), masks, {})


def _read(data: bytes, folder: Path) -> None:
    path = folder / "checkpoint.safetensors"
    path.write_bytes(data)
    state, history = resumed(path, _start(), RUN)
    checkpoint_bytes(state, run=RUN, history=history)


def _seeds() -> dict[str, bytes]:
    start, notes = _start(), {"run": RUN, "history": [dict(zip(COLUMNS, (1, 0.5, 0.5, None, 0.0), strict=True))]}
    with_units = State(7, start.parameters, start.optimiser, start.masks, {"layers.0": np.ones(2, np.float32)})
    return {"start": checkpoint_bytes(start, **notes), "units": checkpoint_bytes(with_units, **notes)}


READERS = {
    "checkpoint": FuzzReader(
        name="checkpoint",
        what="checkpoints of `thresher train`",
        read=_read,
        seeds=_seeds,
        split=safetensors_tree,
        join=safetensors_bytes,
        words=[
            *DTYPES,
            *SHAPES,
            "thresher",
            "step",
            "masks/layers.0",
            "parameters/0",
            "optimiser/0",
            "units/a",
            "__metadata__",
        ],
    ),
}
