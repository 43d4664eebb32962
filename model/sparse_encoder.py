"""An encoder with packed weights, in float32."""

import hashlib

from ..golden.spmm.packing import unpack
from ..spec.errors import InputError
from .encoder import Encoder, Linear
from .packed_file import PackedModel

__all__ = ["encoder_of_packed", "unpacked_digest"]


def unpacked_digest(encoder: Encoder) -> str:
    """Digest of what a file of packed weights does not hold: word embeddings and LayerNorms."""
    digest = hashlib.sha256(encoder.words.tobytes())
    for layer in encoder.layers:
        for norm in (layer.attention_norm, layer.output_norm):
            digest.update(norm.weight.tobytes() + norm.bias.tobytes())
    return digest.hexdigest()


def encoder_of_packed(encoder: Encoder, packed: PackedModel) -> Encoder:
    """An encoder with the weights and biases of a file of packed weights.

    Raises
    ------
    InputError
        The file was made of another model.
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
    if packed.unpacked != unpacked_digest(encoder):
        raise InputError(
            "the packed weights belong to another model: its embeddings or LayerNorms differ from the model's"
        )
    return encoder.with_linears(
        {
            name: Linear(unpack(matrix.weights).toarray() * matrix.scales[:, None], matrix.biases)
            for name, matrix in packed.matrices.items()
        }
    )
