"""``thresher train``: a model with pruned weights, trained on a labelled file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..spec import InputError, WeightFormat
from . import options, progress
from .frame import app, command, note, print_json
from .settings import coprocessor_configuration
from .terminal import make_console, make_table, say

if TYPE_CHECKING:
    from ..runtime.train import TrainReport

__all__ = ["train"]

LIBRARIES = ("jax", "jaxlib", "optax")


@command(app, "train")
def train(
    data: options.Data,
    output: Annotated[Path, options.output("Folder of the trained model.")],
    task: options.ClassTask = options.ClassTaskName.SST2,
    model: options.Model = "default",
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Model to learn from, beside the labels; as --model.")
    ] = None,
    dev: Annotated[Path | None, typer.Option("--dev", help="Labelled file to evaluate on. It changes nothing.")] = None,
    metric: options.Metric = None,
    text_column: options.TextColumn = None,
    second_text_column: options.SecondTextColumn = None,
    label_column: options.LabelColumn = None,
    sparsity: Annotated[
        options.AnySparsity,
        typer.Option(
            "--sparsity",
            parser=options.sparsity,
            metavar="SHARE|keep",
            help="Share of weights to prune, 0 to below 1, or keep: the zeros of the model. Without it, none.",
        ),
    ] = None,
    weight_format: Annotated[
        WeightFormat, typer.Option("--format", help="Pattern of the pruned weights.")
    ] = WeightFormat.CSR_DELTA,
    global_ranking: Annotated[
        bool, typer.Option("--global", help="Rank the weights of all matrices together (csr, csr-delta).")
    ] = False,
    epochs: Annotated[float, typer.Option("--epochs", help="Passes over the data.")] = 4.0,
    step_count: Annotated[
        int | None, typer.Option("--steps", min=1, help="Number of batches, in place of --epochs.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", help="Texts of a batch.")] = 64,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="The largest of the run.")] = 1e-3,
    warm_up: Annotated[
        float, typer.Option("--warm-up", help="Share of the steps in which the learning rate rises.")
    ] = 0.05,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="Of AdamW, on matrices.")] = 0.01,
    dropout: Annotated[float, typer.Option("--dropout", help="Share of hidden values that are set to zero.")] = 0.1,
    stabilise: Annotated[
        float, typer.Option("--stabilise", help="Share of the steps before weights are pruned.")
    ] = 0.1,
    prune: Annotated[float, typer.Option("--prune", help="Share of the steps in which weights are pruned.")] = 0.5,
    quantise: Annotated[
        float,
        typer.Option("--quantise", help="Share of the steps, at the end, with the rounding of the integer encoder."),
    ] = 0.0,
    rho: Annotated[
        float, typer.Option("--attention-pruning", help="Pruning parameter of the attention's blocks; -1 keeps all.")
    ] = -1.0,
    temperature: Annotated[float, typer.Option("--temperature", help="Softens the teacher's classes.")] = 2.0,
    distil_weight: Annotated[
        float, typer.Option("--distil-weight", help="Weight of the teacher's classes; labels have the rest of 1.")
    ] = 0.9,
    hidden_weight: Annotated[
        float, typer.Option("--hidden-weight", help="Weight of the teacher's hidden states, if the widths agree.")
    ] = 0.0,
    preset: Annotated[
        options.PresetName, typer.Option("--preset", help="Co-processor whose engine has the pattern of the weights.")
    ] = options.EDGE,
    policy: options.Policy = options.THRESHER,
    config_file: options.Config = None,
    truncate: options.Truncate = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint that an interrupted run left in the folder.")
    ] = False,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Train a classifier while its weights are pruned, and write a model folder."""
    try:
        from ..model.tasks import chosen_task
        from ..model.training.settings import TrainingSettings
        from ..runtime.train import train_model
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in LIBRARIES:
            raise
        raise InputError(f"the package {error.name} is not installed: run `pip install 'thresher[train]'`") from None
    settings = TrainingSettings(
        steps=step_count or 1,
        batch=batch,
        learning_rate=learning_rate,
        warm_up=warm_up,
        weight_decay=weight_decay,
        dropout=dropout,
        seed=seed,
        temperature=temperature,
        distil_weight=distil_weight,
        hidden_weight=hidden_weight,
        weight_format=weight_format,
        sparsity=sparsity,
        global_ranking=global_ranking,
        stabilise=stabilise,
        prune=prune,
        quantise=quantise,
        rho=rho,
    )
    chosen = chosen_task(
        task,
        metric=metric,
        text_column=text_column,
        second_text_column=second_text_column,
        label_column=label_column,
    )
    with progress.steps() as steps:
        result = train_model(
            model,
            output,
            data=data,
            task=chosen,
            teacher=teacher,
            dev=dev,
            settings=settings,
            epochs=epochs if step_count is None else None,
            config=coprocessor_configuration(preset, policy, config_file),
            truncate=truncate,
            resume=resume,
            steps=steps,
        )
    for each in result.notes:
        note(each)
    if as_json:
        print_json(result.to_dict())
    else:
        _show(result, preset.value if config_file is None else f"{preset.value} with {config_file}")


def _show(result: "TrainReport", hardware: str) -> None:
    """Print how the training went."""
    console = make_console()
    console.print(f"{result.model}, {result.task}: {result.examples} examples of {result.data}")
    if result.teacher is not None:
        console.print(f"teacher: {result.teacher}")
    console.print()
    table = make_table(
        "step", "loss", "accuracy", *([f"dev {result.metric}"] if result.dev else []), "sparsity", right=0
    )
    for row in result.history:
        score = "" if row["dev_score"] is None else f"{row['dev_score']:.4f}"
        cells = [f"{row['step']:,}", f"{row['loss']:.4f}", f"{row['accuracy']:.4f}"]
        table.add_row(*cells, *([score] if result.dev else []), f"{row['sparsity']:.3f}")
    console.print(table)
    console.print(f"\nmodel: {result.folder}\n{result.seconds:.1f} s")
    if result.packing is not None:
        engine = result.engine
        say(f"pattern: of the co-processor {hardware}, {engine.banks} banks, {engine.kept}:{engine.group}")
        say(f"pack the weights with: {result.packing}")
