"""A whole encoder's weight matrices, pruned, in INT8, packed for an SpMM engine, in one safetensors file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from thresher import __version__

from ..cost.spmm_cycles import cycles
from ..golden.spmm.packing import PackedWeights, pack
from ..spec.base import check_enum, check_range
from ..spec.errors import ConfigError
from ..spec.files import check_writable
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .bert import BertConfig
from .packed_file import PackedLinear, PackedModel, write_packed
from .prune import (
    Mask,
    PruneReport,
    prune_bank_balanced,
    prune_global,
    prune_groups,
    prune_unstructured,
    quantise_pruned,
)
from .source import locate_model
from .weights import Float32, Weights, read_weights

__all__ = [
    "MatrixFigures",
    "PackReport",
    "encoder_matrices",
    "engine_cycles",
    "pack_model",
    "prune_matrices",
    "prune_model",
]

UNSTRUCTURED = (WeightFormat.CSR, WeightFormat.CSR_DELTA)


@dataclass(frozen=True, kw_only=True)
class MatrixFigures:
    """What became of one matrix, or of all together.

    Attributes
    ----------
    rows, columns : int
        M, K.
    weights, kept : int
        Weights before and after pruning.
    bytes, dense_bytes : int
        Packed weights with their indices, and the same matrix as plain INT8. Scales and biases come to both.
    cycles, dense_cycles : int
        Of a product with ``tokens`` tokens, by :func:`~thresher.cost.spmm_cycles.cycles`; dense with all lanes as
        tokens.
    spread : bool
        Whether the cycles are those of lanes spread over banks, which the engine may also do without.
    """

    name: str
    rows: int
    columns: int
    weights: int
    kept: int
    bytes: int
    dense_bytes: int
    cycles: int
    dense_cycles: int
    spread: bool

    @property
    def sparsity(self) -> float:
        """Share of pruned weights."""
        return 1 - self.kept / self.weights

    @property
    def speedup(self) -> float:
        """Dense cycles over cycles."""
        return self.dense_cycles / self.cycles

    def to_dict(self) -> dict[str, Any]:
        """Fields and properties, for JSON."""
        return asdict(self) | {"sparsity": self.sparsity, "speedup": self.speedup}


@dataclass(frozen=True, kw_only=True)
class PackReport:
    """What :func:`pack_model` did.

    Attributes
    ----------
    path : Path
        The file of the packed weights.
    method : str
        See :class:`~thresher.model.prune.PruneReport`; ``none`` for dense weights.
    target : float
        Share of weights to prune that was asked for.
    tokens : int
        N of the cycles.
    matrices : tuple of MatrixFigures
        Layer by layer.
    """

    path: Path
    model: str
    format: WeightFormat
    method: str
    target: float
    tokens: int
    matrices: tuple[MatrixFigures, ...]

    @property
    def total(self) -> MatrixFigures:
        """All matrices one after another; ``rows`` and ``columns`` are 0."""
        sums = ("weights", "kept", "bytes", "dense_bytes", "cycles", "dense_cycles")
        return MatrixFigures(
            name="total",
            rows=0,
            columns=0,
            spread=any(matrix.spread for matrix in self.matrices),
            **{name: sum(getattr(matrix, name) for matrix in self.matrices) for name in sums},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers, for JSON."""
        return {
            "path": str(self.path),
            "model": self.model,
            "format": str(self.format),
            "method": self.method,
            "target": self.target,
            "tokens": self.tokens,
            "matrices": [matrix.to_dict() for matrix in self.matrices],
            "total": self.total.to_dict(),
        }


def encoder_matrices(config: BertConfig, weights: Weights) -> dict[str, tuple[Float32, Float32]]:
    """Weight (M, K) and bias (M,) of every projection and feed-forward layer of a BERT encoder, layer by layer.

    The names are those of the tensors without ``bert.`` and ``.weight``, such as
    ``encoder.layer.0.intermediate.dense``.

    Raises
    ------
    InputError
        A tensor is missing, has the wrong shape or holds NaN.
    """
    hidden, wide = config.hidden_size, config.intermediate_size
    shapes = {
        "attention.self.query": (hidden, hidden),
        "attention.self.key": (hidden, hidden),
        "attention.self.value": (hidden, hidden),
        "attention.output.dense": (hidden, hidden),
        "intermediate.dense": (wide, hidden),
        "output.dense": (hidden, wide),
    }
    body = weights.below("bert.") if "bert.encoder.layer.0.output.dense.weight" in weights else weights
    matrices = {}
    for layer in range(config.num_hidden_layers):
        for part, (rows, columns) in shapes.items():
            name = f"encoder.layer.{layer}.{part}"
            matrices[name] = body.take(f"{name}.weight", rows, columns), body.take(f"{name}.bias", rows)
    return matrices


def prune_matrices(
    matrices: Mapping[str, Float32],
    weight_format: WeightFormat,
    sparsity: float | None,
    *,
    config: SpmmConfig,
    global_ranking: bool = False,
) -> dict[str, tuple[Mask, PruneReport]]:
    """Prune matrices in the way that suits a weight format.

    Parameters
    ----------
    matrices : mapping of name to (M, K) numbers
    weight_format : WeightFormat
        ``csr``, ``csr-delta``: unstructured. ``bbs``: the same number in each of ``config.banks`` banks. ``nm``:
        ``config.kept`` of each ``config.group``. ``dense``: nothing is pruned.
    sparsity : float or None
        Share of weights to prune. The formats ``nm`` and ``dense`` have only one, which may be left out.
    global_ranking : bool
        Rank the weights of all matrices together; unstructured only.

    Raises
    ------
    ConfigError
        The sparsity, or a global ranking, is not possible in this format.
    InputError
        Weights are not finite.
    """
    if global_ranking and weight_format not in UNSTRUCTURED:
        raise ConfigError("global_ranking", True, f"formats {' and '.join(UNSTRUCTURED)} only, not {weight_format}")
    own = own_sparsity(config, weight_format)
    if own is not None and sparsity is not None and abs(sparsity - own) > 1e-9:
        what = f"{config.kept}:{config.group}" if weight_format is WeightFormat.NM else "dense"
        raise ConfigError("sparsity", sparsity, f"must be {own:g} for {what} weights, or left out")
    sparsity = sparsity if own is None else own
    if sparsity is None:
        raise ConfigError("sparsity", sparsity, f"must be given for {weight_format} weights")
    if global_ranking:
        return prune_global(matrices, sparsity)
    return {name: _prune(matrix, weight_format, sparsity, config) for name, matrix in matrices.items()}


def own_sparsity(config: SpmmConfig, weight_format: WeightFormat) -> float | None:
    """The sparsity of a format that has only one (``nm``, ``dense``), or ``None``."""
    return {WeightFormat.NM: 1 - config.kept / config.group, WeightFormat.DENSE: 0.0}.get(weight_format)


def _prune(
    matrix: Float32, weight_format: WeightFormat, sparsity: float, config: SpmmConfig
) -> tuple[Mask, PruneReport]:
    match weight_format:
        case WeightFormat.BBS:
            return prune_bank_balanced(matrix, sparsity, banks=config.banks)
        case WeightFormat.NM:
            return prune_groups(matrix, kept=config.kept, group=config.group)
        case _:
            return prune_unstructured(matrix, sparsity)


def engine_cycles(config: SpmmConfig, packed: PackedWeights, tokens: int) -> tuple[int, bool]:
    """Cycles of a product with so many tokens, and whether spread lanes are what takes the fewest.

    See :func:`~thresher.cost.spmm_cycles.cycles`.
    """
    lengths: Sequence[int] = packed.lengths.tolist()
    ways = (False, True) if packed.format is WeightFormat.BBS else (False,)
    found = [
        (cycles(config, packed.format, columns=packed.columns, tokens=tokens, lengths=lengths, spread=spread), spread)
        for spread in ways
    ]
    return min(found)


def pack_model(
    model: str | Path | None,
    path: Path,
    *,
    config: SpmmConfig,
    weight_format: WeightFormat | str,
    sparsity: float | None = None,
    global_ranking: bool = False,
    tokens: int = 128,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[PackReport, PackedModel]:
    """Prune, quantise and pack all projections and feed-forward layers of a BERT encoder; nothing is written.

    Nothing is trained: this is the model as it is, without its smallest weights.

    Parameters
    ----------
    model : str or Path, optional
        See :func:`~thresher.model.source.locate_model`.
    path : Path
        Where :func:`~thresher.model.packed_file.write_packed` is to write them, for the report.
    config : SpmmConfig
        The engine: its banks, its N:M pattern, its cycles.
    weight_format, sparsity, global_ranking
        See :func:`prune_matrices`.
    tokens : int
        N of the products whose cycles are told.
    progress : callable, optional
        Told how many matrices are done, of how many.

    Raises
    ------
    ThresherError
        In one line, what does not fit: model, engine, or sparsity.
    """
    weight_format = check_enum("weight_format", weight_format, WeightFormat)
    if weight_format not in config.formats:
        raise ConfigError("weight_format", str(weight_format), "the engine has " + ", ".join(config.formats))
    check_range("tokens", tokens, 1, config.max_tokens)
    folder = locate_model(model)
    matrices = encoder_matrices(
        BertConfig.from_file(folder / "config.json"), read_weights(folder / "model.safetensors")
    )
    for name, (weight, _) in matrices.items():
        _check_fits(config, name, *weight.shape)
    masks = prune_matrices(
        {name: weight for name, (weight, _) in matrices.items()},
        weight_format,
        sparsity,
        config=config,
        global_ranking=global_ranking,
    )
    packed: dict[str, PackedLinear] = {}
    figures = []
    for name, (weight, bias) in matrices.items():
        mask, report = masks[name]
        quantised = quantise_pruned(weight, mask)
        words = pack(quantised.sparse, weight_format, banks=config.banks, kept=config.kept, group=config.group)
        packed[name] = PackedLinear(weights=words, scales=quantised.scales, biases=bias)
        figures.append(_figures(config, name, report, words, tokens))
        if progress is not None:
            progress(len(packed), len(matrices))
    method, target = next((report.method, report.target) for _, report in masks.values())
    result = PackReport(
        path=path,
        model=folder.name,
        format=weight_format,
        method="none" if weight_format is WeightFormat.DENSE else method,
        target=target,
        tokens=tokens,
        matrices=tuple(figures),
    )
    written = PackedModel(
        format=weight_format,
        version=__version__,
        sparsity=result.total.sparsity,
        method=result.method,
        matrices=packed,
    )
    return result, written


def prune_model(
    model: str | Path | None,
    path: Path,
    *,
    config: SpmmConfig,
    weight_format: WeightFormat | str,
    sparsity: float | None = None,
    global_ranking: bool = False,
    tokens: int = 128,
    progress: Callable[[int, int], None] | None = None,
) -> PackReport:
    """:func:`pack_model`, and write the weights to one file.

    Parameters
    ----------
    path : Path
        The safetensors file to write; :func:`~thresher.model.packed_file.read_packed` reads it. It appears whole or
        not at all. Its folder is made if need be.
    model, config, weight_format, sparsity, global_ranking, tokens, progress
        See :func:`pack_model`.

    Raises
    ------
    ThresherError
        In one line, what does not fit: model, engine, sparsity, or the file to write.
    """
    check_writable(path)
    report, packed = pack_model(
        model,
        path,
        config=config,
        weight_format=weight_format,
        sparsity=sparsity,
        global_ranking=global_ranking,
        tokens=tokens,
        progress=progress,
    )
    write_packed(path, packed)
    return report


def _check_fits(config: SpmmConfig, name: str, rows: int, columns: int) -> None:
    for field, size, what in (("max_rows", rows, "rows"), ("max_columns", columns, "columns")):
        limit = getattr(config, field)
        if size > limit:
            raise ConfigError(field, limit, f"{name} has {size} {what}: choose a larger engine")


def _figures(config: SpmmConfig, name: str, report: PruneReport, packed: PackedWeights, tokens: int) -> MatrixFigures:
    sparse, spread = engine_cycles(config, packed, tokens)
    dense = cycles(
        config,
        WeightFormat.DENSE,
        columns=packed.columns,
        tokens=tokens,
        lengths=np.full(packed.rows, packed.columns).tolist(),
    )
    return MatrixFigures(
        name=name,
        rows=packed.rows,
        columns=packed.columns,
        weights=report.total,
        kept=report.kept,
        bytes=packed.bytes,
        dense_bytes=packed.rows * packed.columns,
        cycles=sparse,
        dense_cycles=dense,
        spread=spread,
    )
