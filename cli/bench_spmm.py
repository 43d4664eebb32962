"""``thresher bench spmm``: cycles of a sparse product on the simulated SpMM engine."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..spec import Activation, ConfigError, InputError, SpmmConfig, WeightFormat
from ..spec.files import check_writable
from . import options, progress, report
from .frame import bench_app, command, note, print_json, require_bit_exact
from .settings import spmm_configuration
from .terminal import make_console, make_table

if TYPE_CHECKING:
    from ..runtime.network_bench import NetworkBench

__all__ = ["bench_spmm"]

ROWS, COLUMNS = 1536, 384
"""Size of the default matrix: MiniLM's first feed-forward layer."""

ACTIVATIONS = {"none": Activation.NONE, "relu": Activation.RELU, "gelu": Activation.TABLE}
# Any: type checkers do not accept an enumeration that is made at run time.
ActivationName: Any = StrEnum("ActivationName", {name: name for name in ACTIVATIONS})
NO_ACTIVATION = ActivationName("none")
TOKENS = 128


class NetworkName(StrEnum):
    """Networks whose pointwise layers can run."""

    MOBILENET_V1 = "mobilenet-v1"
    MOBILENET_V2 = "mobilenet-v2"


@command(bench_app, "spmm")
def bench_spmm(
    weight_format: Annotated[WeightFormat, typer.Option("--format", help="How the weights are packed.")] = (
        WeightFormat.CSR
    ),
    rows: Annotated[int | None, typer.Option("--rows", help=f"M; {ROWS} without --weights.")] = None,
    columns: Annotated[int | None, typer.Option("--cols", help=f"K; {COLUMNS} without --weights.")] = None,
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", help="Number of tokens N, by default 128. A simulation can stream 1 GiB of weights."),
    ] = None,
    sparsity: options.Sparsity = None,
    activation: Annotated[
        ActivationName, typer.Option("--activation", help="Activation; gelu loads its table with each product.")
    ] = NO_ACTIVATION,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            help="W instead of a random one: a tensor of a safetensors file, or a .mtx or .smtx file, which keeps its "
            "own pattern unless there is a --sparsity.",
        ),
    ] = None,
    tensor: Annotated[str | None, typer.Option("--tensor", help="Name of the tensor.")] = None,
    preset: options.Preset = options.EDGE,
    config_file: options.Config = None,
    seed: options.Seed = 0,
    network: Annotated[
        NetworkName | None,
        typer.Option("--network", help="Every pointwise layer (1x1 convolution) of a network instead of one product."),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="FILE.png: also run every format at many sparsities, and draw it."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure cycles of a pruned matrix times tokens, and of the dense product, on the simulated SpMM engine."""
    from ..model.matrix_file import is_matrix_file
    from ..model.pruning.patterns import KEEP
    from ..runtime import products, spmm_bench
    from ..sim.spmm import SpmmSimulator

    config = spmm_configuration(preset, config_file)
    if network is not None:
        given = {"rows": rows, "cols": columns, "tokens": tokens, "weights": weights, "tensor": tensor}
        given |= {"picture": picture, "activation": None if activation is NO_ACTIVATION else activation.value}
        for name, value in given.items():
            if value is not None:
                shown = str(value) if isinstance(value, Path) else value
                raise ConfigError(name, shown, "cannot be given with --network, which has its own")
        _bench_network(
            network, config, weight_format=weight_format, sparsity=sparsity, preset=preset, seed=seed, as_json=as_json
        )
        return
    tokens = TOKENS if tokens is None else tokens
    if sparsity is None and weights is not None and is_matrix_file(weights):
        sparsity = KEEP
    wanted = products.chosen_sparsity(config, weight_format, sparsity)
    shape, read = _matrix(weights, tensor, rows, columns, seed)
    products.check_engine(config, rows=shape[0], columns=shape[1], tokens=tokens, weight_format=weight_format)
    products.check_simulation(config, rows=shape[0], columns=shape[1], tokens=tokens)
    if picture is not None:
        if picture.suffix.lower() != ".png":
            raise ConfigError("picture", str(picture), "must end in .png")
        check_writable(picture)
    matrix = read()
    packed, scales = products.pruned_weights(config, matrix, weight_format, wanted)
    nonzeros = int((matrix != 0).sum())
    counts = {"nonzeros": nonzeros, "stored": packed.stored, "total": matrix.size}
    note(products.sparsity_note(config, weight_format, sparsity, **counts))
    points: list[dict[str, Any]] = []
    with progress.steps() as steps, SpmmSimulator(config, on_progress=steps.announce) as simulator:
        chosen = ACTIVATIONS[activation.value]
        result = spmm_bench.bench_spmm(
            simulator, packed, scales, tokens=tokens, seed=seed, activation=chosen, steps=steps
        )
        if picture is not None:
            swept = spmm_bench.sweep(simulator, matrix, tokens=tokens, seed=seed, steps=steps)
            points = [point.to_dict() for point in swept]
    source = "random" if weights is None else str(tensor or weights)
    figures: dict[str, Any] = {"preset": preset.value, "seed": seed, "weights": source, "target": wanted}
    figures |= {"own_sparsity": 1 - nonzeros / matrix.size, "activation": activation.value, **result.to_dict()}
    if picture is not None:
        _draw(points, picture, config=config, figures=figures)
        figures |= {"picture": str(picture), "points": points}
    if as_json:
        print_json(figures)
    else:
        report.bench(figures)
        if points:
            _show(points)
    require_bit_exact(figures["bit_exact"] and all(point["bit_exact"] for point in points))


def _bench_network(
    network: NetworkName,
    config: SpmmConfig,
    *,
    weight_format: WeightFormat,
    sparsity: Any,
    preset: options.PresetName,
    seed: int,
    as_json: bool,
) -> None:
    """Measure and print the pointwise layers of a network."""
    from ..model.pruning.patterns import KEEP
    from ..runtime import network_bench, products
    from ..runtime.networks import NETWORKS
    from ..sim.spmm import SpmmSimulator

    if sparsity == KEEP:
        raise ConfigError("sparsity", KEEP, "random weights have no pattern of their own: give a share")
    wanted = products.chosen_sparsity(config, weight_format, sparsity)
    layers = NETWORKS[network]
    network_bench.check_network(config, layers, weight_format)
    with progress.steps() as steps, SpmmSimulator(config, on_progress=steps.announce) as simulator:
        result = network_bench.bench_network(
            simulator, layers, weight_format=weight_format, sparsity=wanted, seed=seed, steps=steps
        )
    if as_json:
        print_json(
            {"preset": preset.value, "network": network.value, "target": wanted, "seed": seed} | result.to_dict()
        )
    else:
        _show_network(result, title=f"{network}, {weight_format}, target sparsity {wanted}, {preset.value}")
    require_bit_exact(result.bit_exact)


def _show_network(result: "NetworkBench", *, title: str) -> None:
    """Print a line per layer, the whole, and the published speedup."""
    console = make_console()
    console.print(f"{title}: random weights, cycles measured on RTL\n")
    table = make_table("layer", "M × K × N", "products", "sparsity", "cycles", "dense cycles", "speedup", "", right=2)
    for layer in result.layers:
        shape = f"{layer.rows} × {layer.columns} × {layer.tokens}"
        figures = f"{layer.cycles:,}", f"{layer.dense_cycles:,}", f"{layer.speedup:.2f}"
        note = "" if layer.measured else "as above"
        table.add_row(layer.name, shape, str(layer.products), f"{layer.sparsity:.1%}", *figures, note)
    figures = f"{result.cycles:,}", f"{result.dense_cycles:,}", f"{result.speedup:.2f}"
    table.add_row("all pointwise layers", "", "", "", *figures, "")
    console.print(table)
    console.print(f"\nmultipliers busy with kept weights: {result.utilisation:.1%} of {result.multipliers}")
    if any(layer.products > 1 for layer in result.layers):
        console.print("layers of several products: one of each size is measured, and counted as often as it occurs")
    published = result.published
    console.print(
        f"published by Paddle Lite, sparse over dense INT8 on ARM: {published['least']} to {published['most']} "
        f"({published['source']})",
        soft_wrap=True,
    )
    console.print(f"bit-exact with golden: {'yes' if result.bit_exact else 'NO'}")


def _show(points: list[dict[str, Any]]) -> None:
    """Print the points of the picture."""
    table = make_table("format", "sparsity", "cycles", "speedup", "bytes", right=1)
    for point in points:
        figures = f"{point['sparsity']:.3f}", f"{point['cycles']:,}", f"{point['speedup']:.2f}", f"{point['bytes']:,}"
        table.add_row(point["format"], *figures)
    console = make_console()
    console.print()
    console.print(table)


def _matrix(
    file: Path | None, tensor: str | None, rows: int | None, columns: int | None, seed: int
) -> tuple[tuple[int, int], Callable[[], Any]]:
    """Shape of W, and a function that gives W: a random matrix, a tensor, or a matrix file."""
    from ..runtime.products import random_matrix

    if file is None:
        if tensor is not None:
            raise ConfigError("tensor", tensor, "needs --weights, the safetensors file that holds it")
        shape = ROWS if rows is None else rows, COLUMNS if columns is None else columns
        return shape, lambda: random_matrix(*shape, seed=seed)
    owner, shape, read = _from_file(file, tensor, seed)
    for name, given, size in (("rows", rows, shape[0]), ("cols", columns, shape[1])):
        if given not in (None, size):
            raise ConfigError(name, given, f"the {owner} has {size}, leave it out")
    return shape, read


def _from_file(file: Path, tensor: str | None, seed: int) -> tuple[str, tuple[int, int], Callable[[], Any]]:
    """What holds W, its shape, and a function that gives W."""
    from ..model.matrix_file import is_matrix_file, matrix_shape, read_matrix_file
    from ..model.weights import read_matrix

    if is_matrix_file(file):
        if tensor is not None:
            raise ConfigError("tensor", tensor, f"goes with a safetensors file, but {str(file)!r} is one matrix")
        return "file", matrix_shape(file), lambda: read_matrix_file(file, seed=seed)
    matrix = read_matrix(file, tensor)
    if not matrix.size:
        raise InputError(f"tensor {tensor!r} has shape {matrix.shape}: name one that is not empty")
    return "tensor", matrix.shape, lambda: matrix


def _draw(points: list[dict[str, Any]], path: Path, *, config: SpmmConfig, figures: dict[str, Any]) -> None:
    from .spmm_picture import draw_sweep  # matplotlib takes its time

    weights = "random weights" if figures["weights"] == "random" else figures["weights"]
    shape = f"{figures['rows']} × {figures['columns']}"
    title = f"{weights}, {shape}, on {config.rows} row engines × {config.lanes} multipliers ({figures['preset']})"
    draw_sweep(points, path, title=title, tokens=figures["tokens"], pattern=(config.kept, config.group))
