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
from .attention import COUNTS
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
    prunes : "blocks", "elements", "heads", "blocks and heads", "elements and heads" or "nothing"
    scores : str
        Which scores choose and are computed; see :class:`~thresher.runtime.study.plan.Scores`.
    target : float or None
        Wanted share of blocks that are not computed, or of pruned heads. Of a pair, the share of blocks in the heads
        that stay.
    head_target : float or None
        Of a pair: wanted share of pruned heads.
    parameter : float or None
        Parameter of the rule, found on the calibration texts. In a pair, it belongs to the rule of blocks.
    head_parameter : float or None
        In a pair: parameter of the rule of heads.
    score : float
        The task's metric.
    error : float or None
        Its bootstrap standard error; None with a single example.
    change : float
        Score minus FP32's.
    change_error : float or None
        The standard error of this difference on the same resamples.
    calibration_sparsity : float or None
        The share that ``target`` is about, in the calibration texts.
    head_calibration_sparsity : float or None
        The same for ``head_target``.
    block_sparsity, element_sparsity, head_sparsity : float
        Measured shares of blocks and elements that were not computed, those of pruned heads among them, and of pruned
        heads. A block is computed if one of its elements is kept.
    block_sparsity_of_kept_heads : float
        Measured share of blocks that were not computed, in the heads that stayed.
    saturated : float
        Share of the attention's INT8 outputs that were clipped.
    """

    rule: str
    prunes: str
    scores: str
    target: float | None
    head_target: float | None
    parameter: float | None
    head_parameter: float | None
    score: float
    error: float | None
    change: float
    change_error: float | None
    calibration_sparsity: float | None
    head_calibration_sparsity: float | None
    block_sparsity: float
    block_sparsity_of_kept_heads: float
    element_sparsity: float
    head_sparsity: float
    saturated: float


@dataclass(frozen=True, kw_only=True)
class OffTarget(Report):
    """A target from which the measured sparsity differs by more than :data:`TOLERANCE`.

    Attributes
    ----------
    rule, scores : str
        Of the case.
    of : "blocks" or "heads"
        The sparsity is a share of these. In a pair, only the blocks of heads that stayed count.
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
        Targets that are missed.
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
    order = np.argsort([number for part in parts for number in part])
    reference, spread = 0.0, np.zeros(len(samples))
    rows = []
    for case in cases:
        by_part = np.concatenate([result["predictions"] for result in results[case]])
        predictions = by_part[order]
        score = merit(metric, targets, predictions, classes=dataset.classes)
        each = merits(metric, targets, predictions, samples, classes=dataset.classes)
        if case.rule == FP32:
            reference, spread = score, each
        counts = {name: sum(r["counts"].get(name, 0) for r in results[case]) for name in COUNTS}
        prunes = _pruned(case.rule)
        first, second = [*(found[single] for single in case.singles), None, None][:2]
        rows.append(
            StudyRow(
                rule=case.rule,
                prunes=prunes,
                scores=str(case.scores),
                target=case.target,
                head_target=case.head_target,
                parameter=first.parameter if first else None,
                head_parameter=second.parameter if second else None,
                score=score,
                error=float(each.std()) if len(targets) > 1 else None,
                change=score - reference,
                change_error=float((each - spread).std()) if len(targets) > 1 else None,
                calibration_sparsity=first.sparsity if first else None,
                head_calibration_sparsity=second.sparsity if second else None,
                block_sparsity=_missing(counts["kept_blocks"], counts["blocks"]),
                block_sparsity_of_kept_heads=_of_kept_heads(prunes, counts),
                element_sparsity=_missing(counts["kept_elements"], counts["elements"]),
                head_sparsity=counts["pruned_heads"] / max(counts["heads"], 1),
                saturated=counts["saturations"] / max(counts["outputs"], 1),
            )
        )
    return rows


def _missing(kept: int, of: int) -> float:
    return 1 - kept / of if of else 0.0


def _of_kept_heads(prunes: str, counts: Mapping[str, int]) -> float:
    if prunes == "heads":  # logs of older versions do not have the blocks of pruned heads
        return 0.0
    return _missing(counts["kept_blocks"], counts["blocks"] - counts["blocks_of_pruned_heads"])


def _pruned(rule: str) -> str:
    if rule in (FP32, INT8):
        return "nothing"
    kinds = {True: "elements", False: "blocks"}
    return " and ".join("heads" if name in HEAD_RULES else kinds[RULES[name].elements] for name in rule.split("+"))


def off_targets(rows: Sequence[StudyRow]) -> list[OffTarget]:
    """The targets that rows miss. A pair has two."""
    found = []
    for row in rows:
        targets = [(row.target, row.calibration_sparsity), (row.head_target, row.head_calibration_sparsity)]
        for name, (target, calibrated) in zip(row.rule.split("+"), targets, strict=False):
            heads = name in HEAD_RULES
            sparsity = row.head_sparsity if heads else row.block_sparsity_of_kept_heads
            if target is None or calibrated is None or round(abs(sparsity - target), 9) <= TOLERANCE:
                continue
            moved = abs(sparsity - calibrated) > abs(calibrated - target)
            found.append(
                OffTarget(
                    rule=row.rule,
                    scores=row.scores,
                    of="heads" if heads else "blocks",
                    target=target,
                    calibration_sparsity=calibrated,
                    sparsity=sparsity,
                    cause="calibration" if moved and name != "random-heads" else "rule",
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
