"""Bench of a network's pointwise layers on the SpMM engine."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..model.pruning.patterns import Sparsity
from ..sim.spmm import SpmmSimulator
from ..spec.spmm_config import SpmmConfig, WeightFormat
from .networks import PointwiseLayer
from .products import (
    check_engine,
    check_simulation,
    dense_twin,
    most_simulated,
    product_job,
    pruned_weights,
    random_matrix,
    reached_sparsity,
)
from .report import Report
from .spmm_bench import measure_alone
from .steps import Steps

__all__ = ["PADDLE_LITE", "LayerFigures", "NetworkBench", "bench_network", "check_network", "pieces"]

PADDLE_LITE = {"least": 1.3, "most": 1.6, "source": "https://paddlepaddle.org.cn/lite/user_guides/sparse.html"}
"""Speedup of sparse over dense INT8 that Paddle Lite publishes for pruned 1×1 convolutions on ARM processors."""


@dataclass(frozen=True, kw_only=True)
class LayerFigures(Report):
    """A layer on the engine.

    Attributes
    ----------
    rows, columns, tokens : int
        M, K and N.
    products : int
        Products that it takes; more than one if the engine takes fewer tokens at a time.
    sparsity : float
        Of the stored pattern.
    cycles, dense_cycles : int
        Sums over its products, each alone on an idle engine.
    measured : bool
        Whether this layer was simulated; otherwise an earlier one of the same shape was.
    """

    derived = ("speedup",)

    name: str
    rows: int
    columns: int
    tokens: int
    products: int
    sparsity: float
    cycles: int
    dense_cycles: int
    measured: bool

    @property
    def speedup(self) -> float:
        """Dense cycles over cycles."""
        return self.dense_cycles / self.cycles


@dataclass(frozen=True, kw_only=True)
class NetworkBench(Report):
    """The pointwise layers of a network on the engine.

    Attributes
    ----------
    format : str
    layers : tuple of LayerFigures
    bit_exact : bool
        Whether outputs and statistics of all runs are those of the golden model.
    published : dict
        Speedup that Paddle Lite publishes.
    """

    derived = ("cycles", "dense_cycles", "speedup", "macs", "utilisation")

    format: str
    multipliers: int
    layers: tuple[LayerFigures, ...]
    bit_exact: bool
    published: dict[str, float | str]

    @property
    def cycles(self) -> int:
        """Of all layers."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def dense_cycles(self) -> int:
        """Of all layers with all weights."""
        return sum(layer.dense_cycles for layer in self.layers)

    @property
    def speedup(self) -> float:
        """Of all layers together."""
        return self.dense_cycles / self.cycles

    @property
    def macs(self) -> int:
        """Products of weights and pixels, those of pruned weights among them."""
        return sum(layer.rows * layer.columns * layer.tokens for layer in self.layers)

    @property
    def utilisation(self) -> float:
        """Share of the multipliers that work on a kept weight."""
        kept = sum(layer.rows * layer.columns * layer.tokens * (1 - layer.sparsity) for layer in self.layers)
        return kept / (self.multipliers * self.cycles)


def pieces(tokens: int, most: int) -> Counter[int]:
    """Sizes of the products of a layer, and how many there are of each: as few products as possible."""
    whole, rest = divmod(tokens, most)
    return Counter({size: count for size, count in ((most, whole), (rest, 1)) if size and count})


def check_network(config: SpmmConfig, layers: Sequence[PointwiseLayer], weight_format: WeightFormat) -> None:
    """Check that an engine can take every layer, whose tokens may take several products.

    Raises
    ------
    ConfigError
        The engine is too small or lacks the format.
    """
    for layer in layers:
        sizes = {"rows": layer.rows, "columns": layer.columns}
        check_engine(config, **sizes, tokens=1, weight_format=weight_format, owner=f"{layer.name}: ")
        check_simulation(config, **sizes, tokens=1)


def bench_network(
    simulator: SpmmSimulator,
    layers: Sequence[PointwiseLayer],
    *,
    weight_format: WeightFormat,
    sparsity: Sparsity | None,
    seed: int,
    steps: Steps | None = None,
) -> NetworkBench:
    """Measure every different shape once, with random weights that are pruned by magnitude, and as a dense product.

    Of a layer with more tokens than a product takes, one product of each size is measured and counted as often as it
    occurs.

    Raises
    ------
    ThresherError
        The engine cannot take the layers or the sparsity.
    SimulationError
        The hardware misbehaved.
    """
    steps = steps or Steps()
    config = simulator.config
    check_network(config, layers, weight_format)
    known: dict[tuple[int, int, int], tuple[float, int, int]] = {}
    figures, exact = [], True
    for number, layer in enumerate(layers):
        parts = pieces(layer.tokens, most_simulated(config, rows=layer.rows, columns=layer.columns))
        fresh = layer.shape not in known
        if fresh:
            matrix = random_matrix(layer.rows, layer.columns, seed=seed)
            packed, scales = pruned_weights(config, matrix, weight_format, sparsity)
            total = [0, 0]
            for size, count in parts.items():
                steps.tell(f"running {layer.rows} × {layer.columns} × {size}")
                job = product_job(config, packed, scales, tokens=size, seed=seed)
                for kind, each in enumerate((job, dense_twin(job))):
                    cycles, same = measure_alone(simulator, each)
                    total[kind] += count * cycles
                    exact &= same
            known[layer.shape] = (reached_sparsity(packed), total[0], total[1])
        reached, cycles, dense_cycles = known[layer.shape]
        figures.append(
            LayerFigures(
                name=layer.name,
                rows=layer.rows,
                columns=layer.columns,
                tokens=layer.tokens,
                products=parts.total(),
                sparsity=reached,
                cycles=cycles,
                dense_cycles=dense_cycles,
                measured=fresh,
            )
        )
        steps.count(number + 1, len(layers))
    return NetworkBench(
        format=str(weight_format),
        multipliers=config.multipliers,
        layers=tuple(figures),
        bit_exact=exact,
        published=PADDLE_LITE,
    )
