"""Evaluation of a model on a labelled file, with its attention or its whole encoder on the golden model."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..model.datasets import Dataset, read_dataset
from ..model.load import Model
from ..model.quantise import AttentionScales
from ..model.ranges import DEFAULT_PERCENTILE, Method
from ..model.score import ScoreActivation, activate
from ..model.tasks import Kind, Task, as_task
from ..model.tokenizer import Tokens
from ..model.weights import Float32
from ..spec.attention_config import AttentionConfig
from ..spec.errors import InputError
from .attention import check_fits, fitted
from .coprocessor import WholeEncoder
from .inputs import calibration_inputs, calibration_source, calibration_texts
from .metrics import merit
from .passes import Outcome, Progress, Setting, run_settings
from .pictures import task_images
from .report import Report
from .texts import encode_texts
from .windows import text_windows

__all__ = [
    "EvaluationReport",
    "Result",
    "evaluate",
    "predicted",
    "read_as_pairs",
    "score",
    "task_texts",
]


@dataclass(frozen=True, kw_only=True)
class Result(Report):
    """Figures of one setting.

    Attributes
    ----------
    score : float
        The task's metric, 0…1 (correlations: −1…1; perplexity: from 1).
    change : float
        Score minus FP32's.
    pearson : float or None
        Pearson's correlation, for tasks with scores.
    block_sparsity, head_sparsity : float
        Share of blocks that were not computed, including those of pruned heads, and share of pruned heads.
    saturated : float
        Share of the attention's INT8 outputs that were clipped.
    """

    score: float
    change: float
    pearson: float | None
    block_sparsity: float
    head_sparsity: float
    saturated: float


@dataclass(frozen=True, kw_only=True)
class EvaluationReport(Report):
    """Figures of all settings, as ``thresher eval`` prints them.

    Attributes
    ----------
    unit : "attention" or "coprocessor"
        What is in integers: the attention, or the whole encoder.
    calibration_per_channel : bool
        Whether the activations of a whole encoder have units by channel.
    weights : str or None
        How the weights of a whole encoder are pruned.
    weight_bits : int or None
        Bits of the weights of a whole encoder's products.
    results : dict
        ``fp32`` and ``int8`` (attention alone, pruning off); of the attention ``pruned`` and, on request,
        ``random_mask``; of the whole encoder ``integer`` (pruning of attention off), ``integer_pruned`` and, on
        request, ``random_mask``.
    truncated : int
        Number of texts that lost tokens.
    note : str or None
        How words became classes, if the model does not say it.
    activation : ScoreActivation or None
        Makes the scores of a head with one output.
    seconds : float
        Wall time without loading the model.
    """

    model: str
    unit: str
    task: str
    metric: str
    data: str
    examples: int
    truncated: int
    note: str | None
    activation: ScoreActivation | None
    calibration: str
    calibration_method: str
    calibration_percentile: float
    calibration_sentences: int
    calibration_per_channel: bool
    weights: str | None
    weight_bits: int | None
    policy: dict[str, str]
    rho: float
    tau: float
    seed: int
    jobs: int
    results: dict[str, Result]
    seconds: float


def task_texts(
    model: Model,
    task: str | Task,
    data: Path,
    config: AttentionConfig,
    limit: int | None = None,
    *,
    truncate: bool = False,
) -> tuple[Dataset, list[Tokens]]:
    """Read the file of a task that a model can do, and the tokens of every text, image or window of a plain text.

    A sentence-embedding model reads the texts of a pair one by one, first all first texts. A model with a head reads a
    pair together.

    Raises
    ------
    InputError
        The model cannot do the task, or a text is empty or, without ``truncate``, too long for model or hardware. The
        message names the lines. Otherwise as :func:`~thresher.model.datasets.read_dataset`.
    """
    config = fitted(config, model.config)
    if model.images is not None:
        dataset, pictures = task_images(model, task, data, config, limit)
        return dataset, list(pictures)
    if model.predicts_tokens:
        if as_task(task).kind is not Kind.TEXT:
            raise InputError("the model predicts tokens: use --task perplexity, with a plain text")
        return text_windows(model, as_task(task), data, config, limit)
    check_fits(config, model.config.head_dim, score_bias=model.config.has_score_bias)
    if as_task(task).kind is Kind.TEXT:
        raise InputError(f"task {as_task(task).name} needs a model that predicts the next token, such as GPT-2")
    classes = len(model.config.labels)
    dataset = read_dataset(data, task, limit, classes=max(classes, 2), labels=model.config.labels)
    name, kind = dataset.task.name, dataset.task.kind
    if kind is Kind.CLASSES and classes < 2:
        hint = "use the task stsb" if model.is_scorer else "choose another model"
        raise InputError(f"task {name} needs a model with a classification head of two or more classes: {hint}")
    if kind is Kind.SCORES and classes > 1:
        raise InputError(
            f"task {name} needs a sentence-embedding model, such as all-MiniLM-L6-v2, or one that gives one score: "
            "choose another model"
        )
    if kind is Kind.SCORES and len(set(dataset.targets)) < 2:
        raise InputError(f"task {name} needs examples of different scores: give more of them")
    texts, lines = dataset.texts, dataset.lines
    if not model.is_classifier:
        if not dataset.has_pairs:
            raise InputError(
                f"{str(data)!r} has no pairs to compare: a sentence-embedding model needs two texts a line"
            )
        texts, lines = dataset.sentences, lines * 2
    tokens = encode_texts(
        model, texts, lines, max_length=config.max_length, truncate=truncate, kind="line", source=f"{str(data)!r} "
    )
    return dataset, tokens


def read_as_pairs(model: Model, dataset: Dataset) -> bool:
    """Whether a model reads the examples of a task as pairs."""
    return model.is_classifier and dataset.has_pairs


def predicted(task: Task, outputs: Float32, activation: ScoreActivation | None) -> NDArray[np.float64]:
    """(examples,) predictions.

    Parameters
    ----------
    outputs : (examples, classes), (examples, 1), (2·examples, n) or (examples, 2) float32
        Class scores, outputs of a head with one output, embeddings, or the sum of −log p of each window's tokens, and
        their number.
    activation : ScoreActivation, optional
        For heads with one output.

    Returns
    -------
    (examples,) float64, or (examples, 2)
        Classes, scores, or cosine similarities; for windows of a text, the outputs themselves.
    """
    if task.kind is Kind.TEXT:
        return outputs.astype(np.float64)
    if task.kind is Kind.CLASSES:
        return outputs.argmax(axis=1).astype(np.float64)
    values = outputs.astype(np.float64)
    if activation is not None:
        return activate(values[:, 0], activation)
    first, second = np.split(values, 2)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.maximum(lengths, 1e-12)


def score(dataset: Dataset, outputs: Float32, activation: ScoreActivation | None = None) -> tuple[float, float | None]:
    """The task's metric, and Pearson's correlation for a task with scores. Equal predictions have a correlation of 0.

    Parameters
    ----------
    outputs, activation
        See :func:`predicted`.

    Returns
    -------
    metric : float
    pearson : float or None
    """
    targets, predictions = np.array(dataset.targets), predicted(dataset.task, outputs, activation)
    found = merit(dataset.task.metric, targets, predictions, classes=dataset.classes)
    if dataset.task.kind is not Kind.SCORES:
        return found, None
    return found, 0.0 if np.ptp(predictions) == 0 else float(np.corrcoef(predictions, targets)[0, 1])


def results(dataset: Dataset, outcomes: Sequence[Outcome], activation: ScoreActivation | None = None) -> list[Result]:
    """Figures of each outcome. The first outcome is that of FP32."""
    scores = [score(dataset, outcome.outputs, activation) for outcome in outcomes]
    return [
        Result(
            score=found,
            change=found - scores[0][0],
            pearson=pearson,
            block_sparsity=outcome.totals.block_sparsity,
            head_sparsity=outcome.totals.head_sparsity,
            saturated=outcome.totals.saturated,
        )
        for (found, pearson), outcome in zip(scores, outcomes, strict=True)
    ]


def evaluate(
    model: Model,
    task: str | Task,
    data: Path,
    *,
    config: AttentionConfig,
    rho: float,
    tau: float = 0.0,
    random_mask: bool = False,
    seed: int = 0,
    limit: int | None = None,
    truncate: bool = False,
    calibration: Path | None = None,
    scales: AttentionScales | None = None,
    whole: WholeEncoder | None = None,
    method: Method = "percentile",
    percentile: float = DEFAULT_PERCENTILE,
    jobs: int = 2,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Evaluate FP32, INT8 attention without pruning, pruned attention, and its random control.

    With ``whole``, the pruned attention and its control are part of an encoder that is all integers.

    Parameters
    ----------
    task : str or Task
        A name of :data:`~thresher.model.tasks.TASKS`, or a task.
    data : Path
        With the columns of the task; a plain text for the task ``perplexity``.
    config : AttentionConfig
        The hardware and its policy.
    random_mask : bool
        Also run with random masks that keep as many blocks of each row.
    limit : int, optional
        Only the first examples.
    truncate : bool
        Truncate texts that are too long instead of raising an error.
    calibration : Path, optional
        Sentences to calibrate with, see :func:`~thresher.model.load.calibration_sentences`.
    scales : AttentionScales, optional
        Scales of the attention alone that were found earlier, in place of calibration.
    whole : WholeEncoder, optional
        Evaluate the whole encoder in integers.
    method, percentile : Method, float
        How calibration finds the ranges of attention alone; see :data:`~thresher.model.ranges.METHODS`. A whole
        encoder has its own settings.
    jobs, progress
        See :func:`~thresher.runtime.passes.run_settings`.

    Raises
    ------
    ThresherError
        File, model, hardware and settings do not fit together.
    """
    start = time.perf_counter()
    config = fitted(config, model.config)
    dataset, tokens = task_texts(model, task, data, config, limit, truncate=truncate)
    if whole is not None:
        whole.check_fits(model.config)
    pairs = read_as_pairs(model, dataset)
    source = "given scales" if scales is not None and whole is None else calibration_source(model, calibration)
    if scales is None:
        shown = calibration_inputs(model, tokens, config, calibration, pairs=pairs, task=dataset.task)
        scales = model.calibrate(shown, method=method, percentile=percentile)
    settings = {"fp32": Setting(), "int8": Setting(config=config)}
    used, coprocessor, pruned = scales, None, "pruned"
    if whole is not None:
        coprocessor = whole.coprocessor(model, calibration_texts(calibration, pairs=pairs), progress=progress)
        used, pruned = coprocessor.integer.attention, "integer_pruned"
        settings["integer"] = Setting(config=config, coprocessor=coprocessor)
    settings[pruned] = Setting(config=config, coprocessor=coprocessor, rho=rho, tau=tau)
    if random_mask:
        settings["random_mask"] = replace(settings[pruned], seed=seed)
    outcomes = run_settings(model, tokens, list(settings.values()), scales, jobs=jobs, progress=progress)
    return EvaluationReport(
        model=str(model.folder),
        unit="attention" if whole is None else "coprocessor",
        task=dataset.task.name,
        metric=dataset.task.metric,
        data=str(data),
        examples=len(dataset.targets),
        truncated=sum(each.truncated for each in tokens),
        note=dataset.note,
        activation=model.activation,
        calibration=source,
        calibration_method=used.method,
        calibration_percentile=used.percentile,
        calibration_sentences=used.sentences,
        calibration_per_channel=whole is not None and whole.per_channel,
        weights=None if whole is None else whole.pruning,
        weight_bits=None if whole is None else whole.weight_bits,
        policy=config.policy,
        rho=rho,
        tau=tau,
        seed=seed,
        jobs=jobs,
        results=dict(zip(settings, results(dataset, outcomes, model.activation), strict=True)),
        seconds=time.perf_counter() - start,
    )
