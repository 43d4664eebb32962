"""Masks of the kept weights of an encoder."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...golden.spmm.packing import pack
from ...spec.errors import InputError
from ...spec.spmm_config import SpmmConfig, WeightFormat
from ..encoder import Encoder, Linear
from ..pruning.formats import fixed_sparsity, prune_matrices
from ..pruning.patterns import KEEP, Mask, Sparsity

__all__ = ["check_packs", "chosen_masks", "full_masks", "masked", "sparsity_of"]


def full_masks(encoder: Encoder) -> dict[str, Mask]:
    """Masks that keep all weights of the projections and feed-forward layers."""
    return {name: np.ones(linear.weight.shape, bool) for name, linear in encoder.linears().items()}


def chosen_masks(
    encoder: Encoder,
    sparsity: Sparsity,
    *,
    weight_format: WeightFormat,
    config: SpmmConfig,
    global_ranking: bool = False,
) -> dict[str, Mask]:
    """Keep the weights of the largest magnitudes, in the pattern of a format.

    A format with only one sparsity (``nm``, ``dense``) has it from the first time on. Parameters and errors are those
    of :class:`~thresher.model.pruning.formats.FormatPattern`.
    """
    wanted = sparsity if sparsity == KEEP or fixed_sparsity(config, weight_format) is None else None
    matrices = {name: np.asarray(linear.weight) for name, linear in encoder.linears().items()}
    pruned = prune_matrices(matrices, weight_format, wanted, config=config, global_ranking=global_ranking)
    return {name: mask for name, (mask, _) in pruned.items()}


def check_packs(masks: Mapping[str, Mask], weight_format: WeightFormat, *, config: SpmmConfig) -> None:
    """Check that weights with these masks can be packed in a format, whatever their values.

    Raises
    ------
    InputError
        They cannot; see :func:`~thresher.golden.spmm.packing.pack`.
    """
    for name, mask in masks.items():
        try:
            pack(mask.astype(np.int8), weight_format, banks=config.banks, kept=config.kept, group=config.group)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None


def masked(encoder: Encoder, masks: Mapping[str, Any]) -> Encoder:
    """An encoder with zeros where its masks are zero. Zeros have no gradient."""
    linears = encoder.linears().items()
    return encoder.with_linears({name: Linear(each.weight * masks[name], each.bias) for name, each in linears})


def sparsity_of(masks: Mapping[str, Mask]) -> float:
    """Share of pruned weights of all matrices together."""
    return 1 - sum(int(mask.sum()) for mask in masks.values()) / sum(mask.size for mask in masks.values())
