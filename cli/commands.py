"""Commands about attention and whole models: they parse, check, and hand over to jobs.py; report.py prints."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..spec import ConfigError
from ..spec.link import DEFAULT_BAUD
from . import progress, report
from .frame import (
    EDGE,
    THRESHER,
    BaudOption,
    ConfigOption,
    JsonOption,
    ModelOption,
    PolicyOption,
    PresetOption,
    SeedOption,
    app,
    bench_app,
    command,
    print_json,
    require_bit_exact,
)
from .settings import configuration

# What a command needs beyond this is imported where it runs, so that `thresher --help` answers at once.

__all__ = ["bench_attention", "demo", "evaluate", "run"]


class BackendName(StrEnum):
    """What runs the heads."""

    GOLDEN = "golden"
    RTL = "rtl"


class TaskName(StrEnum):
    """What a model is evaluated on."""

    SST2 = "sst2"
    STSB = "stsb"


class MethodName(StrEnum):
    """How calibration finds a tensor's range."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"


RhoOption = Annotated[float, typer.Option("--rho", help="Block threshold: -1 is pruning off, near 1 keeps the least.")]
TauOption = Annotated[float, typer.Option("--tau", help="Head threshold: 0 prunes no head.")]

DEFAULT_RHO = 0.5

DEMO_SENTENCES = (
    "a warm and funny film that earns its happy ending .",
    "cold , slow and utterly pointless",
    "the film tells a gripping story with wit and feeling , and it never loses its way .",
    "a long , dull and lifeless two hours that never finds a single idea of its own .",
    "what begins as a quiet family drama slowly turns into something far richer : a funny , wise and deeply moving "
    "portrait of three generations who learn to forgive each other , photographed with patience and acted with such "
    "warmth that even its smallest moments stay with you long after the lights come up .",
    "despite a large budget and a cast of familiar faces , the sequel is a tired , noisy mess that repeats every joke "
    "of the first film , forgets its own story halfway through and ends , after two and a half endless hours , with a "
    "battle so badly staged that it is hard to tell who is winning or why anyone should care .",
)
PICTURED = 2
"""The demo's sentence that is drawn: long enough to be interesting, short enough to be read."""


@command(app, "demo")
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the picture.")] = Path("out"),
    preset: PresetOption = EDGE,
    policy: PolicyOption = THRESHER,
    rho: RhoOption = DEFAULT_RHO,
    as_json: JsonOption = False,
) -> None:
    """Classify several sentences with the packaged model, its attention on the generated hardware."""
    from . import jobs

    clock = report.timed()
    with progress.steps() as steps:
        config = configuration(preset, policy)
        result, picture = jobs.demo(
            output, config=config, sentences=DEMO_SENTENCES, pictured=PICTURED, rho=rho, steps=steps
        )
    if as_json:
        print_json(result.to_dict() | {"picture": str(picture), "seconds": clock()})
    else:
        report.answers(result, seconds=clock(), picture=picture)
    require_bit_exact(result.bit_exact)


@command(app, "run")
def run(
    text: Annotated[list[str], typer.Option("--text", help="What to classify; may be given several times.")],
    model: ModelOption = "default",
    backend: Annotated[BackendName, typer.Option("--backend", help="Golden model, or simulated hardware.")] = (
        BackendName.GOLDEN
    ),
    preset: PresetOption = EDGE,
    policy: PolicyOption = THRESHER,
    config_file: ConfigOption = None,
    rho: RhoOption = DEFAULT_RHO,
    tau: TauOption = 0.0,
    trace: Annotated[
        Path | None, typer.Option("--trace", help="Waveforms of the hardware, FILE.vcd or FILE.fst (--backend rtl).")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Serial port of a board that holds the hardware, in place of both.")
    ] = None,
    baud: BaudOption = DEFAULT_BAUD,
    as_json: JsonOption = False,
) -> None:
    """Classify a text with a trained model, its attention on golden, on simulated hardware, or on a board."""
    from . import jobs

    if device is not None and backend is not BackendName.GOLDEN:
        raise ConfigError("backend", backend.value, "leave it out beside --device")
    clock = report.timed()
    with progress.steps() as steps:
        result = jobs.run(
            model,
            text,
            config=configuration(preset, policy, config_file),
            backend=backend.value if device is None else "device",
            rho=rho,
            tau=tau,
            trace=trace,
            port=device,
            baud=baud,
            steps=steps,
        )
    if as_json:
        print_json(result.to_dict() | {"trace": None if trace is None else str(trace), "seconds": clock()})
    else:
        report.answers(result, seconds=clock())
        if trace is not None:
            print(f"waveforms: {trace} (open with `gtkwave {trace}` or `surfer {trace}`)")
    require_bit_exact(result.bit_exact)


@command(app, "eval")
def evaluate(
    task: Annotated[TaskName, typer.Option("--task", help="sst2: accuracy; stsb: Spearman.")],
    data: Annotated[Path, typer.Option("--data", help="Tab-separated file with a header.")],
    model: ModelOption = "default",
    preset: PresetOption = EDGE,
    policy: PolicyOption = THRESHER,
    rho: RhoOption = DEFAULT_RHO,
    tau: TauOption = 0.0,
    random_mask: Annotated[
        bool, typer.Option("--random-mask", help="Also run the control: as many blocks, chosen at random.")
    ] = False,
    seed: SeedOption = 0,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first examples.")] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Sentences to calibrate with, instead of the packaged ones.")
    ] = None,
    method: Annotated[MethodName, typer.Option("--method", help="How calibration finds ranges.")] = (
        MethodName.PERCENTILE
    ),
    percentile: Annotated[float, typer.Option("--percentile", help="Of the magnitudes, for that method.")] = 99.99,
    worker_count: Annotated[int, typer.Option("--jobs", min=1, help="Processes.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a model on a labelled file, its attention on golden, beside FP32 and unpruned INT8."""
    from ..model import load_model
    from ..runtime import evaluate

    with progress.steps() as steps:
        steps.tell("loading")
        config = configuration(preset, policy)
        loaded = load_model(model)
        steps.tell("evaluating")
        result = evaluate(
            loaded,
            task,
            data,
            config=config,
            rho=rho,
            tau=tau,
            random_mask=random_mask,
            seed=seed,
            limit=limit,
            calibration=calibration,
            method=method.value,
            percentile=percentile,
            jobs=worker_count,
            progress=steps.count,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        report.evaluation(result)


@command(bench_app, "attention")
def bench_attention(
    length: Annotated[int, typer.Option("--length", help="Queries and keys of a head.")] = 128,
    head_dim: Annotated[int, typer.Option("--head-dim", help="d.")] = 64,
    sparsity: Annotated[float, typer.Option("--sparsity", help="Share of blocks to prune, 0 to below 1.")] = 0.75,
    heads: Annotated[int, typer.Option("--heads", help="Heads of each run, at least 5.")] = 9,
    preset: PresetOption = EDGE,
    policy: PolicyOption = THRESHER,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Cycles per head in steady state, pruned and dense, of the simulated hardware."""
    from . import jobs

    with progress.steps() as steps:
        result = jobs.bench_attention(
            configuration(preset, policy),
            length=length,
            head_dim=head_dim,
            sparsity=sparsity,
            heads=heads,
            seed=seed,
            steps=steps,
        )
    figures = {"preset": preset.value, "policy": policy.value, "seed": seed, **result.to_dict()}
    if as_json:
        print_json(figures)
    else:
        report.bench(figures)
    require_bit_exact(figures["bit_exact"])
