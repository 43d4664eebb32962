"""A model pruned and packed for an SpMM engine, with the cycles of its products."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..cost.spmm import cycles as cycles_of
from ..model.families import read_config
from ..model.pack import pack_model
from ..model.packed_file import PackedModel, packed_bytes
from ..model.pruning.method import DEFAULT_METHOD, MethodName, check_method
from ..model.pruning.patterns import Sparsity
from ..model.source import locate_model
from ..sim.spmm import SpmmSimulator
from ..spec.base import check_enum
from ..spec.files import check_writable, write_whole
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .products import (
    check_engine,
    check_simulation,
    chosen_sparsity,
    dense_twin,
    fewest_cycles,
    product_job,
)
from .report import Report
from .spmm_bench import measure_alone
from .steps import Steps

__all__ = ["MatrixFigures", "PackReport", "prune_model"]


@dataclass(frozen=True, kw_only=True)
class MatrixFigures(Report):
    """Figures of one packed matrix, or of all together.

    Attributes
    ----------
    rows, columns : int
        M, K.
    weights, nonzeros, kept : int
        M·K, and the weights that are not zero before and after pruning. Dense weights are kept all.
    zeros : int
        Stored values that are zero: padding, escapes, and zeros of dense weights.
    bytes : int
        Size of the packed weights with their indices, without scales and biases.
    cycles, dense_cycles : int
        Cycles of a product with ``tokens`` tokens, with these weights and with dense ones: measured, or by
        :func:`~thresher.cost.spmm.cycles`.
    spread : bool
        Whether the lanes are spread over the banks of a row, which the command of a product selects.
    """

    derived = ("dense_bytes", "own_sparsity", "sparsity", "speedup")

    name: str
    rows: int
    columns: int
    weights: int
    nonzeros: int
    kept: int
    zeros: int
    bytes: int
    cycles: int
    dense_cycles: int
    spread: bool

    @property
    def dense_bytes(self) -> int:
        """Size of the same matrix as plain INT8."""
        return self.weights

    @property
    def own_sparsity(self) -> float:
        """Share of weights that are zero before pruning."""
        return 1 - self.nonzeros / self.weights

    @property
    def sparsity(self) -> float:
        """Share of weights that are not kept."""
        return 1 - self.kept / self.weights

    @property
    def speedup(self) -> float:
        """Dense cycles over cycles."""
        return self.dense_cycles / self.cycles


@dataclass(frozen=True, kw_only=True)
class PackReport(Report):
    """Result of :func:`prune_model`.

    Attributes
    ----------
    path : Path
        File of the packed weights.
    pattern, method : str
        See :class:`~thresher.model.packed_file.PackedModel`.
    target : Sparsity
        Share of weights that was to be pruned, or ``"keep"``.
    tokens : int
        N of the products whose cycles are given.
    matrices : tuple of MatrixFigures
        In order of the layers.
    measured : bool
        Whether the cycles were measured on a simulated engine.
    bit_exact : bool or None
        Whether the results of the measured products are those of the golden model.
    table : Path
        File of this report.
    """

    derived = ("total",)

    path: Path
    model: str
    format: WeightFormat
    pattern: str
    method: str
    target: Sparsity
    tokens: int
    matrices: tuple[MatrixFigures, ...]
    measured: bool
    bit_exact: bool | None
    table: Path

    @property
    def total(self) -> MatrixFigures:
        """Sums over all matrices; ``rows`` and ``columns`` are 0."""
        sums = ("weights", "nonzeros", "kept", "zeros", "bytes", "cycles", "dense_cycles")
        return MatrixFigures(
            name="total",
            rows=0,
            columns=0,
            spread=any(matrix.spread for matrix in self.matrices),
            **{name: sum(getattr(matrix, name) for matrix in self.matrices) for name in sums},
        )


def prune_model(
    model: str | Path | None,
    folder: Path,
    *,
    config: SpmmConfig,
    weight_format: WeightFormat | str,
    sparsity: Sparsity | None = None,
    global_ranking: bool = False,
    block: tuple[int, int] | None = None,
    method: MethodName = DEFAULT_METHOD,
    calibration: Path | None = None,
    tokens: int = 128,
    rtl: bool = False,
    seed: int = 0,
    steps: Steps | None = None,
) -> PackReport:
    """Prune and pack a model into ``weights.safetensors``, and write the report beside it as ``weights.json``.

    Parameters
    ----------
    model : str or Path, optional
        See :func:`~thresher.model.source.locate_model`.
    folder : Path
        Folder of the two files, which appear whole or not at all. It is made if necessary.
    config : SpmmConfig
        The engine.
    weight_format, global_ranking, block, method, calibration
        See :func:`~thresher.model.pack.pack_model`.
    sparsity : Sparsity, optional
        See :func:`~thresher.runtime.products.chosen_sparsity`.
    tokens : int
        N of the products whose cycles are given.
    rtl : bool
        Measure the cycles on a simulated engine and compare the results with the golden model. The dense product is
        measured once per shape.
    seed : int
        Seed of the tokens of the measured products.

    Raises
    ------
    ThresherError
        Model, engine, sparsity or folder do not fit together, or a tool is missing. Nothing has been written then.
    SimulationError
        The hardware misbehaved.
    """
    steps = steps or Steps()
    weight_format = check_enum("weight_format", weight_format, WeightFormat)
    check_method("method", method)
    sparsity = chosen_sparsity(config, weight_format, sparsity)
    shape = read_config(locate_model(model) / "config.json")
    shape.check_encoder()
    shapes = shape.matrices.values()
    for rows, columns in dict.fromkeys(shapes):
        check_engine(
            config, rows=rows, columns=columns, tokens=tokens, weight_format=weight_format, owner="the model's "
        )
        if rtl:
            check_simulation(config, rows=rows, columns=columns, tokens=tokens)
    path, table = folder / "weights.safetensors", folder / "weights.json"
    check_writable(path, table)
    steps.tell("pruning")
    packed = pack_model(
        model,
        config=config,
        weight_format=weight_format,
        sparsity=sparsity,
        global_ranking=global_ranking,
        block=block,
        method=method,
        calibration=calibration,
        progress=steps.count,
    )
    if rtl:
        with SpmmSimulator(config, on_progress=steps.announce) as simulator:
            steps.tell("running")
            cycles, exact = _measured(simulator, packed, tokens=tokens, seed=seed, steps=steps)
    else:
        cycles, exact = _estimated(config, packed, tokens), None
    report = PackReport(
        path=path,
        model=locate_model(model).name,
        format=weight_format,
        pattern=packed.pattern,
        method=packed.method,
        target=packed.target,
        tokens=tokens,
        matrices=tuple(
            MatrixFigures(
                name=name,
                rows=matrix.weights.rows,
                columns=matrix.weights.columns,
                weights=matrix.weights.rows * matrix.weights.columns,
                nonzeros=matrix.nonzeros,
                kept=matrix.weights.stored,
                zeros=matrix.weights.zeros,
                bytes=matrix.weights.bytes,
                cycles=cycles[name][0],
                dense_cycles=cycles[name][1],
                spread=fewest_cycles(config, matrix.weights, tokens)[1],
            )
            for name, matrix in packed.matrices.items()
        ),
        measured=rtl,
        bit_exact=exact,
        table=table,
    )
    text = json.dumps(report.to_dict(), indent=1) + "\n"
    write_whole({path: packed_bytes(packed), table: text.encode()})
    return report


def _estimated(config: SpmmConfig, packed: PackedModel, tokens: int) -> dict[str, tuple[int, int]]:
    """Estimated cycles of each matrix, and of its dense product."""
    found = {}
    for name, matrix in packed.matrices.items():
        weights = matrix.weights
        lengths = [weights.columns] * weights.rows
        dense = cycles_of(config, WeightFormat.DENSE, columns=weights.columns, tokens=tokens, lengths=lengths)
        found[name] = fewest_cycles(config, weights, tokens)[0], dense
    return found


def _measured(
    simulator: SpmmSimulator, packed: PackedModel, *, tokens: int, seed: int, steps: Steps
) -> tuple[dict[str, tuple[int, int]], bool]:
    """Measured cycles of each matrix, and of its dense product; and whether all results are those of golden."""
    dense: dict[tuple[int, int], int] = {}  # which depend on the shape alone
    found: dict[str, tuple[int, int]] = {}
    exact = True
    for name, matrix in packed.matrices.items():
        job = product_job(simulator.config, matrix.weights, matrix.scales, tokens=tokens, seed=seed)
        cycles, same = measure_alone(simulator, job)
        exact &= same
        shape = matrix.weights.rows, matrix.weights.columns
        if shape not in dense:
            dense[shape], same = measure_alone(simulator, dense_twin(job))
            exact &= same
        found[name] = cycles, dense[shape]
        steps.count(len(found), len(packed.matrices))
    return found, exact
