"""``thresher compile``: a model as a program of a co-processor."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..spec import WeightFormat
from . import options, progress
from .frame import app, command, print_json
from .settings import coprocessor_configuration, whole_encoder
from .terminal import make_console, make_table

if TYPE_CHECKING:
    from ..runtime.compile import CompileReport

__all__ = ["compile_encoder"]


@command(app, "compile")
def compile_encoder(
    output: Annotated[Path, options.output("Folder for program, memory image, listing and description.")],
    model: options.Model = "default",
    lengths: options.Lengths = "32",
    preset: options.Preset = options.EDGE,
    config_file: options.Config = None,
    policy: options.Policy = options.THRESHER,
    cores: options.Cores = None,
    rho: options.Rho = -1.0,
    tau: options.Tau = 0.0,
    group: Annotated[
        int | None,
        typer.Option("--group", help="Heads whose K and V are one product. Default: a third of the heads."),
    ] = None,
    weights: options.PackedFile = None,
    weight_format: options.EncoderFormat = WeightFormat.DENSE,
    weight_sparsity: options.WeightSparsity = None,
    weight_method: options.WeightMethod = None,
    weight_bits: options.WeightBits = 8,
    host_embeddings: Annotated[
        bool,
        typer.Option("--host-embeddings", help="The host sends the embeddings of the tokens; the memory holds none."),
    ] = False,
    calibration: options.Calibration = None,
    method: options.RangeMethod = None,
    percentile: options.Percentile = None,
    per_tensor: options.PerTensor = False,
    as_json: options.Json = False,
) -> None:
    """Compile a model's whole encoder, in integers, for the co-processor."""
    from ..model import load_model
    from ..runtime.compile import compile_model

    whole = whole_encoder(
        coprocessor_configuration(preset, policy, config_file, cores=cores),
        weights=weights,
        weight_format=weight_format,
        weight_sparsity=weight_sparsity,
        weight_method=weight_method,
        weight_bits=weight_bits,
        method=method,
        percentile=percentile,
        per_tensor=per_tensor,
        host_embeddings=host_embeddings,
    )
    counts = options.lengths_of(lengths)
    with progress.steps() as steps:
        steps.tell("loading")
        result = compile_model(
            load_model(model),
            output,
            whole=whole,
            lengths=counts,
            group=group,
            rho=rho,
            tau=tau,
            calibration=calibration,
            steps=steps,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        _show(result)


def _show(result: "CompileReport") -> None:
    console = make_console()
    texts = "text" if len(result.lengths) == 1 else "texts"
    console.print(f"{result.model}: {len(result.lengths)} {texts}, {sum(result.lengths)} tokens")
    if result.weights is not None:
        console.print(f"weights: {result.weights}")
    if result.weight_bits != 8:
        console.print(f"bits of a weight: {result.weight_bits}")
    console.print(f"{result.instructions} instructions, {result.weight_macs:,} multiplications by weights")
    console.print("the program ends, and its result does not depend on the order of execution: proved\n")
    table = make_table("region", "bytes", right=1)
    for name, size in result.regions.items():
        table.add_row(name, f"{size:,}")
    console.print(table)
    console.print(f"\nwritten: {', '.join(map(str, result.files))}")
