"""``thresher eval``: score of a model on a labelled file."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ..spec import InputError, WeightFormat
from . import options, progress
from .frame import app, command, note, print_json
from .report import policy_of
from .settings import configuration, coprocessor_configuration, ranges, whole_encoder
from .terminal import make_console, make_table

if TYPE_CHECKING:
    from ..runtime.evaluate import EvaluationReport

__all__ = ["evaluate"]

NOTES = {
    "fp32": "all in float32",
    "int8": "only the attention in INT8, pruning off",
    "pruned": "the same with this policy and these thresholds",
    "integer": "the whole encoder in integers, attention not pruned",
    "integer_pruned": "the same with this policy and these thresholds",
    "random_mask": "as many blocks of each row, chosen at random",
}


class EvaluatedUnit(StrEnum):
    """What is in integers."""

    ATTENTION = "attention"
    COPROCESSOR = "coprocessor"


@command(app, "eval")
def evaluate(
    task: options.Task,
    data: options.Data,
    model: options.Model = "default",
    unit: Annotated[
        EvaluatedUnit, typer.Option("--unit", help="What is in integers: the attention, or the whole encoder.")
    ] = EvaluatedUnit.ATTENTION,
    preset: options.Preset = options.EDGE,
    policy: options.Policy = options.THRESHER,
    config_file: options.Config = None,
    rho: options.Rho = options.DEFAULT_RHO,
    tau: options.Tau = 0.0,
    random_mask: Annotated[
        bool, typer.Option("--random-mask", help="Also run the control: as many blocks, chosen at random.")
    ] = False,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    truncate: options.Truncate = False,
    metric: options.Metric = None,
    text_column: options.TextColumn = None,
    second_text_column: options.SecondTextColumn = None,
    label_column: options.LabelColumn = None,
    calibration: options.Calibration = None,
    method: options.RangeMethod = None,
    percentile: options.Percentile = None,
    per_tensor: options.PerTensor = False,
    weights: options.PackedFile = None,
    weight_format: options.EncoderFormat = WeightFormat.DENSE,
    weight_sparsity: options.WeightSparsity = None,
    weight_method: options.WeightMethod = None,
    weight_bits: options.WeightBits = 8,
    worker_count: options.Jobs = 2,
    as_json: options.Json = False,
) -> None:
    """Evaluate a model on a labelled file: its attention, or its whole encoder, in integers on the golden model."""
    from ..model import load_model
    from ..model.tasks import chosen_task
    from ..runtime.evaluate import evaluate

    chosen = chosen_task(
        task,
        metric=metric,
        text_column=text_column,
        second_text_column=second_text_column,
        label_column=label_column,
    )
    whole = None
    attention = (method, percentile) if unit is EvaluatedUnit.ATTENTION else (None, None)
    attention_method, attention_percentile = ranges(*attention, default="percentile")
    if unit is EvaluatedUnit.COPROCESSOR:
        whole = whole_encoder(
            coprocessor_configuration(preset, policy, config_file),
            weights=weights,
            weight_format=weight_format,
            weight_sparsity=weight_sparsity,
            weight_method=weight_method,
            weight_bits=weight_bits,
            method=method,
            percentile=percentile,
            per_tensor=per_tensor,
        )
    elif (
        per_tensor
        or weight_format is not WeightFormat.DENSE
        or weight_bits != 8
        or (weights, weight_sparsity, weight_method) != (None, None, None)
    ):
        raise InputError(
            "--weights, --format, --weight-sparsity, --weight-method, --weight-bits and --per-tensor need "
            "--unit coprocessor"
        )
    with progress.steps() as steps:
        steps.tell("loading")
        config = configuration(preset, policy, config_file) if whole is None else whole.config.attention
        loaded = load_model(model)
        steps.tell("evaluating")
        result = evaluate(
            loaded,
            chosen,
            data,
            config=config,
            rho=rho,
            tau=tau,
            random_mask=random_mask,
            seed=seed,
            limit=limit,
            truncate=truncate,
            calibration=calibration,
            whole=whole,
            method=attention_method,
            percentile=attention_percentile,
            jobs=worker_count,
            progress=steps.count,
        )
    note(result.note)
    if as_json:
        print_json(result.to_dict())
    else:
        _show(result)


def _show(result: "EvaluationReport") -> None:
    """Print score and sparsity of each setting."""
    console = make_console()
    console.print(f"{result.model}, {result.task}: {result.examples} examples of {result.data}")
    console.print(f"rho {result.rho}, tau {result.tau}, {policy_of(result)}")
    source = f"{result.calibration} ({result.calibration_sentences}), {result.calibration_method}"
    console.print(f"calibrated with {source}")
    if result.weights is not None:
        console.print(f"weights: {result.weights}")
    if result.weight_bits not in (None, 8):
        console.print(f"bits of a weight: {result.weight_bits}")
    if result.truncated:
        console.print(f"truncated texts: {result.truncated}")
    if result.activation is not None:
        console.print(f"scores: {result.activation} of the model's output")
    console.print()
    correlates = result.metric == "spearman"
    names = ["setting", result.metric, "against FP32", *(["pearson"] if correlates else [])]
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
