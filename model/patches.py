"""Images as input of a vision transformer's first layer."""

from dataclasses import dataclass

import numpy as np

from .config import EncoderConfig, ImageSizes
from .weights import Float32, Weights

__all__ = ["Patches", "take_patches"]


@dataclass(frozen=True, kw_only=True)
class Patches:
    """A dense layer on square patches, tokens that stand before them, and positions.

    Attributes
    ----------
    weight : (hidden, channels · patch²) float32
    bias : (hidden,) float32
    tokens : (tokens, hidden) float32
    positions : (length, hidden) float32
    sizes : ImageSizes
    """

    weight: Float32
    bias: Float32
    tokens: Float32
    positions: Float32
    sizes: ImageSizes

    def __call__(self, pixels: Float32) -> Float32:
        """(batch, channels, size, size) pixels to (batch, length, hidden): the tokens, then the patches row by row."""
        batch, side, count = len(pixels), self.sizes.patch, self.sizes.image // self.sizes.patch
        parts = pixels.reshape(batch, self.sizes.channels, count, side, count, side).transpose(0, 2, 4, 1, 3, 5)
        patches = parts.reshape(batch, count * count, -1) @ self.weight.T + self.bias
        tokens = np.broadcast_to(self.tokens, (batch, *self.tokens.shape))
        return np.concatenate([tokens, patches], axis=1) + self.positions


def take_patches(config: EncoderConfig, body: Weights) -> Patches:
    """The layer of a model of images.

    Raises
    ------
    InputError
        A tensor is missing, has the wrong shape or holds NaN.
    """
    sizes, names, hidden = config.image, config.layout, config.hidden_size
    assert sizes is not None
    assert names.image is not None
    return Patches(
        weight=body.take(f"{names.words}.weight", hidden, sizes.channels, sizes.patch, sizes.patch).reshape(hidden, -1),
        bias=body.take(f"{names.words}.bias", hidden),
        tokens=np.concatenate([body.take(name, 1, 1, hidden)[0] for name in names.image.tokens]),
        positions=body.take(names.positions, 1, config.max_position_embeddings, hidden)[0],
        sizes=sizes,
    )
