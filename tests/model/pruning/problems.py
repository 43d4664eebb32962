"""Dense layers with random correlated inputs."""

import numpy as np
from thresher.model.encoder import Linear
from thresher.model.pruning.statistics import LayerStatistics, StatisticsSums


def problem(seed: int, rows: int, columns: int, *, tokens: int = 200, drift: float = 0.1):
    """A dense layer, the inputs that it reads, and the statistics of these and of the outputs of inputs that differ a
    little, as in an encoder that is pruned in part.

    Returns
    -------
    linear : Linear
    x : (tokens, K) float32
    y : (tokens, M) float32
    statistics : LayerStatistics
    """
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(columns, columns)) * random.exponential(size=columns)
    inputs = random.normal(size=(tokens, columns)) @ mixed + random.normal(size=columns)
    linear = Linear(random.normal(size=(rows, columns)).astype(np.float32), random.normal(size=rows).astype(np.float32))
    x = (inputs + drift * random.normal(size=inputs.shape)).astype(np.float32)
    y = linear(inputs.astype(np.float32))
    sums = StatisticsSums(columns, rows)
    sums.observe(x, y)
    return linear, x, y, sums.statistics()


def white(linear: Linear) -> LayerStatistics:
    """Statistics of independent inputs of mean 0 and variance 1, and of the layer's own outputs."""
    columns = linear.weight.shape[1]
    return LayerStatistics(
        mean=np.zeros(columns),
        covariance=np.eye(columns),
        wanted=linear.bias.astype(np.float64),
        cross=linear.weight.astype(np.float64),
    )
