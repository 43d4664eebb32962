"""``thresher eval``: score of a model on a labelled file."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from . import options, progress
from .frame import app, command, print_json
from .report import policy_of
from .settings import configuration
from .terminal import make_console, make_table

if TYPE_CHECKING:
    from ..runtime.evaluate import EvaluationReport

__all__ = ["evaluate"]

NOTES = {
    "fp32": "attention in float32",
    "int8": "attention in INT8, pruning off",
    "pruned": "INT8 with this policy and these thresholds",
    "random_mask": "as many blocks of each row, chosen at random",
}


class MethodName(StrEnum):
    """How calibration finds a tensor's range."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"


@command(app, "eval")
def evaluate(
    task: options.Task,
    data: options.Data,
    model: options.Model = "default",
    preset: options.Preset = options.EDGE,
    policy: options.Policy = options.THRESHER,
    rho: options.Rho = options.DEFAULT_RHO,
    tau: options.Tau = 0.0,
    random_mask: Annotated[
        bool, typer.Option("--random-mask", help="Also run the control: as many blocks, chosen at random.")
    ] = False,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    truncate: options.Truncate = False,
    calibration: options.Calibration = None,
    method: Annotated[MethodName, typer.Option("--method", help="How calibration finds ranges.")] = (
        MethodName.PERCENTILE
    ),
    percentile: Annotated[float, typer.Option("--percentile", help="Of the magnitudes, for that method.")] = 99.99,
    worker_count: options.Jobs = 2,
    as_json: options.Json = False,
) -> None:
    """Evaluate a model on a labelled file, its attention on the golden model, beside FP32 and unpruned INT8."""
    from ..model import load_model
    from ..runtime.evaluate import evaluate

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
            truncate=truncate,
            calibration=calibration,
            method=method.value,
            percentile=percentile,
            jobs=worker_count,
            progress=steps.count,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        _show(result)


def _show(result: "EvaluationReport") -> None:
    """Print score and sparsity of each setting."""
    console = make_console()
    console.print(f"{result.model}, {result.task}: {result.examples} examples of {result.data}")
    console.print(f"rho {result.rho}, tau {result.tau}, {policy_of(result)}")
    source = f"{result.calibration_sentences} sentences of {result.calibration}, {result.calibration_method}"
    console.print(f"calibrated with {source}")
    if result.truncated:
        console.print(f"truncated texts: {result.truncated}")
    if result.activation is not None:
        console.print(f"scores: {result.activation} of the model's output")
    console.print()
    correlates = result.metric == "spearman"
    names = ["attention", result.metric, "beside FP32", *(["pearson"] if correlates else [])]
    table = make_table(*names, "block sparsity", "head sparsity", "clipped", "", right=1)
    table.columns[-1].justify = "left"
    for name, figures in result.results.items():
        table.add_row(
            name,
            f"{figures.score:.4f}",
            f"{figures.change:+.4f}",
            *([f"{figures.pearson:.4f}"] if correlates else []),
            f"{figures.block_sparsity:.1%}",
            f"{figures.head_sparsity:.1%}",
            f"{figures.saturated:.3%}",
            NOTES.get(name, ""),
        )
    console.print(table)
    console.print(f"\n{result.seconds:.1f} s")
