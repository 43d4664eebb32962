"""``thresher bench coprocessor``: cycles of a whole encoder on the simulated co-processor."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..spec import ConfigError, WeightFormat
from ..spec.files import check_writable
from . import options, progress, report, whole_report
from .frame import bench_app, command, print_json, require_bit_exact
from .settings import coprocessor_configuration, whole_encoder
from .terminal import make_console, say

if TYPE_CHECKING:
    from ..runtime.coprocessor_bench import CoprocessorBench

__all__ = ["bench_coprocessor"]


@command(bench_app, "coprocessor")
def bench_coprocessor(
    model: options.Model = "default",
    lengths: options.Lengths = "32",
    preset: options.Preset = options.EDGE,
    config_file: options.Config = None,
    policy: options.Policy = options.THRESHER,
    cores: options.Cores = None,
    weights: options.PackedFile = None,
    weight_format: options.EncoderFormat = WeightFormat.DENSE,
    weight_sparsity: options.WeightSparsity = None,
    weight_method: options.WeightMethod = None,
    weight_bits: options.WeightBits = 8,
    rho: options.Rho = -1.0,
    tau: options.Tau = 0.0,
    calibration: options.Calibration = None,
    rate: Annotated[
        int, typer.Option("--memory-bytes-per-cycle", min=1, max=16, help="Bytes that the memory reads and writes.")
    ] = 8,
    latency: Annotated[
        int, typer.Option("--memory-latency", min=1, max=10_000, help="Cycles until the memory answers.")
    ] = 16,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="FILE.png: draw when each unit worked on what.")
    ] = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Measure cycles of a whole encoder, pruned and with all its weights, on the simulated co-processor."""
    from ..model import load_model
    from ..runtime import coprocessor_bench

    counts = options.lengths_of(lengths)
    config = coprocessor_configuration(preset, policy, config_file, cores=cores)
    whole = whole_encoder(
        config,
        weights=weights,
        weight_format=weight_format,
        weight_sparsity=weight_sparsity,
        weight_method=weight_method,
        weight_bits=weight_bits,
    )
    if picture is not None:
        if picture.suffix.lower() != ".png":
            raise ConfigError("picture", str(picture), "must end in .png")
        check_writable(picture)
    clock = report.timed()
    with progress.steps() as steps:
        steps.tell("loading")
        result = coprocessor_bench.bench_coprocessor(
            load_model(model),
            whole=whole,
            lengths=counts,
            rate=rate,
            latency=latency,
            rho=rho,
            tau=tau,
            calibration=calibration,
            seed=seed,
            steps=steps,
        )
        if picture is not None:
            from .timeline import draw_timeline

            steps.tell("drawing")
            draw_timeline(result.intervals, picture, title=f"{result.model}, {_weights(result)}")
    if as_json:
        print_json(result.to_dict() | {"picture": None if picture is None else str(picture), "seconds": clock()})
    else:
        _show(result, seconds=clock(), picture=picture)
    require_bit_exact(result.bit_exact)


def _weights(result: "CoprocessorBench") -> str:
    return f"{result.weights or 'own weights'} ({result.weight_zeros:.1%} zeros)"


def _show(result: "CoprocessorBench", *, seconds: float, picture: Path | None) -> None:
    console = make_console()
    console.print(f"{result.model}, {_weights(result)}, {result.weight_bits} bits each")
    console.print(f"memory: {result.memory_bytes_per_cycle} bytes per cycle, {result.memory_latency} cycles of latency")
    whole_report.show_program(console, result.program)
    console.print(f"estimate: {result.estimate:,} cycles ({result.error:+.1%})")
    console.print(f"all weights: {result.dense_cycles:,} cycles; speedup {result.speedup:.2f}")
    console.print(f"bit-exact with golden: {'yes' if result.bit_exact else 'NO'}")
    if picture is not None:
        say(f"picture: {picture}")
    console.print(f"{seconds:.1f} s")
