"""``thresher prune``: a model's weight matrices, pruned and packed for the SpMM engine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..spec import InputError, WeightFormat
from . import options, progress
from .frame import app, command, note, print_json, require_bit_exact
from .settings import spmm_configuration
from .terminal import make_console, make_table

if TYPE_CHECKING:
    from ..runtime.prune import PackReport

__all__ = ["prune"]


@command(app, "prune")
def prune(
    output: Annotated[Path, options.output("Folder for weights.safetensors and weights.json.")],
    weight_format: Annotated[WeightFormat, typer.Option("--format", help="How the weights are packed.")],
    model: options.Model = "default",
    sparsity: options.Sparsity = None,
    global_ranking: Annotated[
        bool, typer.Option("--global", help="Rank the weights of all matrices together (csr, csr-delta).")
    ] = False,
    block: Annotated[
        str | None, typer.Option("--block", help="ROWSxCOLUMNS, such as 4x4: prune whole blocks (csr, csr-delta).")
    ] = None,
    method: options.PruningMethod = options.OBS,
    calibration: options.Calibration = None,
    tokens: options.Tokens = 128,
    preset: options.Preset = options.EDGE,
    config_file: options.Config = None,
    rtl: Annotated[
        bool,
        typer.Option("--rtl", help="Measure cycles on the simulated engine, compare results with the golden model."),
    ] = False,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Prune a model's projections and feed-forward layers, and pack them for the SpMM engine."""
    from ..runtime.products import sparsity_note
    from ..runtime.prune import prune_model

    config = spmm_configuration(preset, config_file)
    with progress.steps() as steps:
        result = prune_model(
            model,
            output,
            config=config,
            weight_format=weight_format,
            sparsity=sparsity,
            global_ranking=global_ranking,
            block=None if block is None else _block(block),
            method=method.value,
            calibration=calibration,
            tokens=tokens,
            rtl=rtl,
            seed=seed,
            steps=steps,
        )
    total = result.total
    counts = {"nonzeros": total.nonzeros, "stored": total.kept, "total": total.weights}
    note(sparsity_note(config, weight_format, sparsity, **counts))
    if as_json:
        print_json({"preset": preset.value, **result.to_dict()})
    else:
        _show(result, preset.value if config_file is None else f"{preset.value} with {config_file.name}")
    require_bit_exact(result.bit_exact)


def _block(text: str) -> tuple[int, int]:
    """Rows and columns of ``--block``."""
    rows, cross, columns = text.lower().partition("x")
    if not (cross and rows.isdecimal() and columns.isdecimal()):
        raise InputError(f"--block must be rows, x and columns, such as 4x4, not {text!r}")
    return int(rows), int(columns)


def _show(result: "PackReport", preset: str) -> None:
    """Print a line per matrix, and the total."""
    console = make_console()
    source = "measured on RTL" if result.measured else "by the cycle model"
    how = f"pruned: {result.pattern} by {result.method}, sparsity asked for: {result.target}"
    console.print(f"{result.model}, {result.format}, {how}")
    console.print(f"cycles of {result.tokens} tokens on {preset}, {source}\n")
    names = ("matrix", "M × K", "own sparsity", "sparsity", "stored zeros", "bytes", "of dense", "cycles")
    names += ("dense cycles", "speedup")
    table = make_table(*names, right=1)
    table.columns[0].overflow = "fold"  # a truncated name would not identify the matrix
    for each in [*result.matrices, result.total]:
        table.add_row(
            each.name.removeprefix("encoder."),
            f"{each.rows} × {each.columns}" if each.rows else "",
            f"{each.own_sparsity:.3f}",
            f"{each.sparsity:.3f}",
            f"{each.zeros:,}",
            f"{each.bytes:,}",
            f"{each.bytes / each.dense_bytes:.0%}",
            f"{each.cycles:,}",
            f"{each.dense_cycles:,}",
            f"{each.speedup:.2f}",
        )
    console.print(table)
    if result.bit_exact is not None:
        console.print(f"\nbit-exact with golden: {'yes' if result.bit_exact else 'NO'}")
    console.print(f"\nweights: {result.path}\ntable: {result.table}")
