"""``thresher study``: accuracy over sparsity under many pruning rules."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..spec import InputError
from ..spec.files import check_writable, write_whole
from . import options, progress
from .frame import app, command, note, print_json
from .report import policy_of
from .settings import configuration
from .terminal import make_console, make_table

if TYPE_CHECKING:
    from ..runtime.study.result import StudyReport

__all__ = ["study"]

ADVICE = {
    "calibration": "give texts like the data with --calibration FILE",
    "rule": "the rule comes no nearer, so compare it at the measured sparsity",
}
"""What to do about missed targets, by cause."""


@command(app, "study")
def study(
    task: options.Task,
    data: options.Data,
    output: Annotated[Path, options.output("Folder for the log, the table and the pictures. Goes on with a log.")],
    model: options.Model = "default",
    preset: options.Preset = options.EDGE,
    policy: options.Policy = options.THRESHER,
    config_file: options.Config = None,
    rules: Annotated[
        str | None,
        typer.Option(
            "--rules",
            help="Pruning rules or pairs such as threshold+tau, separated by commas, instead of all; docs/models.md.",
        ),
    ] = None,
    scores: Annotated[
        str,
        typer.Option(
            "--scores",
            help="predicted: 4-bit predictions choose; approximate: and approximate scores are computed; exact: exact "
            "scores choose.",
        ),
    ] = "predicted,approximate",
    sparsities: Annotated[
        str | None, typer.Option("--sparsities", help="Per cent of the blocks that are not computed, such as 50,75.")
    ] = None,
    head_sparsities: Annotated[
        str | None, typer.Option("--head-sparsities", help="Per cent of the heads that are pruned, such as 10,20.")
    ] = None,
    pair_sparsities: Annotated[
        str | None,
        typer.Option(
            "--pair-sparsities",
            help="For pairs of rules: per cent of the blocks in the heads that stay, /, per cent of the heads, such as "
            "50,75/10,20. Each runs with each.",
        ),
    ] = None,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    truncate: options.Truncate = False,
    metric: options.Metric = None,
    text_column: options.TextColumn = None,
    second_text_column: options.SecondTextColumn = None,
    label_column: options.LabelColumn = None,
    calibration: options.Calibration = None,
    worker_count: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Number of parallel processes. Default: one per core.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Address of a Dask scheduler whose workers run the jobs.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure accuracy over sparsity under many pruning rules, with a table and pictures."""
    from ..model import load_model
    from ..model.tasks import chosen_task
    from ..runtime.study import study as run_study
    from ..runtime.study.plan import ALL_RULES, HEAD_TARGETS, PAIR_TARGETS, TARGETS, Scores
    from ..runtime.study.result import table_of

    chosen = chosen_task(
        task,
        metric=metric,
        text_column=text_column,
        second_text_column=second_text_column,
        label_column=label_column,
    )
    wanted = [_one_of("--scores", each, list(Scores)) for each in _listed(scores)]
    targets = TARGETS if sparsities is None else _shares("--sparsities", sparsities)
    head_targets = HEAD_TARGETS if head_sparsities is None else _shares("--head-sparsities", head_sparsities)
    pair_targets = PAIR_TARGETS if pair_sparsities is None else _pair_shares("--pair-sparsities", pair_sparsities)
    files = {name: output / f"study.{name}" for name in ("csv", "json", "png", "svg")}
    check_writable(*files.values())
    config = configuration(preset, policy, config_file)
    with progress.steps() as steps:
        steps.tell("loading")
        loaded = load_model(model)
        result = run_study(
            loaded,
            chosen,
            data,
            config=config,
            output=output,
            rules=ALL_RULES if rules is None else _listed(rules),
            scores=[Scores(each) for each in wanted],
            targets=targets,
            head_targets=head_targets,
            pair_targets=pair_targets,
            limit=limit,
            truncate=truncate,
            calibration=calibration,
            seed=seed,
            jobs=worker_count or _cores(),
            scheduler=scheduler,
            steps=steps,
        )
        steps.tell("drawing")
        _write(result, files, table_of(result.rows))
    note(result.note)
    for each in _missed_targets(result):
        note(each)
    if as_json:
        print_json(result.to_dict())
    else:
        _show(result, files)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _one_of(option: str, value: str, allowed: list[str]) -> str:
    if value not in allowed:
        raise InputError(f"{option} must be names among {', '.join(allowed)}, separated by commas, not {value!r}")
    return value


def _shares(option: str, text: str) -> list[float]:
    """Shares of a list of percentages."""
    try:
        shares = [float(part) / 100 for part in _listed(text)]
    except ValueError:
        shares = []
    if not shares or not all(0 < share < 1 for share in shares):
        raise InputError(f"{option} must be numbers between 0 and 100, separated by commas, not {text!r}")
    return shares


def _pair_shares(option: str, text: str) -> tuple[list[float], list[float]]:
    """Shares of two lists of percentages, of blocks and of heads."""
    blocks, slash, heads = text.partition("/")
    if not slash:
        raise InputError(f"{option} must be two lists with / between them, such as 50,75/10,20, not {text!r}")
    return _shares(option, blocks), _shares(option, heads)


def _missed_targets(result: "StudyReport") -> list[str]:
    """A remark on each rule whose measured sparsity is far from the target, and what to do."""
    remarks = []
    kinds = dict.fromkeys((each.rule, each.of, each.cause) for each in result.off_target)
    for rule, of, cause in kinds:
        own = [each for each in result.off_target if (each.rule, each.of, each.cause) == (rule, of, cause)]
        cases = sum(row.rule == rule for row in result.rows)
        worst = max(own, key=lambda each: abs(each.sparsity - each.target))
        remarks.append(
            f"{rule}: {len(own)} of {cases} cases miss their target by more than 5 points, at worst with "
            f"{worst.sparsity:.1%} of the {of} pruned instead of {worst.target:.0%}: {ADVICE[cause]}"
        )
    return remarks


def _write(result: "StudyReport", files: dict[str, Path], table: str) -> None:
    """Write the table and the pictures."""
    from .study_picture import draw_study  # matplotlib takes its time

    report = json.dumps(result.to_dict(), indent=2)
    write_whole({files["csv"]: table.encode(), files["json"]: f"{report}\n".encode()})
    title = f"{Path(result.model).name} on {result.task}, {result.examples} examples"
    for kind in ("png", "svg"):
        draw_study(result.rows, files[kind], metric=result.metric, title=title)


def _error(error: float | None) -> str:
    return "± ?" if error is None else f"± {error:.4f}"


def _show(result: "StudyReport", files: dict[str, Path]) -> None:
    """Print a line per rule and sparsity."""
    console = make_console()
    console.print(f"{result.model}, {result.task}: {result.examples} examples of {result.data}")
    console.print(f"{policy_of(result)}; calibrated with {result.calibration}")
    if result.truncated:
        console.print(f"truncated texts: {result.truncated}")
    if result.resumed:
        console.print(f"results of earlier runs: {result.resumed}")
    console.print("± is the bootstrap standard error; score and FP32 are compared on the same resamples\n")
    names = ("rule", "scores", "target", result.metric, "", "against FP32", "", "blocks", "elements", "heads")
    table = make_table(*names, right=2)
    for row in result.rows:
        table.add_row(
            row.rule,
            row.scores if row.rule != "fp32" else "",
            " / ".join(f"{each:.0%}" for each in (row.target, row.head_target) if each is not None),
            f"{row.score:.4f}",
            _error(row.error),
            f"{row.change:+.4f}",
            _error(row.change_error),
            f"{row.block_sparsity:.1%}",
            f"{row.element_sparsity:.1%}",
            f"{row.head_sparsity:.1%}",
        )
    console.print(table)
    console.print(f"\nwritten: {', '.join(str(path) for path in files.values())}", soft_wrap=True)
    console.print(f"{result.seconds:.1f} s; {result.cpu_seconds:.0f} s of one core for all jobs")
