"""Commands about sparse weights: they parse, check, and hand over to spmm_jobs.py; report.py prints."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..spec import Activation, ConfigError, InputError, SpmmConfig, WeightFormat
from . import progress, report
from .frame import (
    EDGE,
    ConfigOption,
    JsonOption,
    ModelOption,
    PresetOption,
    SeedOption,
    app,
    bench_app,
    command,
    print_json,
    require_bit_exact,
)
from .settings import spmm_configuration

# What a command needs beyond this is imported where it runs, so that `thresher --help` answers at once.

__all__ = ["bench_spmm", "prune"]

ROWS, COLUMNS = 1536, 384
"""The default matrix, as large as MiniLM's first feed-forward layer."""

ACTIVATIONS = {"none": Activation.NONE, "relu": Activation.RELU, "gelu": Activation.TABLE}
# Any: the type checker takes no enumeration made at run time.
ActivationName: Any = StrEnum("ActivationName", {name: name for name in ACTIVATIONS})
NO_ACTIVATION = ActivationName("none")

TokensOption = Annotated[
    int, typer.Option("--tokens", help="N, columns of X. What is simulated may stream 1 GiB of weights.")
]
SparsityOption = Annotated[
    float | None,
    typer.Option(
        "--sparsity", help="Share of weights to prune, 0 to below 1; 0.75 unless the format (nm, dense) has its own."
    ),
]


@command(bench_app, "spmm")
def bench_spmm(
    weight_format: Annotated[WeightFormat, typer.Option("--format", help="How the weights are packed.")] = (
        WeightFormat.CSR
    ),
    rows: Annotated[int | None, typer.Option("--rows", help=f"M; {ROWS} unless there is a tensor.")] = None,
    columns: Annotated[int | None, typer.Option("--cols", help=f"K; {COLUMNS} unless there is a tensor.")] = None,
    tokens: TokensOption = 128,
    sparsity: SparsityOption = None,
    activation: Annotated[
        ActivationName, typer.Option("--activation", help="What follows; gelu loads its table with each product.")
    ] = NO_ACTIVATION,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="A safetensors file, for one of its tensors instead of random W.")
    ] = None,
    tensor: Annotated[str | None, typer.Option("--tensor", help="Its name.")] = None,
    preset: PresetOption = EDGE,
    config_file: ConfigOption = None,
    seed: SeedOption = 0,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="FILE.png: also run every format at many sparsities, and draw it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Cycles of a matrix, pruned by magnitude, times tokens on the simulated SpMM engine; and of the dense product."""
    from . import spmm_checks, spmm_jobs

    config = spmm_configuration(preset, config_file)
    wanted = spmm_checks.chosen_sparsity(config, weight_format, sparsity)
    matrix = _matrix(weights, tensor, rows, columns)
    shape = (ROWS if rows is None else rows, COLUMNS if columns is None else columns)
    shape = shape if matrix is None else matrix.shape
    spmm_checks.check_engine(config, rows=shape[0], columns=shape[1], tokens=tokens, weight_format=weight_format)
    spmm_checks.check_simulation(config, rows=shape[0], columns=shape[1], tokens=tokens)
    if matrix is None:
        matrix = spmm_jobs.random_matrix(*shape, seed=seed)
    if picture is not None:
        _check_picture(picture)
    # Whatever else is wrong with them is told before an engine is built.
    job, _ = spmm_jobs.product(config, matrix, weight_format, wanted, tokens=1, seed=seed)
    _note(spmm_checks.sparsity_note(config, weight_format, sparsity, spmm_jobs.reached_sparsity(job)))
    points: list[dict[str, Any]] = []
    with progress.steps() as steps, spmm_jobs.spmm_simulator(config, steps) as simulator:
        result = spmm_jobs.bench_spmm(
            simulator,
            matrix,
            weight_format,
            wanted,
            tokens=tokens,
            seed=seed,
            steps=steps,
            activation=ACTIVATIONS[activation.value],
        ).to_dict()
        if picture is not None:
            swept = spmm_jobs.sweep(simulator, matrix, tokens=tokens, seed=seed, steps=steps)
            points = [point.to_dict() for point in swept]
    source = "random" if weights is None else str(tensor)
    told: dict[str, Any] = {"preset": preset.value, "seed": seed, "weights": source}
    told |= {"activation": activation.value, **result}
    if picture is not None:
        _draw(points, picture, config=config, told=told)
        told |= {"picture": str(picture), "points": points}
    if as_json:
        print_json(told)
    else:
        report.bench(told)
        if points:
            report.sweep(points)
    require_bit_exact(told["bit_exact"] and all(point["bit_exact"] for point in points))


def _note(note: str | None) -> None:
    if note is not None:
        print(f"note: {note}", file=sys.stderr)


def _matrix(file: Path | None, tensor: str | None, rows: int | None, columns: int | None) -> Any:
    """The tensor of a file, or ``None`` without a file."""
    from ..model.weights import read_matrix

    if file is None:
        if tensor is not None:
            raise ConfigError("tensor", tensor, "needs --weights, the safetensors file that holds it")
        return None
    matrix = read_matrix(file, tensor)
    for name, given, size in (("rows", rows, matrix.shape[0]), ("cols", columns, matrix.shape[1])):
        if given not in (None, size):
            raise ConfigError(name, given, f"the tensor has {size}, leave it out")
    if not matrix.size:
        raise InputError(f"tensor {tensor!r} has shape {matrix.shape}: name one that is not empty")
    return matrix


def _check_picture(path: Path) -> None:
    from ..spec.files import check_writable

    if path.suffix.lower() != ".png":
        raise ConfigError("picture", str(path), "must end in .png")
    check_writable(path)


def _draw(points: list[dict[str, Any]], path: Path, *, config: SpmmConfig, told: dict[str, Any]) -> None:
    from .spmm_picture import draw_sweep  # matplotlib takes its time

    weights = "random weights" if told["weights"] == "random" else told["weights"]
    shape = f"{told['rows']} × {told['columns']}"
    title = f"{weights}, {shape}, on {config.rows} row engines × {config.lanes} multipliers ({told['preset']})"
    draw_sweep(points, path, title=title, tokens=told["tokens"], pattern=(config.kept, config.group))


@command(app, "prune")
def prune(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for weights.safetensors and weights.json.")],
    weight_format: Annotated[WeightFormat, typer.Option("--format", help="How the weights are packed.")],
    model: ModelOption = "default",
    sparsity: SparsityOption = None,
    global_ranking: Annotated[
        bool, typer.Option("--global", help="Rank the weights of all matrices together (csr, csr-delta).")
    ] = False,
    tokens: TokensOption = 128,
    preset: PresetOption = EDGE,
    config_file: ConfigOption = None,
    rtl: Annotated[
        bool, typer.Option("--rtl", help="Measure cycles on the simulated engine, and compare results with golden.")
    ] = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Prune a model's projections and feed-forward layers by magnitude, and pack them for the SpMM engine."""
    from . import spmm_checks, spmm_jobs

    config = spmm_configuration(preset, config_file)
    with progress.steps() as steps:
        told = spmm_jobs.prune(
            model,
            output,
            config=config,
            weight_format=weight_format,
            sparsity=sparsity,
            global_ranking=global_ranking,
            tokens=tokens,
            rtl=rtl,
            seed=seed,
            steps=steps,
        )
    _note(spmm_checks.sparsity_note(config, weight_format, sparsity, told["total"]["sparsity"]))
    told = {"preset": preset.value, **told}
    if as_json:
        print_json(told)
    else:
        report.prune(told)
    require_bit_exact(told["bit_exact"])
