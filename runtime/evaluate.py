"""Evaluation of a model on a labelled file, with its attention on the golden model."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from ..model.datasets import Dataset, read_dataset
from ..model.load import Model, calibration_sentences
from ..model.quantise import AttentionScales, Method
from ..model.tokenizer import Tokens
from ..model.weights import Float32
from ..spec.attention_config import AttentionConfig
from ..spec.errors import InputError
from .attention import check_fits
from .passes import Outcome, Progress, Setting, run_settings
from .report import Report

__all__ = ["METRICS", "EvaluationReport", "Result", "evaluate", "score", "task_texts"]

METRICS = {"sst2": "accuracy", "stsb": "spearman"}


@dataclass(frozen=True, kw_only=True)
class Result(Report):
    """Figures of one setting.

    Attributes
    ----------
    score : float
        The task's metric, 0…1 (Spearman: −1…1).
    change : float
        Score minus FP32's.
    block_sparsity, head_sparsity : float
        Share of blocks that were not computed, including those of pruned heads, and share of pruned heads.
    saturated : float
        Share of INT8 outputs that were clipped.
    """

    score: float
    change: float
    block_sparsity: float
    head_sparsity: float
    saturated: float


@dataclass(frozen=True, kw_only=True)
class EvaluationReport(Report):
    """Figures of all settings, as ``thresher eval`` prints them.

    Attributes
    ----------
    results : dict
        ``fp32``, ``int8`` (pruning off), ``pruned`` and, on request, ``random_mask``.
    seconds : float
        Wall time without loading the model.
    """

    model: str
    task: str
    metric: str
    data: str
    examples: int
    calibration: str
    calibration_method: str
    calibration_percentile: float
    calibration_sentences: int
    policy: dict[str, str]
    rho: float
    tau: float
    seed: int
    jobs: int
    results: dict[str, Result]
    seconds: float


def task_texts(
    model: Model, task: str, data: Path, config: AttentionConfig, limit: int | None = None
) -> tuple[Dataset, list[Tokens]]:
    """Read the file of a task that a model can do, and the tokens of every sentence.

    Raises
    ------
    InputError
        The model cannot do the task, or a sentence is empty or too long for model or hardware. The message names the
        line. Otherwise as :func:`~thresher.model.datasets.read_dataset`.
    """
    dataset = read_dataset(data, task, limit)
    if task == "sst2" and len(model.config.labels) != 2:
        raise InputError("task sst2 needs a model with a classification head of two classes: choose another model")
    if task == "stsb" and model.is_classifier:
        raise InputError("task stsb needs a sentence-embedding model, such as all-MiniLM-L6-v2: choose another model")
    if task == "stsb" and len(set(dataset.targets)) < 2:
        raise InputError("task stsb needs examples of different scores: give more of them")
    tokens = []
    for sentence, line in zip(dataset.sentences, dataset.lines, strict=True):
        try:
            tokens.append(model.encode(sentence, max_length=config.max_length))
        except InputError as error:
            raise InputError(f"{str(data)!r} line {line}: {error}") from None
    return dataset, tokens


def score(dataset: Dataset, outputs: Float32) -> float:
    """Accuracy of (examples, 2) class scores, or Spearman's ρ of the cosine similarities of (2·examples, hidden)
    embeddings. Equal similarities score 0."""
    targets = np.array(dataset.targets)
    if dataset.task == "sst2":
        return float((outputs.argmax(axis=1) == targets).mean())
    first, second = np.split(outputs.astype(np.float64), 2)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    similarity = (first * second).sum(axis=1) / np.maximum(lengths, 1e-12)
    if np.ptp(similarity) == 0:
        return 0.0
    return float(np.asarray(spearmanr(similarity, targets))[0])


def results(dataset: Dataset, outcomes: Sequence[Outcome]) -> list[Result]:
    """Figures of each outcome. The first outcome is that of FP32."""
    scores = [score(dataset, outcome.outputs) for outcome in outcomes]
    return [
        Result(
            score=found,
            change=found - scores[0],
            block_sparsity=outcome.totals.block_sparsity,
            head_sparsity=outcome.totals.head_sparsity,
            saturated=outcome.totals.saturated,
        )
        for found, outcome in zip(scores, outcomes, strict=True)
    ]


def evaluate(
    model: Model,
    task: str,
    data: Path,
    *,
    config: AttentionConfig,
    rho: float,
    tau: float = 0.0,
    random_mask: bool = False,
    seed: int = 0,
    limit: int | None = None,
    calibration: Path | None = None,
    scales: AttentionScales | None = None,
    method: Method = "percentile",
    percentile: float = 99.99,
    jobs: int = 2,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Evaluate FP32 attention, INT8 attention without pruning, pruned attention, and its random control.

    Parameters
    ----------
    task : "sst2" or "stsb"
    data : Path
        Columns of :data:`~thresher.model.datasets.COLUMNS`.
    config : AttentionConfig
        The hardware and its policy.
    random_mask : bool
        Also run with random masks that keep as many blocks of each row.
    limit : int, optional
        Only the first examples.
    calibration : Path, optional
        Sentences to calibrate with, see :func:`~thresher.model.load.calibration_sentences`.
    scales : AttentionScales, optional
        Scales found earlier, in place of calibration.
    jobs, progress
        See :func:`~thresher.runtime.passes.run_settings`.

    Raises
    ------
    ThresherError
        File, model, hardware and settings do not fit together.
    """
    start = time.perf_counter()
    check_fits(config, model.config.head_dim, score_bias=model.config.has_score_bias)
    dataset, tokens = task_texts(model, task, data, config, limit)
    source = "given scales"
    if scales is None:
        source = str(calibration or "packaged sentences")
        scales = model.calibrate(calibration_sentences(calibration), method=method, percentile=percentile)
    settings = {
        "fp32": Setting(),
        "int8": Setting(config=config),
        "pruned": Setting(config=config, rho=rho, tau=tau),
    }
    if random_mask:
        settings["random_mask"] = Setting(config=config, rho=rho, tau=tau, seed=seed)
    outcomes = run_settings(model, tokens, list(settings.values()), scales, jobs=jobs, progress=progress)
    return EvaluationReport(
        model=str(model.folder),
        task=task,
        metric=METRICS[task],
        data=str(data),
        examples=len(dataset.targets),
        calibration=source,
        calibration_method=scales.method,
        calibration_percentile=scales.percentile,
        calibration_sentences=scales.sentences,
        policy=config.policy,
        rho=rho,
        tau=tau,
        seed=seed,
        jobs=jobs,
        results=dict(zip(settings, results(dataset, outcomes), strict=True)),
        seconds=time.perf_counter() - start,
    )
