"""Accuracy and cycles of a model over pruning parameters, and the smallest sparsity that is fast enough."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..cost.attention import HeadWork
from ..model.load import Model
from ..model.quantise import AttentionScales
from ..model.tasks import Task
from ..spec.attention_command import DENSE_RHO
from ..spec.attention_config import AttentionConfig
from ..spec.errors import ConfigError, InputError
from .attention import HeadShape, fitted
from .evaluate import read_as_pairs, results, task_texts
from .inputs import calibration_inputs
from .passes import Progress, Setting, run_settings
from .report import Report

__all__ = ["DEFAULT_RHOS", "Point", "SparsityPick", "head_cycles", "pick"]

DEFAULT_RHOS = (-0.5, -0.25, 0.0, 0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Denser where accuracy begins to fall."""

MOST_RHOS = 100

AS_FAST = 0.01
"""Speedups within this share count as equal. Beyond some sparsity short texts gain no speed and lose accuracy."""


@dataclass(frozen=True, kw_only=True)
class Point(Report):
    """Figures of one pruning parameter.

    Attributes
    ----------
    rho : float
        −1 is INT8 without pruning.
    score : float
        The task's metric.
    change, change_int8 : float
        Score minus FP32's, and minus that of INT8 without pruning.
    block_sparsity : float
        Share of blocks that were not computed.
    cycles : float
        Cycles of the attention core per sentence, with all heads in one stream, by the cycle model.
    speedup : float
        Cycles without pruning over cycles.
    """

    rho: float
    score: float
    change: float
    change_int8: float
    block_sparsity: float
    cycles: float
    speedup: float


@dataclass(frozen=True, kw_only=True)
class SparsityPick(Report):
    """Figures of all thresholds and the choice, as ``thresher pick`` prints them.

    Attributes
    ----------
    truncated : int
        Number of texts that lost tokens.
    note : str or None
        How words became classes, if the model does not say it.
    fp32 : float
        Score of float32 attention.
    points : tuple of Point
        INT8 without pruning first, then by ρ.
    reached : bool
        Whether any point reaches the wanted speedup.
    chosen : int
        Index in ``points`` of the smallest sparsity that reaches the wanted speedup. If no point does, of the smallest
        sparsity within 1 % of the fastest.
    seconds : float
        Wall time without loading the model.
    """

    model: str
    task: str
    metric: str
    data: str
    examples: int
    sentences: int
    truncated: int
    note: str | None
    calibration: str
    policy: dict[str, str]
    target_speedup: float
    fp32: float
    points: tuple[Point, ...]
    reached: bool
    chosen: int
    jobs: int
    seconds: float

    @property
    def point(self) -> Point:
        """The chosen point."""
        return self.points[self.chosen]


def head_cycles(config: AttentionConfig, shapes: Counter[HeadShape]) -> float:
    """Cycles of a stream of heads, as the sum over :attr:`~thresher.cost.attention.HeadWork.cycles`."""
    return sum(count * _cycles(config, shape) for shape, count in shapes.items())


@lru_cache(1 << 16)
def _cycles(config: AttentionConfig, shape: HeadShape) -> float:
    return head_work(config, shape).cycles


def head_work(config: AttentionConfig, shape: HeadShape) -> HeadWork:
    """A model's head as work for a core. It has as many keys as queries."""
    return HeadWork(
        config=config,
        query_length=shape.length,
        key_length=shape.length,
        head_dim=shape.head_dim,
        kept_blocks=shape.kept_blocks,
        pruned=shape.pruned,
        causal=shape.causal,
    )


def choose(points: Sequence[Point], target: float) -> tuple[int, bool]:
    """Index of the chosen point, and whether it reaches the target; see :class:`SparsityPick`."""
    best = max(point.speedup for point in points)
    reached = best >= target
    least = target if reached else best * (1 - AS_FAST)
    fast = [i for i, point in enumerate(points) if point.speedup >= least]
    return min(fast, key=lambda i: points[i].block_sparsity), reached


def _check(target: float, rhos: Sequence[float]) -> list[float]:
    if not (math.isfinite(target) and target > 0):
        raise ConfigError("target_speedup", target, "must be a positive number, such as 1.5")
    if not 1 <= len(rhos) <= MOST_RHOS:
        raise InputError(f"{len(rhos)} values of rho are given: give from 1 to {MOST_RHOS}")
    for rho in rhos:
        if not (math.isfinite(rho) and -1 < rho < 1):
            raise ConfigError("rho", rho, "must be between -1 and 1; pruning off is always in the table")
    return sorted(set(rhos))


def pick(
    model: Model,
    task: str | Task,
    data: Path,
    *,
    config: AttentionConfig,
    target_speedup: float,
    rhos: Sequence[float] = DEFAULT_RHOS,
    limit: int | None = None,
    truncate: bool = False,
    scales: AttentionScales | None = None,
    jobs: int = 2,
    progress: Progress | None = None,
) -> SparsityPick:
    """Evaluate a model over pruning parameters, and choose the smallest sparsity that reaches a speedup.

    Every text runs on the golden model under every threshold, without pruning, and with FP32 attention. The cycle model
    gives the cycles from the blocks that each head keeps.

    Parameters
    ----------
    task : str or Task
    data : Path
        See :func:`~thresher.runtime.evaluate.evaluate`.
    config : AttentionConfig
        The hardware and its policy.
    target_speedup : float
        Relative to the same hardware without pruning.
    rhos : sequence of float
        Between −1 and 1.
    limit : int, optional
        Only the first examples.
    truncate : bool
        Truncate texts that are too long instead of raising an error.
    scales : AttentionScales, optional
        By default the model is calibrated with the packaged sentences, or the first images.
    jobs, progress
        See :func:`~thresher.runtime.passes.run_settings`.

    Raises
    ------
    ThresherError
        File, model, hardware and settings do not fit together.
    """
    start = time.perf_counter()
    ordered = [DENSE_RHO, *_check(target_speedup, rhos)]
    config = fitted(config, model.config)
    dataset, tokens = task_texts(model, task, data, config, limit, truncate=truncate)
    if scales is None:
        pairs = read_as_pairs(model, dataset)
        scales = model.calibrate(calibration_inputs(model, tokens, config, pairs=pairs, task=dataset.task))
    settings = [Setting(), *(Setting(config=config, rho=rho) for rho in ordered)]
    outcomes = run_settings(model, tokens, settings, scales, jobs=jobs, progress=progress)
    fp32, *found = results(dataset, outcomes, model.activation)
    cycles = [head_cycles(config, outcome.totals.shapes) / len(tokens) for outcome in outcomes[1:]]
    points = tuple(
        Point(
            rho=rho,
            score=result.score,
            change=result.change,
            change_int8=result.score - found[0].score,
            block_sparsity=result.block_sparsity,
            cycles=taken,
            speedup=cycles[0] / taken,
        )
        for rho, result, taken in zip(ordered, found, cycles, strict=True)
    )
    chosen, reached = choose(points, target_speedup)
    return SparsityPick(
        model=str(model.folder),
        task=dataset.task.name,
        metric=dataset.task.metric,
        data=str(data),
        examples=len(dataset.targets),
        sentences=len(tokens),
        truncated=sum(each.truncated for each in tokens),
        note=dataset.note,
        calibration=f"{scales.sentences} {'sentences' if model.images is None else 'images'}, {scales.method}",
        policy=config.policy,
        target_speedup=target_speedup,
        fp32=fp32.score,
        points=points,
        reached=reached,
        chosen=chosen,
        jobs=jobs,
        seconds=time.perf_counter() - start,
    )
