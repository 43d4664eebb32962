"""An encoder's weight matrices, pruned, quantised to INT8 and packed for an SpMM engine."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from thresher import __version__

from ..golden.spmm.packing import PackedWeights, pack
from ..spec.errors import ConfigError, InputError
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .config import EncoderConfig
from .encoder import encoder_tensors
from .families import read_config
from .packed_file import PackedLinear, PackedModel
from .prune import (
    KEEP,
    Mask,
    PruneReport,
    Sparsity,
    keep_nonzeros,
    prune_bank_balanced,
    prune_global,
    prune_groups,
    prune_unstructured,
    quantise_pruned,
)
from .source import locate_model
from .weights import Float32, Weights, read_weights

__all__ = ["encoder_matrices", "fixed_sparsity", "pack_model", "pack_pruned", "prune_matrices"]

UNSTRUCTURED = (WeightFormat.CSR, WeightFormat.CSR_DELTA)


def encoder_matrices(config: EncoderConfig, weights: Weights) -> dict[str, tuple[Float32, Float32]]:
    """Weight (M, K) and bias (M,) of every projection and feed-forward layer of an encoder, layer by layer.

    The names are those of the tensors without the prefix of the layout and ``.weight``, such as
    ``encoder.layer.0.intermediate.dense``.

    Raises
    ------
    InputError
        A tensor is missing, has the wrong shape or holds NaN.
    """
    body = encoder_tensors(config, weights)
    return {
        name: (body.take(f"{name}.weight", rows, columns), body.take(f"{name}.bias", rows))
        for name, (rows, columns) in config.matrices.items()
    }


def prune_matrices(
    matrices: Mapping[str, Float32],
    weight_format: WeightFormat,
    sparsity: Sparsity | None,
    *,
    config: SpmmConfig,
    global_ranking: bool = False,
) -> dict[str, tuple[Mask, PruneReport]]:
    """Prune matrices to the pattern of a weight format.

    Parameters
    ----------
    matrices : mapping of name to (M, K) numbers
    weight_format : WeightFormat
        ``csr`` and ``csr-delta`` are unstructured. ``bbs`` keeps the same number in each of ``config.banks`` banks, and
        ``nm`` keeps ``config.kept`` of each ``config.group``. ``dense`` prunes nothing.
    sparsity : Sparsity or None
        Share of weights to prune, zeros among them; or ``"keep"``, which prunes nothing. It may be left out for ``nm``
        and ``dense``, which have only one.
    global_ranking : bool
        Rank the weights of all matrices together; only for unstructured formats.

    Raises
    ------
    ConfigError
        The format cannot have this sparsity.
    InputError
        The format has no global ranking, or a weight is not finite.
    """
    if global_ranking and weight_format not in UNSTRUCTURED:
        raise InputError(
            f"a global ranking (--global) goes with {' or '.join(UNSTRUCTURED)}, not {weight_format}: leave it out"
        )
    if sparsity == KEEP:
        if global_ranking:
            raise InputError(f"a global ranking (--global) prunes, and sparsity {KEEP} does not: leave one of them out")
        return {name: keep_nonzeros(matrix) for name, matrix in matrices.items()}
    fixed = fixed_sparsity(config, weight_format)
    if fixed is not None and sparsity is not None and abs(sparsity - fixed) > 1e-9:
        what = f"{config.kept}:{config.group}" if weight_format is WeightFormat.NM else "dense"
        raise ConfigError("sparsity", sparsity, f"must be {fixed:g} for {what} weights, or left out")
    sparsity = sparsity if fixed is None else fixed
    if sparsity is None:
        raise ConfigError("sparsity", sparsity, f"must be given for {weight_format} weights")
    if global_ranking:
        return prune_global(matrices, sparsity)
    return {name: _prune(matrix, weight_format, sparsity, config) for name, matrix in matrices.items()}


def fixed_sparsity(config: SpmmConfig, weight_format: WeightFormat) -> float | None:
    """Sparsity of a format that has only one (``nm``, ``dense``), or ``None``."""
    return {WeightFormat.NM: 1 - config.kept / config.group, WeightFormat.DENSE: 0.0}.get(weight_format)


def _prune(
    matrix: Float32, weight_format: WeightFormat, sparsity: float, config: SpmmConfig
) -> tuple[Mask, PruneReport]:
    match weight_format:
        case WeightFormat.BBS:
            return prune_bank_balanced(matrix, sparsity, banks=config.banks)
        case WeightFormat.NM:
            return prune_groups(matrix, kept=config.kept, group=config.group)
        case WeightFormat.DENSE:
            return keep_nonzeros(matrix)
        case _:
            return prune_unstructured(matrix, sparsity)


def pack_pruned(
    config: SpmmConfig, weights: Float32, mask: Mask, weight_format: WeightFormat
) -> tuple[PackedWeights, Float32]:
    """Quantise a pruned matrix to INT8 and pack it for an engine.

    Returns
    -------
    packed : PackedWeights
    scales : (M,) float32
        Value of one unit of each row.

    Raises
    ------
    InputError
        See :func:`~thresher.model.prune.quantise_pruned` and :func:`~thresher.golden.spmm.packing.pack`.
    """
    quantised = quantise_pruned(weights, mask)
    packed = pack(quantised.values, weight_format, banks=config.banks, kept=config.kept, group=config.group)
    return packed, quantised.scales


def pack_model(
    model: str | Path | None,
    *,
    config: SpmmConfig,
    weight_format: WeightFormat,
    sparsity: Sparsity | None = None,
    global_ranking: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PackedModel:
    """Prune, quantise and pack all projections and feed-forward layers of an encoder.

    The model is not trained: it loses its smallest weights and is otherwise unchanged.

    Parameters
    ----------
    model : str or Path, optional
        See :func:`~thresher.model.source.locate_model`.
    config : SpmmConfig
        The engine whose banks and N:M pattern are used.
    weight_format, sparsity, global_ranking
        See :func:`prune_matrices`.
    progress : callable, optional
        Called with the number of matrices done and of all matrices.

    Raises
    ------
    ThresherError
        The model cannot be read, or the format cannot have this sparsity.
    """
    folder = locate_model(model)
    sparsity = fixed_sparsity(config, weight_format) if sparsity is None else sparsity
    matrices = encoder_matrices(read_config(folder / "config.json"), read_weights(folder))
    masks = prune_matrices(
        {name: weight for name, (weight, _) in matrices.items()},
        weight_format,
        sparsity,
        config=config,
        global_ranking=global_ranking,
    )
    packed: dict[str, PackedLinear] = {}
    for name, (weight, bias) in matrices.items():
        try:
            words, scales = pack_pruned(config, weight, masks[name][0], weight_format)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        nonzeros = int(np.count_nonzero(weight))
        packed[name] = PackedLinear(weights=words, scales=scales, biases=bias, nonzeros=nonzeros)
        if progress is not None:
            progress(len(packed), len(matrices))
    assert sparsity is not None  # prune_matrices has refused it
    kept = sum(matrix.weights.stored for matrix in packed.values())
    return PackedModel(
        format=weight_format,
        version=__version__,
        sparsity=1 - kept / sum(weight.size for weight, _ in matrices.values()),
        target=KEEP if sparsity == KEEP else float(sparsity),
        method=next(report.method for _, report in masks.values()),
        matrices=packed,
    )
