"""An encoder's weight matrices, pruned, quantised to INT8 and packed for an SpMM engine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from thresher import __version__

from ..golden.spmm.packing import PackedWeights, pack
from ..spec.errors import InputError
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .config import EncoderConfig
from .encoder import Encoder, encoder_tensors
from .families import read_config
from .load import calibration_sentences, load_model
from .packed_file import PackedLinear, PackedModel
from .pruning.formats import FormatPattern
from .pruning.int8 import quantise_pruned
from .pruning.layers import prune_linears
from .pruning.method import DEFAULT_METHOD, MethodName
from .pruning.patterns import Mask, Sparsity
from .source import locate_model
from .sparse_encoder import unpacked_digest
from .weights import Float32, Weights, read_weights

__all__ = ["encoder_matrices", "pack_model", "pack_pruned"]

SENTENCES = 1024
"""Calibration sentences that are used at most."""


def encoder_matrices(config: EncoderConfig, weights: Weights) -> dict[str, tuple[Float32, Float32]]:
    """Weight (M, K) and bias (M,) of every projection and feed-forward layer of an encoder, layer by layer.

    The names are those of the tensors without the prefix of the layout and ``.weight``, such as
    ``encoder.layer.0.intermediate.dense``.

    Raises
    ------
    InputError
        A tensor is missing, has the wrong shape or holds NaN.
    """
    config.check_encoder()
    body = encoder_tensors(config, weights)
    return {
        name: (body.take(f"{name}.weight", rows, columns), body.take(f"{name}.bias", rows))
        for name, (rows, columns) in config.matrices.items()
    }


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
        See :func:`~thresher.model.pruning.int8.quantise_pruned` and :func:`~thresher.golden.spmm.packing.pack`.
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
    block: tuple[int, int] | None = None,
    method: MethodName = DEFAULT_METHOD,
    calibration: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PackedModel:
    """Prune, quantise and pack all projections and feed-forward layers of an encoder. Nothing is trained.

    Parameters
    ----------
    model : str or Path, optional
        See :func:`~thresher.model.source.locate_model`.
    config, weight_format, sparsity, global_ranking, block
        See :class:`~thresher.model.pruning.formats.FormatPattern`.
    method : MethodName
        See :data:`~thresher.model.pruning.method.METHODS`.
    calibration : Path, optional
        Sentences, see :func:`~thresher.model.load.calibration_sentences`; the first :data:`SENTENCES` are used. The
        method ``magnitude`` needs none.
    progress : callable, optional
        Called with the number of matrices pruned and of all matrices.

    Raises
    ------
    ThresherError
        Model or sentences cannot be read, or the format cannot have this sparsity.
    """
    folder = locate_model(model)
    pattern = FormatPattern(
        config=config, weight_format=weight_format, sparsity=sparsity, global_ranking=global_ranking, block=block
    )
    settings = read_config(folder / "config.json")
    settings.check_encoder()
    encoder = Encoder(settings, read_weights(folder))
    dense = encoder.linears()
    if method == "magnitude" or not pattern.prunes:
        pruned = prune_linears(dense, pattern, progress=progress)
    else:
        sentences = calibration_sentences(calibration, SENTENCES)
        pruned = load_model(model).prune(sentences, pattern, method=method, progress=progress)
    packed: dict[str, PackedLinear] = {}
    for name, each in pruned.items():
        try:
            words, scales = pack_pruned(config, each.linear.weight, each.mask, weight_format)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        nonzeros = int(np.count_nonzero(dense[name].weight))
        packed[name] = PackedLinear(weights=words, scales=scales, biases=each.linear.bias, nonzeros=nonzeros)
    kept = sum(matrix.weights.stored for matrix in packed.values())
    assert pattern.target is not None
    return PackedModel(
        format=weight_format,
        version=__version__,
        sparsity=1 - kept / sum(linear.weight.size for linear in dense.values()),
        target=pattern.target if isinstance(pattern.target, str) else float(pattern.target),
        pattern=next(iter(pruned.values())).report.pattern,
        method=method if pattern.prunes else "none",
        unpacked=unpacked_digest(encoder),
        matrices=packed,
    )
