"""``thresher pick``: choose how much to prune."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..spec.attention_command import DENSE_RHO
from . import options, progress
from .frame import app, command, note, print_json, require_bit_exact
from .report import policy_of
from .settings import configuration
from .terminal import make_console, make_table

if TYPE_CHECKING:
    from ..runtime.cycle_check import CycleCheck
    from ..runtime.pick import SparsityPick

__all__ = ["pick"]


@command(app, "pick")
def pick(
    task: options.Task,
    data: options.Data,
    target_speedup: Annotated[
        float, typer.Option("--target-speedup", help="Speedup to reach, over the same core without pruning.")
    ],
    model: options.Model = "default",
    preset: options.Preset = options.EDGE,
    policy: options.Policy = options.THRESHER,
    config_file: options.Config = None,
    rhos: Annotated[
        list[float] | None,
        typer.Option("--rho", help="Pruning parameter to try instead of the default ones; may be given several times."),
    ] = None,
    limit: options.Limit = None,
    truncate: options.Truncate = False,
    metric: options.Metric = None,
    text_column: options.TextColumn = None,
    second_text_column: options.SecondTextColumn = None,
    label_column: options.LabelColumn = None,
    calibration: options.Calibration = None,
    worker_count: options.Jobs = 2,
    rtl: Annotated[
        bool, typer.Option("--rtl", help="Check the choice's cycles on simulated hardware, with a few sentences.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Choose the smallest sparsity that is fast enough, from accuracy and cycles over sparsities."""
    from ..model import load_model
    from ..model.tasks import chosen_task
    from ..runtime.cycle_check import check_cycles
    from ..runtime.evaluate import read_as_pairs, task_texts
    from ..runtime.inputs import calibration_inputs
    from ..runtime.pick import DEFAULT_RHOS
    from ..runtime.pick import pick as choose

    chosen = chosen_task(
        task,
        metric=metric,
        text_column=text_column,
        second_text_column=second_text_column,
        label_column=label_column,
    )
    config = configuration(preset, policy, config_file)
    check = None
    with progress.steps() as steps:
        steps.tell("loading")
        loaded = load_model(model)
        dataset, tokens = task_texts(loaded, chosen, data, config, limit, truncate=truncate)
        steps.tell("calibrating")
        pairs = read_as_pairs(loaded, dataset)
        shown = calibration_inputs(loaded, tokens, config, calibration, pairs=pairs, task=dataset.task)
        scales = loaded.calibrate(shown)
        steps.tell("evaluating")
        result = choose(
            loaded,
            chosen,
            data,
            config=config,
            target_speedup=target_speedup,
            rhos=rhos or DEFAULT_RHOS,
            limit=limit,
            truncate=truncate,
            scales=scales,
            jobs=worker_count,
            progress=steps.count,
        )
        if rtl:
            rho = result.point.rho
            check = check_cycles(
                loaded,
                chosen,
                data,
                config=config,
                rho=rho,
                scales=scales,
                limit=limit,
                truncate=truncate,
                steps=steps,
            )
    note(result.note)
    if as_json:
        print_json({"preset": preset.value, **result.to_dict(), "rtl": None if check is None else check.to_dict()})
    else:
        _show(result, check)
    require_bit_exact(None if check is None else check.bit_exact)


def _conclusion(result: "SparsityPick") -> str:
    """One line with the choice and its cost."""
    point = result.point
    costs = (
        f"{result.metric} {point.score:.4f}, {point.change:+.4f} against FP32 and {point.change_int8:+.4f} against INT8"
    )
    place = "pruning off" if point.rho == DENSE_RHO else f"rho {point.rho:g}"
    if result.reached:
        reached = f"smallest sparsity of these that is {result.target_speedup:g} times as fast"
        return f"{reached}: {point.block_sparsity:.1%} ({place}), speedup {point.speedup:.2f}: {costs}"
    best = f"the best is {point.speedup:.2f} at {point.block_sparsity:.1%} ({place}): {costs}"
    return f"none of these is {result.target_speedup:g} times as fast; {best}"


def _show(result: "SparsityPick", check: "CycleCheck | None") -> None:
    """Print a line per ρ, the choice, and its cycles on hardware if they were measured."""
    console = make_console()
    console.print(f"{result.model}, {result.task}: {result.examples} examples of {result.data}")
    console.print(f"{policy_of(result)}; calibrated with {result.calibration}")
    if result.truncated:
        console.print(f"truncated texts: {result.truncated}")
    console.print(f"FP32 {result.metric} {result.fp32:.4f}; cycles of the attention core by the cycle model\n")
    changes = ("against FP32", "against INT8")
    names = ("", "rho", result.metric, *changes, "block sparsity", "cycles each", "speedup")
    table = make_table(*names, right=1)
    for i, point in enumerate(result.points):
        table.add_row(
            "→" if i == result.chosen else "",
            "off" if point.rho == DENSE_RHO else f"{point.rho:g}",
            f"{point.score:.4f}",
            f"{point.change:+.4f}",
            f"{point.change_int8:+.4f}",
            f"{point.block_sparsity:.1%}",
            f"{point.cycles:,.0f}",
            f"{point.speedup:.2f}",
        )
    console.print(table)
    console.print()
    console.print(_conclusion(result), soft_wrap=True)
    if check is not None:
        _show_check(check)
    console.print(f"\n{result.seconds:.1f} s")


def _show_check(check: "CycleCheck") -> None:
    console = make_console()
    console.print(f"\n{check.sentences} sentences on simulated hardware, {check.heads} heads in one stream:\n")
    table = make_table("", "model", "hardware", "error", right=1)
    rows = [("pruning off", check.dense_model_cycles, check.dense_rtl_cycles)]
    if check.rho != DENSE_RHO:
        rows.insert(0, (f"rho {check.rho:g}", check.model_cycles, check.rtl_cycles))
    for name, model, hardware in rows:
        table.add_row(f"cycles, {name}", f"{model:,.0f}", f"{hardware:,}", f"{model / hardware - 1:+.1%}")
    model, hardware = check.model_speedup, check.rtl_speedup
    table.add_row("speedup", f"{model:.2f}", f"{hardware:.2f}", f"{model / hardware - 1:+.1%}")
    console.print(table)
    console.print(f"\nbit-exact with golden: {'yes' if check.bit_exact else 'NO'}")
