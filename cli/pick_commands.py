"""The command that chooses how much to prune."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from . import progress
from .commands import TaskName
from .frame import (
    EDGE,
    THRESHER,
    JsonOption,
    ModelOption,
    PolicyOption,
    PresetOption,
    app,
    command,
    print_json,
    require_bit_exact,
)
from .settings import configuration

# What a command needs beyond this is imported where it runs, so that `thresher --help` answers at once.

__all__ = ["pick"]


@command(app, "pick")
def pick(
    task: Annotated[TaskName, typer.Option("--task", help="sst2: accuracy; stsb: Spearman.")],
    data: Annotated[Path, typer.Option("--data", help="Tab-separated file with a header.")],
    target_speedup: Annotated[
        float, typer.Option("--target-speedup", help="Wanted, over the attention core's own time without pruning.")
    ],
    model: ModelOption = "default",
    preset: PresetOption = EDGE,
    policy: PolicyOption = THRESHER,
    rhos: Annotated[
        list[float] | None,
        typer.Option("--rho", help="Block threshold to try, in place of the default ones; may be given several times."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first examples.")] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Sentences to calibrate with, instead of the packaged ones.")
    ] = None,
    worker_count: Annotated[int, typer.Option("--jobs", min=1, help="Processes.")] = 2,
    rtl: Annotated[
        bool, typer.Option("--rtl", help="Check the choice's cycles on simulated hardware, with a few sentences.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Accuracy and cycles over sparsities; names the smallest sparsity that is fast enough, and what it costs."""
    from ..model import calibration_sentences, load_model
    from ..runtime.pick import DEFAULT_RHOS
    from ..runtime.pick import pick as choose
    from . import pick_jobs, pick_report

    config = configuration(preset, policy)
    check = None
    with progress.steps() as steps:
        steps.tell("loading")
        loaded = load_model(model)
        steps.tell("calibrating")
        scales = loaded.calibrate(calibration_sentences(calibration))
        steps.tell("evaluating")
        result = choose(
            loaded,
            task,
            data,
            config=config,
            target_speedup=target_speedup,
            rhos=rhos or DEFAULT_RHOS,
            limit=limit,
            scales=scales,
            jobs=worker_count,
            progress=steps.count,
        )
        if rtl:
            rho = result.point.rho
            check = pick_jobs.check_cycles(
                loaded, task, data, config=config, rho=rho, scales=scales, limit=limit, steps=steps
            )
    if as_json:
        checked = None if check is None else asdict(check)
        print_json({"preset": preset.value, **result.to_dict(), "rtl": checked})
    else:
        pick_report.show(result, check)
    require_bit_exact(None if check is None else check.bit_exact)
