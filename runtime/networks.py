"""Shapes of the pointwise layers of convolutional networks: 1×1 convolutions, which are products."""

from dataclasses import dataclass

__all__ = ["NETWORKS", "PointwiseLayer"]


@dataclass(frozen=True, kw_only=True)
class PointwiseLayer:
    """A 1×1 convolution with stride 1 as a product W·X.

    Attributes
    ----------
    name : str
    rows, columns : int
        Output and input channels, M and K.
    tokens : int
        Pixels H·W, N.
    """

    name: str
    rows: int
    columns: int
    tokens: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, K and N."""
        return self.rows, self.columns, self.tokens


def _mobilenet_v1() -> tuple[PointwiseLayer, ...]:
    """MobileNet, table 1 of Howard et al., arXiv 1704.04861: width 1.0, 224 × 224 pixels."""
    channels = (64, 128, 128, 256, 256, *(6 * [512]), 1024, 1024)
    sides = (112, 56, 56, 28, 28, *(6 * [14]), 7, 7)
    inputs = (32, *channels)
    return tuple(
        PointwiseLayer(name=f"pointwise {i + 1}", rows=channels[i], columns=inputs[i], tokens=sides[i] ** 2)
        for i in range(len(channels))
    )


BOTTLENECKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, output channels, repetitions and first stride of MobileNetV2's groups of bottlenecks."""


def _mobilenet_v2() -> tuple[PointwiseLayer, ...]:
    """MobileNetV2, table 2 of Sandler et al., arXiv 1801.04381: width 1.0, 224 × 224 pixels."""
    layers = []
    channels, side, number = 32, 112, 0
    for expansion, outputs, repeated, first_stride in BOTTLENECKS:
        for stride in (first_stride, *((repeated - 1) * [1])):
            number, hidden = number + 1, expansion * channels
            if expansion > 1:
                name = f"bottleneck {number} expansion"
                layers.append(PointwiseLayer(name=name, rows=hidden, columns=channels, tokens=side**2))
            side //= stride
            name = f"bottleneck {number} projection"
            layers.append(PointwiseLayer(name=name, rows=outputs, columns=hidden, tokens=side**2))
            channels = outputs
    layers.append(PointwiseLayer(name="last", rows=1280, columns=channels, tokens=side**2))
    return tuple(layers)


NETWORKS = {"mobilenet-v1": _mobilenet_v1(), "mobilenet-v2": _mobilenet_v2()}
"""Pointwise layers of each network in their order, without the classifier."""
