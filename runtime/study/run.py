"""A study from start to end: texts, parameters, measurement, rows."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...model.load import Model
from ...model.tasks import Task
from ...model.tokenizer import Tokens
from ...spec.attention_config import AttentionConfig
from ...spec.errors import ConfigError
from ..attention import check_setting, fitted
from ..evaluate import read_as_pairs, task_texts
from ..inputs import calibration_inputs, calibration_source
from ..steps import Steps
from ..workers import run_in_workers
from .cluster import run_on_cluster
from .log import StudyLog, open_log
from .plan import (
    ALL_RULES,
    HEAD_TARGETS,
    PAIR_TARGETS,
    TARGETS,
    Case,
    Found,
    Job,
    Scores,
    StudySpec,
    cases_of,
    parts_of,
)
from .result import StudyReport, off_targets, rows_of
from .work import StudyWork

__all__ = ["study"]

CALIBRATION_TEXTS = 24
"""Most texts on which the parameters of rules are found."""

CALIBRATION_SCORES = 1 << 19
"""About the most scores of a head in all these texts. A process keeps the scores of all heads."""

Run = Callable[[Sequence[Job], Callable[[int, dict[str, Any]], None]], None]
"""Runs jobs, and calls a function with the number of each job and its result as they become ready."""


def study(
    model: Model,
    task: str | Task,
    data: Path,
    *,
    config: AttentionConfig,
    output: Path,
    rules: Sequence[str] = ALL_RULES,
    scores: Sequence[Scores] = (Scores.PREDICTED, Scores.APPROXIMATE),
    targets: Sequence[float] = TARGETS,
    head_targets: Sequence[float] = HEAD_TARGETS,
    pair_targets: tuple[Sequence[float], Sequence[float]] = PAIR_TARGETS,
    limit: int | None = None,
    truncate: bool = False,
    calibration: Path | None = None,
    seed: int = 0,
    jobs: int = 2,
    scheduler: str | None = None,
    steps: Steps | None = None,
) -> StudyReport:
    """Measure the accuracy of a model over sparsity, under each rule.

    The parameter of each rule is found on calibration texts, for every target. Then all cases run on the data. Finished
    jobs are kept in a log in ``output``; another call with the same folder goes on from there.

    Parameters
    ----------
    config : AttentionConfig
        The hardware. Its policy decides what happens to pruned positions, for all rules.
    output : Path
        Folder of the log.
    rules : sequence of str
        Of :data:`~thresher.runtime.study.plan.ALL_RULES`, or other pairs of a rule of blocks and a rule of heads.
    scores : sequence of Scores
        Which scores choose and are computed; every rule runs with each.
    targets, head_targets : sequence of float
        Shares of blocks that are not computed, and of pruned heads.
    pair_targets : tuple of two sequences of float
        Of pairs: shares of blocks in the heads that stay, and of pruned heads. Each runs with each.
    limit, truncate, calibration
        See :func:`~thresher.runtime.evaluate.evaluate`.
    seed : int
        Of random masks and of the bootstrap.
    jobs : int
        Number of processes. With 1, everything runs in this process.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``, whose workers run the jobs instead.

    Raises
    ------
    ThresherError
        File, model, hardware, settings, folder or cluster are at fault; the message says what to do.
    """
    start = time.perf_counter()
    steps = steps or Steps()
    if jobs < 1:
        raise ConfigError("jobs", jobs, "must be at least 1")
    cases = cases_of(rules, scores, targets, head_targets, pair_targets)
    config = fitted(config, model.config)
    dataset, tokens = task_texts(model, task, data, config, limit, truncate=truncate)
    steps.tell("calibrating")
    pairs = read_as_pairs(model, dataset)
    shown = calibration_inputs(model, tokens, config, calibration, pairs=pairs, task=dataset.task)
    scales = model.calibrate(shown)
    check_setting(model.config, config, scales, rho=-1, tau=0)
    examples = len(dataset.targets)
    parts = parts_of([len(each) for each in tokens[:examples]])
    encoded = [
        each if isinstance(each, Tokens) else model.encode(each, max_length=config.max_length, truncate=True)
        for each in shown
    ]
    spec = StudySpec(
        model=str(model.folder),
        task=dataset.task,
        activation=model.activation,
        config=config,
        scales=scales,
        parts=tuple(_texts(tokens, examples, part) for part in parts),
        calibration=tuple(_alike(encoded, tokens)),
        seed=seed,
    )
    run = _runner(spec, jobs, scheduler)
    with open_log(output, spec.identity) as log:
        steps.tell("finding parameters")
        found = _find_parameters(cases, log, run, steps)
        steps.tell("measuring")
        results = _measure(cases, found, len(parts), log, run, steps)
        known = log.known
    steps.tell("resampling")
    rows = rows_of(dataset, cases, parts, results, found, seed=seed)
    return StudyReport(
        model=str(model.folder),
        task=dataset.task.name,
        metric=dataset.task.metric,
        data=str(data),
        examples=examples,
        truncated=sum(each.truncated for each in tokens),
        note=dataset.note,
        policy=config.policy,
        calibration=f"{calibration_source(model, calibration)} ({scales.sentences}), {scales.method}",
        seed=seed,
        jobs=jobs,
        resumed=known,
        cpu_seconds=sum(result["cpu_seconds"] for case in cases for result in results[case]),
        rows=tuple(rows),
        off_target=tuple(off_targets(rows)),
        seconds=time.perf_counter() - start,
    )


def _alike(texts: Sequence[Tokens], data: Sequence[Tokens]) -> list[Tokens]:
    """Texts of lengths like those of the data, because some rules keep another share of long texts."""
    left, lengths = list(texts), sorted(map(len, data))
    scores = sum(length**2 for length in lengths) // len(lengths)
    count = min(CALIBRATION_TEXTS, len(left), max(CALIBRATION_SCORES // scores, 1))
    found = []
    for i in range(count):
        wanted = lengths[(2 * i + 1) * len(lengths) // (2 * count)]
        found.append(left.pop(min(range(len(left)), key=lambda j: abs(len(left[j]) - wanted))))
    return found


def _texts(tokens: Sequence[Tokens], examples: int, part: Sequence[int]) -> tuple[Tokens, ...]:
    """Texts of a part; of pairs that are read one by one, the first ones, then the second ones."""
    return tuple(tokens[start + i] for start in range(0, len(tokens), examples) for i in part)


def _find_parameters(cases: Sequence[Case], log: StudyLog, run: Run, steps: Steps) -> dict[Case, Found]:
    """The parameter of each rule for each of its targets. Predicted and approximate scores share theirs."""
    singles = [single for case in cases for single in case.singles]
    wanted: dict[Case, list[float]] = {}
    for case in singles:
        group = wanted.setdefault(Case(rule=case.rule, scores=case.selection), [])
        if case.target is not None and case.target not in group and not all(key in log for key in _found_keys(case)):
            group.append(case.target)
    jobs = [Job(case=case, targets=tuple(targets)) for case, targets in wanted.items() if targets]

    def finished(number: int, result: dict[str, Any]) -> None:
        job = jobs[number]
        for target, found in zip(job.targets, result["found"], strict=True):
            keys = _found_keys(Case(rule=job.case.rule, scores=job.case.scores, target=target))
            for key, value in zip(keys, found, strict=True):
                if key not in log:  # logs of older versions have no sparsities
                    log.add(key, value)

    _counting(run, jobs, finished, steps)
    return {case: Found(*(float(log[key]) for key in _found_keys(case))) for case in singles}


def _found_keys(case: Case) -> list[str]:
    """Names of a parameter and its sparsity in the log."""
    name = Case(rule=case.rule, scores=case.selection, target=case.target).key
    return [f"{each} of {name}" for each in Found._fields]


def _measure(
    cases: Sequence[Case], found: dict[Case, Found], parts: int, log: StudyLog, run: Run, steps: Steps
) -> dict[Case, list[dict[str, Any]]]:
    """Results of each case, part by part."""
    parameters = {case: tuple(found[single].parameter for single in case.singles) for case in cases}
    every = {case: [Job(case=case, part=part, parameters=parameters[case]) for part in range(parts)] for case in cases}
    # Case by case, so that an ended study has whole cases; and long texts first.
    todo = [job for case in cases for job in reversed(every[case]) if job.key not in log]
    _counting(run, todo, lambda number, result: log.add(todo[number].key, result), steps)
    return {case: [log[job.key] for job in jobs] for case, jobs in every.items()}


def _counting(run: Run, jobs: Sequence[Job], finished: Callable[[int, dict[str, Any]], None], steps: Steps) -> None:
    done = 0

    def counted(number: int, result: dict[str, Any]) -> None:
        nonlocal done
        finished(number, result)
        done += 1
        steps.count(done, len(jobs))

    if jobs:
        run(jobs, counted)


# -- processes ---------------------------------------------------------------------------------

_work: StudyWork | None = None  # of a worker process


def _start_worker(spec: StudySpec) -> None:
    global _work
    _work = StudyWork(spec)


def _run_in_worker(job: Job) -> dict[str, Any]:
    assert _work is not None
    return _work.run(job)


def _runner(spec: StudySpec, jobs: int, scheduler: str | None) -> Run:
    """What runs jobs: a cluster, this process, or several ones."""
    if scheduler is not None:
        return lambda work, finished: run_on_cluster(scheduler, spec, work, finished)
    if jobs == 1:
        here = StudyWork(spec)

        def run(work: Sequence[Job], finished: Callable[[int, dict[str, Any]], None]) -> None:
            for number, job in enumerate(work):
                finished(number, here.run(job))

        return run
    return lambda work, finished: run_in_workers(
        _run_in_worker,
        [(job,) for job in work],
        jobs=min(jobs, len(work)),
        initialise=_start_worker,
        arguments=(spec,),
        finished=finished,
    )
