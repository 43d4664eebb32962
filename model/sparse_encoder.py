"""An encoder whose projections and feed-forward layers are pruned, in float32."""

import numpy as np

from ..golden.spmm.packing import unpack
from ..spec.errors import InputError
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .encoder import Encoder, Linear
from .pack import prune_matrices
from .packed_file import PackedModel
from .prune import Sparsity

__all__ = ["encoder_of_packed", "pruned_encoder"]


def pruned_encoder(
    encoder: Encoder, weight_format: WeightFormat, sparsity: Sparsity | None, *, config: SpmmConfig
) -> Encoder:
    """Prune an encoder by magnitude, without training; parameters and errors as those of
    :func:`~thresher.model.pack.prune_matrices`."""
    linears = encoder.linears()
    matrices = {name: linear.weight for name, linear in linears.items()}
    masks = prune_matrices(matrices, weight_format, sparsity, config=config)
    return encoder.with_linears(
        {name: Linear(np.where(masks[name][0], linear.weight, 0), linear.bias) for name, linear in linears.items()}
    )


def encoder_of_packed(encoder: Encoder, packed: PackedModel) -> Encoder:
    """An encoder with the weights and biases of a file of packed weights.

    Raises
    ------
    InputError
        The file holds other matrices than the encoder has.
    """
    linears = encoder.linears()
    shapes = {name: linear.weight.shape for name, linear in linears.items()}
    found = {name: (matrix.weights.rows, matrix.weights.columns) for name, matrix in packed.matrices.items()}
    wrong = [name for name in {**shapes, **found} if shapes.get(name) != found.get(name)]
    if wrong:
        raise InputError(
            f"the packed weights belong to another model: {wrong[0]} is {found.get(wrong[0], 'missing')} in the file "
            f"and {shapes.get(wrong[0], 'missing')} in the model"
        )
    return encoder.with_linears(
        {
            name: Linear(unpack(matrix.weights).toarray() * matrix.scales[:, None], matrix.biases)
            for name, matrix in packed.matrices.items()
        }
    )
