"""Cycles of a sparse product on an SpMM engine, alone and in a stream, beside those of the dense product."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ..cost.spmm_cycles import cycles as estimated_cycles
from ..sim.build import Progress
from ..sim.spmm import SpmmSimulator
from ..sim.spmm_job import PackedMatrix, SpmmJob, SpmmRun
from ..spec.errors import InputError
from ..spec.spmm_command import SpmmError
from ..spec.spmm_config import SpmmConfig

__all__ = ["ExpectedProduct", "Reference", "SpmmBench", "StoredMatrix", "bench_spmm"]


class StoredMatrix(PackedMatrix, Protocol):
    """A packed matrix that knows its size.

    Attributes
    ----------
    stored : int
        Weights of the pattern; padding is not counted.
    bytes : int
        Of the packed form in memory.
    """

    @property
    def stored(self) -> int: ...
    @property
    def bytes(self) -> int: ...


class ExpectedProduct(Protocol):
    """What a product must give: ``output`` (M, N) int8, and ``saturations``, the number of clipped results."""

    @property
    def output(self) -> NDArray[np.int8]: ...
    @property
    def saturations(self) -> int: ...


Reference = Callable[[SpmmJob], ExpectedProduct]


@dataclass(frozen=True, kw_only=True)
class SpmmBench:
    """A product on an engine.

    Attributes
    ----------
    rows, columns, tokens : int
        M, K, N.
    format : str
    spread : bool
        The lanes were spread over the banks of a row.
    sparsity : float
        Of the stored pattern.
    nnz : int
        Weights of the stored pattern.
    lanes, row_engines : int
    cycles : int
        From the acceptance of the command to the last output beat, of one product on an idle engine: X is loaded, the
        pipeline fills and drains.
    steady_cycles : int
        Distance of the last output beats of two products back to back.
    dense_cycles : int
        As ``cycles``, of the dense product on the same engine.
    estimate, dense_estimate : int
        ``cycles`` and ``dense_cycles`` by :func:`~thresher.cost.spmm_cycles.cycles`.
    bytes, dense_bytes : int
        Of the packed weights in memory, and of INT8 weights without a format.
    bit_exact : bool
        Outputs and statistics of all runs are those of the reference.
    simulated_cycles : int
    seconds : float
        Wall time of the simulation.
    """

    rows: int
    columns: int
    tokens: int
    format: str
    spread: bool
    sparsity: float
    nnz: int
    lanes: int
    row_engines: int
    cycles: int
    estimate: int
    steady_cycles: int
    dense_cycles: int
    dense_estimate: int
    bytes: int
    dense_bytes: int
    bit_exact: bool
    simulated_cycles: int
    seconds: float

    def _utilisation(self, cycles: int) -> float:
        return self.nnz * self.tokens / (self.lanes * self.row_engines * cycles)

    @property
    def utilisation(self) -> float:
        """nnz·N over multipliers times cycles."""
        return self._utilisation(self.cycles)

    @property
    def steady_utilisation(self) -> float:
        """nnz·N over multipliers times cycles of a product in a stream of them."""
        return self._utilisation(self.steady_cycles)

    @property
    def speedup(self) -> float:
        """Over the dense product on the same engine, one product on an idle engine each."""
        return self.dense_cycles / self.cycles

    @property
    def error(self) -> float:
        """Relative, of the estimate."""
        return self.estimate / self.cycles - 1

    @property
    def dense_error(self) -> float:
        """The same of the dense product's."""
        return self.dense_estimate / self.dense_cycles - 1

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, for JSON."""
        told: dict[str, Any] = {}
        for name, value in asdict(self).items():
            told[name] = value
            if name.endswith("estimate"):  # beside what it estimates
                error = name.replace("estimate", "error")
                told[error] = getattr(self, error)
        seconds = told.pop("seconds")
        return {
            **told,
            "utilisation": self.utilisation,
            "steady_utilisation": self.steady_utilisation,
            "speedup": self.speedup,
            "simulated_cycles_per_second": round(self.simulated_cycles / seconds),
        }


def _equals(run: SpmmRun, expected: ExpectedProduct) -> bool:
    same = run.output is not None and np.array_equal(run.output, expected.output)
    return same and run.statistics.saturations == expected.saturations


def _estimate(engine: SpmmConfig, job: SpmmJob) -> int:
    command, weights = job.command(engine), job.weights
    return estimated_cycles(
        engine,
        weights.format,
        columns=command.columns,
        tokens=command.tokens,
        lengths=weights.lengths.tolist(),
        spread=bool(command.spread),
    )


class _Meter:
    """Runs products on an engine fresh from reset, compares them, and adds up cycles and seconds."""

    def __init__(self, simulator: SpmmSimulator, on_progress: Progress):
        self._simulator, self._on_progress = simulator, on_progress
        self.cycles, self.seconds, self.bit_exact = 0, 0.0, True

    def run(self, what: str, jobs: Sequence[SpmmJob], reference: Reference) -> list[SpmmRun]:
        for job in jobs:
            error = job.command(self._simulator.config).refusal(self._simulator.config)
            if error is not SpmmError.NONE:
                raise InputError(f"the engine refuses the product for its {error.name.lower()}: choose another engine")
        self._on_progress(f"running {what}")
        self._simulator.reset()
        start = time.perf_counter()
        runs = self._simulator.run(jobs)
        self.seconds += time.perf_counter() - start
        self.cycles += self._simulator.cycle
        self.bit_exact &= all(_equals(run, reference(job)) for run, job in zip(runs, jobs, strict=True))
        return runs


def bench_spmm(
    simulator: SpmmSimulator, job: SpmmJob, dense_job: SpmmJob, *, reference: Reference, on_progress: Progress
) -> SpmmBench:
    """Measure a product: alone, in a stream, and dense.

    Parameters
    ----------
    job : SpmmJob
        Its weights have ``stored`` and ``bytes``, see :class:`StoredMatrix`.
    dense_job : SpmmJob
        The same product with the weights in dense format; ``job`` itself if that is dense.
    reference : function
        From a job to what it must give. It comes from outside because this room knows no golden model.

    Raises
    ------
    InputError, CommandValueError, SimulationError
        See :meth:`~thresher.sim.spmm.SpmmSimulator.run`; also, the engine refuses the product.
    """
    engine, weights = simulator.config, cast(StoredMatrix, job.weights)
    meter = _Meter(simulator, on_progress)
    alone = meter.run(f"one product, {weights.format}", [job], reference)[0]
    first, second = meter.run(f"two products back to back, {weights.format}", [job, job], reference)
    dense = alone if dense_job is job else meter.run("one product, dense", [dense_job], reference)[0]
    command = job.command(engine)
    size = command.rows * command.columns
    return SpmmBench(
        rows=command.rows,
        columns=command.columns,
        tokens=command.tokens,
        format=str(weights.format),
        spread=bool(command.spread),
        sparsity=1 - weights.stored / size,
        nnz=weights.stored,
        lanes=engine.lanes,
        row_engines=engine.rows,
        cycles=alone.finished - alone.accepted,
        estimate=_estimate(engine, job),
        steady_cycles=second.finished - first.finished,
        dense_cycles=dense.finished - dense.accepted,
        dense_estimate=_estimate(engine, dense_job),
        bytes=weights.bytes,
        dense_bytes=size,
        bit_exact=meter.bit_exact,
        simulated_cycles=meter.cycles,
        seconds=meter.seconds,
    )
