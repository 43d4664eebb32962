"""Figures of a study: a row per case, with standard errors."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ...golden.baselines import RULES
from ...model.datasets import Dataset
from ..metrics import merit, merits, resamples
from ..report import Report
from .plan import FP32, HEAD_RULES, INT8, Case, Found

__all__ = ["TOLERANCE", "OffTarget", "StudyReport", "StudyRow", "off_targets", "rows_of", "table_of"]

TOLERANCE = 0.05
"""A measured sparsity that differs more from its target is reported."""


@dataclass(frozen=True, kw_only=True)
class StudyRow(Report):
    """Figures of a case.

    Attributes
    ----------
    rule : str
    prunes : "blocks", "elements", "heads" or "nothing"
    scores : str
        Which scores choose and are computed; see :class:`~thresher.runtime.study.plan.Scores`.
    target : float or None
        Wanted share of blocks that are not computed, or of pruned heads.
    parameter : float or None
        Of the rule, found on the calibration texts.
    score : float
        The task's metric.
    error : float
        Its bootstrap standard error.
    change, change_error : float
        Score minus FP32's, and the standard error of this difference on the same resamples.
    calibration_sparsity : float or None
        The share that ``target`` is about, in the calibration texts.
    block_sparsity, element_sparsity, head_sparsity : float
        Measured shares of blocks and elements that were not computed, those of pruned heads among them, and of pruned
        heads. A block is computed if one of its elements is kept.
    saturated : float
        Share of the attention's INT8 outputs that were clipped.
    """

    rule: str
    prunes: str
    scores: str
    target: float | None
    parameter: float | None
    score: float
    error: float
    change: float
    change_error: float
    calibration_sparsity: float | None
    block_sparsity: float
    element_sparsity: float
    head_sparsity: float
    saturated: float


@dataclass(frozen=True, kw_only=True)
class OffTarget(Report):
    """A case whose measured sparsity differs from the target by more than :data:`TOLERANCE`.

    Attributes
    ----------
    rule, scores : str
        Of the case.
    of : "blocks" or "heads"
        What the sparsity is a share of.
    target, calibration_sparsity, sparsity : float
        Wanted share, share in the calibration texts, and share in the data.
    cause : "calibration" or "rule"
        The larger part of the difference. ``calibration``: the data have another sparsity than the calibration texts.
        ``rule``: the rule comes no nearer in the calibration texts, or it is random.
    """

    rule: str
    scores: str
    of: str
    target: float
    calibration_sparsity: float
    sparsity: float
    cause: str


@dataclass(frozen=True, kw_only=True)
class StudyReport(Report):
    """Figures of a study, as ``thresher study`` prints them.

    Attributes
    ----------
    truncated : int
        Number of texts that lost tokens.
    note : str or None
        How words became classes, if the model does not say it.
    resumed : int
        Results of earlier runs that were used.
    off_target : tuple of OffTarget
        Cases that miss their target.
    cpu_seconds : float
        Time of one core for all measurements, those of earlier runs among them.
    seconds : float
        Wall time of this run without loading the model.
    """

    model: str
    task: str
    metric: str
    data: str
    examples: int
    truncated: int
    note: str | None
    policy: dict[str, str]
    calibration: str
    seed: int
    jobs: int
    resumed: int
    rows: tuple[StudyRow, ...]
    off_target: tuple[OffTarget, ...]
    cpu_seconds: float
    seconds: float


def rows_of(
    dataset: Dataset,
    cases: Sequence[Case],
    parts: Sequence[Sequence[int]],
    results: Mapping[Case, Sequence[dict[str, Any]]],
    found: Mapping[Case, Found],
    *,
    seed: int,
) -> list[StudyRow]:
    """Rows of all cases. The first case is FP32.

    Parameters
    ----------
    parts : sequence of sequences of int
        Numbers of the examples of each part.
    results : mapping
        Results of each case, part by part.
    found : mapping
        Parameters of the cases that have a target.
    """
    targets, metric = np.array(dataset.targets), dataset.task.metric
    samples = resamples(len(targets), seed=seed)
    reference, spread = 0.0, np.zeros(len(samples))
    rows = []
    for case in cases:
        predictions = np.empty(len(targets))
        for numbers, result in zip(parts, results[case], strict=True):
            predictions[list(numbers)] = result["predictions"]
        score = merit(metric, targets, predictions, classes=dataset.classes)
        each = merits(metric, targets, predictions, samples, classes=dataset.classes)
        if case.rule == FP32:
            reference, spread = score, each
        counts = {name: sum(r["counts"][name] for r in results[case]) for name in results[case][0]["counts"]}
        rows.append(
            StudyRow(
                rule=case.rule,
                prunes=_pruned(case.rule),
                scores=str(case.scores),
                target=case.target,
                parameter=found[case].parameter if case in found else None,
                score=score,
                error=float(each.std()),
                change=score - reference,
                change_error=float((each - spread).std()),
                calibration_sparsity=found[case].sparsity if case in found else None,
                block_sparsity=_missing(counts["kept_blocks"], counts["blocks"]),
                element_sparsity=_missing(counts["kept_elements"], counts["elements"]),
                head_sparsity=counts["pruned_heads"] / max(counts["heads"], 1),
                saturated=counts["saturations"] / max(counts["outputs"], 1),
            )
        )
    return rows


def _missing(kept: int, of: int) -> float:
    return 1 - kept / of if of else 0.0


def _pruned(rule: str) -> str:
    if rule in (FP32, INT8):
        return "nothing"
    if rule in HEAD_RULES:
        return "heads"
    return "elements" if RULES[rule].elements else "blocks"


def off_targets(rows: Sequence[StudyRow]) -> list[OffTarget]:
    """The rows that miss their target."""
    found = []
    for row in rows:
        if row.target is None or row.calibration_sparsity is None:
            continue
        of = "heads" if row.prunes == "heads" else "blocks"
        sparsity = row.head_sparsity if of == "heads" else row.block_sparsity
        moved, missed = abs(sparsity - row.calibration_sparsity), abs(row.calibration_sparsity - row.target)
        if round(abs(sparsity - row.target), 9) > TOLERANCE:
            found.append(
                OffTarget(
                    rule=row.rule,
                    scores=row.scores,
                    of=of,
                    target=row.target,
                    calibration_sparsity=row.calibration_sparsity,
                    sparsity=sparsity,
                    cause="calibration" if moved > missed and row.rule != "random-heads" else "rule",
                )
            )
    return found


def table_of(rows: Sequence[StudyRow]) -> str:
    """Rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [each.name for each in fields(StudyRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.to_dict() for row in rows)
    return text.getvalue()
