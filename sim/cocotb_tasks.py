"""Tasks of cocotb tests, as text: work for a unit and the expected results.

A cocotb test runs in another process, without the golden model. It reads its task from a file.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..spec.attention_command import HeadCommand
from ..spec.attention_config import AttentionConfig
from ..spec.heads import Head
from ..spec.spmm_command import Activation, SpmmCommand
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .spmm_job import SpmmJob

__all__ = [
    "TASK_VARIABLE",
    "ExpectedRun",
    "HeadsTask",
    "ProductsTask",
    "heads_from_json",
    "heads_to_json",
    "products_from_json",
    "products_to_json",
    "task_text",
]

TASK_VARIABLE = "THRESHER_TASK"
"""Environment variable with the path of the task's file."""


def task_text() -> str:
    """Text of the task of this process."""
    return Path(os.environ[TASK_VARIABLE]).read_text()


@dataclass(frozen=True, kw_only=True)
class ExpectedRun:
    """Expected answer to a command.

    Attributes
    ----------
    output : list of rows, or None
        None if the command is rejected.
    statistics : dict of int
        Fields of the statistics to compare.
    """

    output: list[list[int]] | None
    statistics: Mapping[str, int]

    def check(self, output: np.ndarray | None, statistics: object, *, where: str) -> None:
        """Compare with the hardware's answer.

        Raises
        ------
        AssertionError
            The output or a field differs. The message begins with ``where``.
        """
        assert (None if output is None else output.tolist()) == self.output, f"{where}: output differs"
        found = {name: int(getattr(statistics, name)) for name in self.statistics}
        assert found == self.statistics, f"{where}: statistics differ"


@dataclass(frozen=True, kw_only=True)
class HeadsTask:
    """Heads for the cocotb test of an attention core, and the expected answers."""

    config: AttentionConfig
    heads: Sequence[Head]
    expected: Sequence[ExpectedRun]
    seed: int
    stall: float


@dataclass(frozen=True, kw_only=True)
class ProductsTask:
    """Products for the cocotb test of an SpMM engine, and the expected answers."""

    config: SpmmConfig
    jobs: Sequence[SpmmJob | SpmmCommand]
    expected: Sequence[ExpectedRun]
    seed: int
    stall: float


def _to_json(task: HeadsTask | ProductsTask, work: Sequence[Any]) -> str:
    return json.dumps(
        {
            "config": json.loads(task.config.to_json()),
            "seed": task.seed,
            "stall": task.stall,
            "work": work,
            "expected": [asdict(run) for run in task.expected],
        }
    )


def _from_json(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Configuration as JSON, work, and the other fields of a task."""
    read = json.loads(text)
    config, work = json.dumps(read.pop("config")), read.pop("work")
    return config, work, read | {"expected": [ExpectedRun(**run) for run in read["expected"]]}


def heads_to_json(task: HeadsTask) -> str:
    """Write a task as JSON. :func:`heads_from_json` reads it back."""
    return _to_json(
        task,
        [
            {"command": asdict(command), "operands": [matrix.tolist() for matrix in operands]}
            for command, *operands in task.heads
        ],
    )


def heads_from_json(text: str) -> HeadsTask:
    """Read a task that :func:`heads_to_json` has written."""
    config, work, rest = _from_json(text)
    heads: list[Head] = []
    for head in work:
        q, k, v = (np.array(matrix, np.int8) for matrix in head["operands"])
        heads.append((HeadCommand(**head["command"]), q, k, v))
    return HeadsTask(config=AttentionConfig.from_json(config), heads=heads, **rest)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Weights:
    """Packed weights, as :class:`~thresher.sim.spmm_job.PackedMatrix` describes them."""

    format: WeightFormat
    rows: int
    columns: int
    banks: int
    kept: int
    group: int
    values: np.ndarray
    indices: np.ndarray
    lengths: np.ndarray


WEIGHT_ARRAYS = {"values": np.int8, "indices": np.uint32, "lengths": np.int64}
WEIGHT_NUMBERS = ("rows", "columns", "banks", "kept", "group")
JOB_ARRAYS = {"x": np.int8, "bias": np.int64, "multiplier": np.int64, "shift": np.int64}


def _array_to_json(array: Any) -> dict[str, Any]:
    """Convert an array to its numbers and its shape, which an empty list of numbers does not give."""
    array = np.asarray(array)
    return {"shape": array.shape, "numbers": array.ravel().tolist()}


def _array_from_json(read: dict[str, Any], dtype: type) -> np.ndarray:
    return np.array(read["numbers"], dtype).reshape(read["shape"])


def _job_to_json(job: SpmmJob | SpmmCommand) -> dict[str, Any]:
    if isinstance(job, SpmmCommand):
        return {"command": asdict(job)}
    weights = job.weights
    return {
        "weights": {
            "format": str(weights.format),
            **{name: getattr(weights, name) for name in WEIGHT_NUMBERS},
            **{name: _array_to_json(getattr(weights, name)) for name in WEIGHT_ARRAYS},
        },
        **{name: _array_to_json(getattr(job, name)) for name in JOB_ARRAYS},
        "activation": int(job.activation),
        "table": None if job.table is None else _array_to_json(job.table),
        "spread": job.spread,
    }


def _weights_from_json(read: dict[str, Any]) -> _Weights:
    arrays: dict[str, Any] = {name: _array_from_json(read[name], dtype) for name, dtype in WEIGHT_ARRAYS.items()}
    return _Weights(**{**read, **arrays, "format": WeightFormat(read["format"])})


def _job_from_json(read: dict[str, Any]) -> SpmmJob | SpmmCommand:
    if "command" in read:
        return SpmmCommand(**read["command"])
    arrays: dict[str, Any] = {name: _array_from_json(read[name], dtype) for name, dtype in JOB_ARRAYS.items()}
    return SpmmJob(
        weights=_weights_from_json(read["weights"]),
        **arrays,
        activation=Activation(read["activation"]),
        table=None if read["table"] is None else _array_from_json(read["table"], np.int8),
        spread=read["spread"],
    )


def products_to_json(task: ProductsTask) -> str:
    """Write a task as JSON. :func:`products_from_json` reads it back."""
    return _to_json(task, [_job_to_json(job) for job in task.jobs])


def products_from_json(text: str) -> ProductsTask:
    """Read a task that :func:`products_to_json` has written."""
    config, work, rest = _from_json(text)
    return ProductsTask(config=SpmmConfig.from_json(config), jobs=[_job_from_json(job) for job in work], **rest)
