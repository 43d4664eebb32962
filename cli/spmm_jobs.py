"""What the commands about sparse weights do: matrices from ``model`` on engines from ``sim``, beside ``golden``."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..golden.spmm.engine import SpmmResult, sparse_product
from ..golden.spmm.packing import PackedWeights, pack, unpack
from ..model.bert import BertConfig
from ..model.pack import PackReport, engine_cycles, pack_model, prune_matrices
from ..model.packed_file import PackedModel, packed_bytes
from ..model.prune import quantise_pruned
from ..model.source import locate_model
from ..model.weights import Float32
from ..runtime.spmm_bench import SpmmBench
from ..runtime.spmm_bench import bench_spmm as run_bench
from ..sim.spmm import SpmmJob, SpmmSimulator
from ..spec import Activation, ConfigError, SpmmConfig, WeightFormat, row_scaling
from ..spec.files import check_writable, write_whole
from ..spec.formats import INT8_MAX, INT8_MIN
from ..spec.tables import gelu_table
from .defects import defects
from .progress import Steps
from .spmm_checks import check_engine, check_global, check_simulation, chosen_sparsity

__all__ = [
    "SWEPT",
    "Point",
    "bench_spmm",
    "product",
    "prune",
    "random_matrix",
    "reached_sparsity",
    "spmm_simulator",
    "sweep",
]

SWEPT = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Sparsities of the picture."""
GELU_SCALE = 3 / INT8_MAX
"""Of INT8 before and after a GELU, which so sees results of the standard deviation 1; see :func:`_jobs`."""


@contextlib.contextmanager
def spmm_simulator(config: SpmmConfig, steps: Steps) -> Iterator[SpmmSimulator]:
    """An engine that runs."""
    with defects(), SpmmSimulator(config, on_progress=steps.announce) as simulator:
        yield simulator


# -- products ----------------------------------------------------------------------------------


def random_matrix(rows: int, columns: int, *, seed: int) -> Float32:
    """(M, K) normally distributed weights."""
    return np.random.default_rng([seed, 0]).standard_normal((rows, columns), np.float32)


def product(
    config: SpmmConfig,
    weights: Float32,
    weight_format: WeightFormat,
    sparsity: float | None,
    *,
    tokens: int,
    seed: int,
    activation: Activation = Activation.NONE,
) -> tuple[SpmmJob, SpmmJob]:
    """A matrix pruned by magnitude, in INT8, times random tokens; and the same product with dense weights.

    Parameters
    ----------
    sparsity
        See :func:`~thresher.model.pack.prune_matrices`.
    activation
        ``TABLE`` is GELU; the products load its table.

    Raises
    ------
    ThresherError
        Weights are not finite, or the sparsity is not possible in this format.
    """
    mask, _ = prune_matrices({"weights": weights}, weight_format, sparsity, config=config)["weights"]
    quantised = quantise_pruned(weights, mask)
    packed = pack(quantised.sparse, weight_format, banks=config.banks, kept=config.kept, group=config.group)
    jobs = _jobs(config, packed, quantised.values, quantised.scales, tokens=tokens, seed=seed)
    table = gelu_table(GELU_SCALE, GELU_SCALE) if activation is Activation.TABLE else None
    job, dense = (replace(each, activation=activation, table=table) for each in jobs)
    return job, job if jobs[1] is jobs[0] else dense


def _jobs(
    config: SpmmConfig, packed: PackedWeights, values: NDArray[np.int8], scales: Float32, *, tokens: int, seed: int
) -> tuple[SpmmJob, SpmmJob]:
    """A job of packed weights, and its dense twin, at scales that spread the results over INT8."""
    random = np.random.default_rng([seed, 1])
    x = random.integers(INT8_MIN, INT8_MAX + 1, (packed.columns, tokens), dtype=np.int8)
    # Standard deviation of a row's results, X being uniform: the row of the largest reaches INT8's ends at 3 of it.
    norms = np.sqrt(np.square(values, dtype=np.float64).sum(axis=1)) * x.std(dtype=np.float64)
    unit = 3 * max(float((norms * scales).max()), float(scales.max())) / INT8_MAX
    settings = np.array([row_scaling(max(float(scale) / unit, 2.0**-24)) for scale in scales])
    bias = np.rint(random.normal(0, 1, packed.rows) * np.maximum(norms, 1)).astype(np.int64)
    _, spread = engine_cycles(config, packed, tokens)
    job = SpmmJob(weights=packed, x=x, bias=bias, multiplier=settings[:, 0], shift=settings[:, 1], spread=spread)
    if packed.format is WeightFormat.DENSE:
        return job, job
    return job, replace(job, weights=pack(values, WeightFormat.DENSE), spread=False)


def _packed(job: SpmmJob) -> PackedWeights:
    assert isinstance(job.weights, PackedWeights)  # as made in this file
    return job.weights


def reached_sparsity(job: SpmmJob) -> float:
    """Share of pruned weights of a product."""
    packed = _packed(job)
    return 1 - packed.stored / (packed.rows * packed.columns)


def _golden(config: SpmmConfig, job: SpmmJob) -> SpmmResult:
    table = None if job.table is None else list(job.table)
    operands = job.x, job.bias, job.multiplier, job.shift
    return sparse_product(config, _packed(job), *operands, activation=job.activation, table=table)


def _measured(simulator: SpmmSimulator, job: SpmmJob) -> tuple[int, bool]:
    """Cycles of one product on an idle engine, and whether it is golden's."""
    simulator.reset()
    (run,) = simulator.run([job])
    expected = _golden(simulator.config, job)
    same = run.output is not None and np.array_equal(run.output, expected.output)
    return run.finished - run.accepted, same and run.statistics.saturations == expected.saturations


# -- measuring ---------------------------------------------------------------------------------


def bench_spmm(
    simulator: SpmmSimulator,
    weights: Float32,
    weight_format: WeightFormat,
    sparsity: float | None,
    *,
    tokens: int,
    seed: int,
    steps: Steps,
    activation: Activation = Activation.NONE,
) -> SpmmBench:
    """Cycles of a pruned matrix times tokens, and of the dense product, checked against golden.

    Raises
    ------
    ThresherError
        A setting is out of range, or the hardware misbehaved.
    """
    config = simulator.config
    job, dense = product(config, weights, weight_format, sparsity, tokens=tokens, seed=seed, activation=activation)
    return run_bench(simulator, job, dense, reference=lambda each: _golden(config, each), on_progress=steps.tell)


@dataclass(frozen=True, kw_only=True)
class Point:
    """A product of the picture; see :class:`~thresher.runtime.spmm_bench.SpmmBench`."""

    format: str
    sparsity: float
    nnz: int
    cycles: int
    speedup: float
    bytes: int
    bit_exact: bool

    def to_dict(self) -> dict[str, Any]:
        """Fields, for JSON."""
        return asdict(self)


def sweep(
    simulator: SpmmSimulator,
    weights: Float32,
    *,
    tokens: int,
    seed: int,
    steps: Steps,
    sparsities: Sequence[float] = SWEPT,
) -> list[Point]:
    """Every format of the engine at every sparsity that it can have, one product on an idle engine each.

    A format whose patterns do not reach a sparsity stands at the one it comes nearest to, once.
    """
    config = simulator.config
    steps.tell("running dense")
    job, _ = product(config, weights, WeightFormat.DENSE, None, tokens=tokens, seed=seed)
    dense, same = _measured(simulator, job)
    points = [_point(job, dense, dense, same)]
    for weight_format in config.formats:
        if weight_format is WeightFormat.DENSE:
            continue
        reached: set[int] = set()
        for sparsity in sparsities if weight_format is not WeightFormat.NM else (None,):
            try:
                job, _ = product(config, weights, weight_format, sparsity, tokens=tokens, seed=seed)
            except ConfigError:
                break  # banks too short to keep one weight
            stored = _packed(job).stored
            if stored not in reached:
                reached.add(stored)
                steps.tell(f"running {weight_format} of {stored} weights")
                cycles, same = _measured(simulator, job)
                points.append(_point(job, cycles, dense, same))
    return points


def _point(job: SpmmJob, cycles: int, dense: int, same: bool) -> Point:
    packed = _packed(job)
    return Point(
        format=str(packed.format),
        sparsity=reached_sparsity(job),
        nnz=packed.stored,
        cycles=cycles,
        speedup=dense / cycles,
        bytes=packed.bytes,
        bit_exact=same,
    )


# -- whole models ------------------------------------------------------------------------------


def prune(
    model: str,
    folder: Path,
    *,
    config: SpmmConfig,
    weight_format: WeightFormat,
    sparsity: float | None,
    global_ranking: bool,
    tokens: int,
    rtl: bool,
    seed: int,
    steps: Steps,
) -> dict[str, Any]:
    """Prune and pack a model into ``weights.safetensors``, and write the table beside it as ``weights.json``.

    Parameters
    ----------
    sparsity : float or None
        See :func:`~thresher.cli.spmm_checks.chosen_sparsity`.
    rtl : bool
        Measure cycles on the engine, instead of taking those of :mod:`~thresher.cost.spmm_cycles`. A product whose
        weights are dense is measured once per shape.

    Returns
    -------
    dict
        See :meth:`~thresher.model.pack.PackReport.to_dict`; also ``measured``, ``bit_exact`` (``None`` unless
        measured), and ``table``, the path of the second file.

    Raises
    ------
    ThresherError
        See :func:`~thresher.model.pack.pack_model`; or files cannot be written, or the hardware misbehaved. Nothing has
        been written then.
    """
    sparsity = chosen_sparsity(config, weight_format, sparsity)
    if global_ranking:
        check_global(weight_format)
    bert = BertConfig.from_file(locate_model(model) / "config.json")
    hidden, wide = bert.hidden_size, bert.intermediate_size
    for rows, columns in ((hidden, hidden), (wide, hidden), (hidden, wide)):
        check_engine(
            config, rows=rows, columns=columns, tokens=tokens, weight_format=weight_format, owner="the model's "
        )
        if rtl:
            check_simulation(config, rows=rows, columns=columns, tokens=tokens)
    path, table = folder / "weights.safetensors", folder / "weights.json"
    check_writable(path, table)
    steps.tell("pruning")
    report, packed = pack_model(
        model,
        path,
        config=config,
        weight_format=weight_format,
        sparsity=sparsity,
        global_ranking=global_ranking,
        tokens=tokens,
        progress=steps.count,
    )
    exact = None
    if rtl:
        with spmm_simulator(config, steps) as simulator:
            steps.tell("running")
            report, exact = _on_rtl(simulator, report, packed, seed=seed, steps=steps)
    told = report.to_dict() | {"measured": rtl, "bit_exact": exact, "table": str(table)}
    write_whole({path: packed_bytes(packed), table: (json.dumps(told, indent=1) + "\n").encode()})
    return told


def _on_rtl(
    simulator: SpmmSimulator, report: PackReport, packed: PackedModel, *, seed: int, steps: Steps
) -> tuple[PackReport, bool]:
    """The report with measured cycles; and whether all results are golden's."""
    dense_cycles: dict[tuple[int, int], int] = {}  # which depend on the shape alone
    exact, measured = True, []
    for figures in report.matrices:
        matrix = packed.matrices[figures.name]
        job, dense = _jobs(
            simulator.config,
            matrix.weights,
            unpack(matrix.weights).toarray(),
            matrix.scales,
            tokens=report.tokens,
            seed=seed,
        )
        cycles, same = _measured(simulator, job)
        exact &= same
        shape = figures.rows, figures.columns
        if shape not in dense_cycles:
            dense_cycles[shape], same = _measured(simulator, dense)
            exact &= same
        measured.append(replace(figures, cycles=cycles, dense_cycles=dense_cycles[shape]))
        steps.count(len(measured), len(report.matrices))
    return replace(report, matrices=tuple(measured)), exact
