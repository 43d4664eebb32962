"""Bench of the SpMM engine: cycles of a product alone and in a stream, and of the dense product."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..golden.spmm.packing import PackedWeights
from ..model.weights import Float32
from ..sim.spmm import SpmmSimulator
from ..sim.spmm_job import SpmmJob, SpmmRun
from ..spec.errors import ConfigError, InputError
from ..spec.spmm_command import Activation, SpmmError
from ..spec.spmm_config import WeightFormat
from .compare import same_product
from .products import dense_twin, estimated_cycles, product_job, pruned_weights, reached_sparsity
from .report import Report
from .steps import Steps

__all__ = ["SWEPT", "Point", "SpmmBench", "bench_spmm", "measure_alone", "sweep"]

SWEPT = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Sparsities of the picture."""


@dataclass(frozen=True, kw_only=True)
class SpmmBench(Report):
    """A product on an engine.

    Attributes
    ----------
    rows, columns, tokens : int
        M, K, N.
    format : str
    spread : bool
        Whether the lanes were spread over the banks of a row.
    sparsity : float
        Of the stored pattern.
    nnz, zeros : int
        Weights of the stored pattern, and stored values that are zero: padding, escapes, and zeros of dense weights.
    lanes, row_engines, multipliers : int
        Lanes of a row engine, row engines, and their product: INT8 multipliers of the engine.
    cycles : int
        From the acceptance of the command to the last output beat, of one product on an idle engine. This includes
        loading X, and filling and draining the pipeline.
    steady_cycles : int
        Distance of the last output beats of two products back to back.
    dense_cycles : int
        Like ``cycles``, of the dense product on the same engine.
    estimate, dense_estimate : int
        ``cycles`` and ``dense_cycles`` by :func:`~thresher.cost.spmm.cycles`.
    bytes, dense_bytes : int
        Size of the packed weights in memory, and of plain INT8 weights.
    bit_exact : bool
        Whether outputs and statistics of all runs are those of the golden model.
    simulated_cycles, simulated_cycles_per_second : int
        Length and speed of the simulation.
    """

    derived = ("utilisation", "steady_utilisation", "speedup", "error", "dense_error")

    rows: int
    columns: int
    tokens: int
    format: str
    spread: bool
    sparsity: float
    nnz: int
    zeros: int
    lanes: int
    row_engines: int
    multipliers: int
    cycles: int
    estimate: int
    steady_cycles: int
    dense_cycles: int
    dense_estimate: int
    bytes: int
    dense_bytes: int
    bit_exact: bool
    simulated_cycles: int
    simulated_cycles_per_second: int

    def _utilisation(self, cycles: int) -> float:
        return self.nnz * self.tokens / (self.multipliers * cycles)

    @property
    def utilisation(self) -> float:
        """nnz·N over multipliers times cycles."""
        return self._utilisation(self.cycles)

    @property
    def steady_utilisation(self) -> float:
        """The same for a product in a stream of products."""
        return self._utilisation(self.steady_cycles)

    @property
    def speedup(self) -> float:
        """Dense cycles over cycles, both of one product on an idle engine."""
        return self.dense_cycles / self.cycles

    @property
    def error(self) -> float:
        """Relative error of the estimate."""
        return self.estimate / self.cycles - 1

    @property
    def dense_error(self) -> float:
        """Relative error of the dense product's estimate."""
        return self.dense_estimate / self.dense_cycles - 1


@dataclass(frozen=True, kw_only=True)
class Point(Report):
    """A product of the picture; see :class:`SpmmBench`."""

    format: str
    sparsity: float
    nnz: int
    cycles: int
    speedup: float
    bytes: int
    bit_exact: bool


class _Meter:
    """Runs products on an engine fresh from reset, compares them, and adds up cycles and seconds."""

    def __init__(self, simulator: SpmmSimulator):
        self._simulator = simulator
        self.cycles, self.seconds, self.bit_exact = 0, 0.0, True

    def run(self, *jobs: SpmmJob) -> list[SpmmRun]:
        config = self._simulator.config
        for job in jobs:
            error = job.command(config).rejection(config)
            if error is not SpmmError.NONE:
                raise InputError(f"the engine rejects the product for its {error.name.lower()}: choose another engine")
        self._simulator.reset()
        start = time.perf_counter()
        runs = self._simulator.run(jobs)
        self.seconds += time.perf_counter() - start
        self.cycles += self._simulator.cycle
        self.bit_exact &= all(same_product(config, job, run) for job, run in zip(jobs, runs, strict=True))
        return runs


def measure_alone(simulator: SpmmSimulator, job: SpmmJob) -> tuple[int, bool]:
    """Cycles of one product on an idle engine, and whether the result is that of the golden model."""
    meter = _Meter(simulator)
    (run,) = meter.run(job)
    return run.finished - run.accepted, meter.bit_exact


def bench_spmm(
    simulator: SpmmSimulator,
    weights: PackedWeights,
    scales: Float32,
    *,
    tokens: int,
    seed: int,
    activation: Activation = Activation.NONE,
    steps: Steps | None = None,
) -> SpmmBench:
    """Measure packed weights times random tokens: alone, in a stream, and as a dense product.

    Parameters
    ----------
    weights, scales, tokens, seed, activation
        See :func:`~thresher.runtime.products.product_job`.

    Raises
    ------
    InputError
        The engine rejects the product.
    SimulationError
        The hardware misbehaved.
    """
    steps = steps or Steps()
    engine = simulator.config
    job = product_job(engine, weights, scales, tokens=tokens, seed=seed, activation=activation)
    dense_job = dense_twin(job)
    meter = _Meter(simulator)
    steps.tell(f"running one product, {weights.format}")
    (alone,) = meter.run(job)
    steps.tell(f"running two products back to back, {weights.format}")
    first, second = meter.run(job, job)
    dense = alone
    if dense_job is not job:
        steps.tell("running one product, dense")
        (dense,) = meter.run(dense_job)
    return SpmmBench(
        rows=weights.rows,
        columns=weights.columns,
        tokens=tokens,
        format=str(weights.format),
        spread=bool(job.spread),
        sparsity=reached_sparsity(weights),
        nnz=weights.stored,
        zeros=weights.zeros,
        lanes=engine.lanes,
        row_engines=engine.rows,
        multipliers=engine.multipliers,
        cycles=alone.finished - alone.accepted,
        estimate=estimated_cycles(engine, weights, tokens, spread=bool(job.spread)),
        steady_cycles=second.finished - first.finished,
        dense_cycles=dense.finished - dense.accepted,
        dense_estimate=estimated_cycles(engine, dense_job.weights, tokens, spread=bool(dense_job.spread)),
        bytes=weights.bytes,
        dense_bytes=weights.rows * weights.columns,
        bit_exact=meter.bit_exact,
        simulated_cycles=meter.cycles,
        simulated_cycles_per_second=round(meter.cycles / meter.seconds),
    )


def sweep(
    simulator: SpmmSimulator,
    weights: Float32,
    *,
    tokens: int,
    seed: int,
    sparsities: Sequence[float] = SWEPT,
    steps: Steps | None = None,
) -> list[Point]:
    """Measure every format of the engine at every sparsity that it can have, one product on an idle engine each.

    A format that cannot have a sparsity is measured once at the nearest one.
    """
    steps = steps or Steps()
    config = simulator.config
    dense = 0
    points: list[Point] = []
    for weight_format in (WeightFormat.DENSE, *(each for each in config.formats if each is not WeightFormat.DENSE)):
        reached: set[int] = set()
        any_sparsity = weight_format not in (WeightFormat.DENSE, WeightFormat.NM)
        for sparsity in sparsities if any_sparsity else (None,):
            try:
                packed, scales = pruned_weights(config, weights, weight_format, sparsity)
            except ConfigError:
                break  # the banks are too short to keep one weight
            if packed.stored in reached:
                continue
            reached.add(packed.stored)
            steps.tell(f"running {weight_format} of {packed.stored} weights")
            job = product_job(config, packed, scales, tokens=tokens, seed=seed)
            cycles, same = measure_alone(simulator, job)
            dense = dense or cycles  # the dense product comes first
            points.append(
                Point(
                    format=str(weight_format),
                    sparsity=reached_sparsity(packed),
                    nnz=packed.stored,
                    cycles=cycles,
                    speedup=dense / cycles,
                    bytes=packed.bytes,
                    bit_exact=same,
                )
            )
    return points
