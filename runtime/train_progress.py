"""What is measured, printed and saved while a model is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..model.tasks import Metric
from ..model.training.checkpoint import checkpoint_bytes
from ..model.training.data import Examples
from ..model.training.loop import State, StepFigures, Trainer
from ..model.training.masks import sparsity_of
from ..model.weights import Float32
from ..spec.files import write_whole
from .metrics import merit
from .steps import Steps

__all__ = ["COLUMNS", "DevScore", "Progress"]

EVALUATIONS = 20
"""Evaluations of a run; each writes a checkpoint."""
COLUMNS = ("step", "loss", "accuracy", "dev_score", "sparsity")
"""Entries of a row of the history."""


class DevScore:
    """Scores a model on texts that it does not learn from.

    Parameters
    ----------
    trainer : Trainer
    dev : Examples
    further : (words, width) float32
        Embeddings of the words that only these texts have. They follow those of the trained encoder.
    metric : Metric
    """

    def __init__(self, trainer: Trainer, dev: Examples, further: Float32, metric: Metric):
        self._logits = trainer.evaluation(dev, further)
        self._metric, self._targets = metric, np.asarray(dev.targets, np.float64)

    def __call__(self, state: State) -> float:
        logits = self._logits(state)
        found = logits.argmax(axis=1).astype(np.float64)
        return merit(self._metric, self._targets, found, classes=logits.shape[1])


class Progress:
    """Figures of the steps since the last evaluation, and what is done at each of them.

    Parameters
    ----------
    trainer : Trainer
    score : DevScore, optional
    checkpoint : Path
        Written at every evaluation but the last.
    run : dict
        What a checkpoint is of.
    steps : Steps

    Attributes
    ----------
    history : list of dict
        A row of :data:`COLUMNS` per evaluation.
    """

    def __init__(self, trainer: Trainer, score: DevScore | None, checkpoint: Path, run: dict[str, Any], steps: Steps):
        self._score, self._checkpoint, self._run, self._steps = score, checkpoint, run, steps
        self._total, self._figures = trainer.settings.steps, []
        self._every = max(1, self._total // EVALUATIONS)
        self.history: list[dict[str, Any]] = []

    def __call__(self, state: State, figures: StepFigures) -> None:
        self._figures.append(figures)
        if state.step % self._every == 0 or state.step == self._total:
            self._evaluate(state, self._figures)
            self._figures = []
        self._steps.count(state.step, self._total)

    def _evaluate(self, state: State, figures: Sequence[StepFigures]) -> None:
        loss, accuracy = (float(np.mean([getattr(each, name) for each in figures])) for name in ("loss", "accuracy"))
        score, sparsity = None if self._score is None else self._score(state), sparsity_of(state.masks)
        self.history.append(dict(zip(COLUMNS, (state.step, loss, accuracy, score, sparsity), strict=True)))
        dev = "" if score is None else f", dev {score:.4f}"
        self._steps.announce(
            f"step {state.step} of {self._total}: loss {loss:.4f}, accuracy {accuracy:.4f}{dev}, "
            f"sparsity {sparsity:.3f}"
        )
        if state.step < self._total:
            write_whole({self._checkpoint: checkpoint_bytes(state, run=self._run, history=self.history)})
