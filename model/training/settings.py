"""Settings of a training run."""

import math
from dataclasses import dataclass

from ...spec.base import check_enum
from ...spec.errors import ConfigError
from ...spec.spmm_config import WeightFormat
from ..pruning.patterns import KEEP, Sparsity, check_size, check_sparsity

__all__ = ["MOST_STEPS", "TrainingSettings"]

MOST_STEPS = (1 << 31) - 1
"""Steps of a run at most: jax counts them in int32."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How an encoder is trained.

    Parameters
    ----------
    steps : int
        Number of batches.
    batch : int
        Texts of a batch.
    learning_rate : float
        The largest. It rises linearly during the share ``warm_up`` of the steps, then falls as a cosine to 0.
    warm_up : float
    weight_decay : float
        Of AdamW (arXiv 1711.05101), on matrices but not on embeddings.
    dropout : float
        Share of values that are set to zero; see :func:`~thresher.model.training.dropout.dropout`.
    seed : int
        Of the order of the texts, and of dropout.
    temperature, distil_weight, hidden_weight : float
        Softening of the logits of teacher and encoder, and weights of the losses against the teacher's logits and
        hidden states; see :mod:`~thresher.model.training.distillation`. Labels have the weight 1 − ``distil_weight``.
    weight_format : WeightFormat
        Pattern of the pruned weights.
    sparsity : Sparsity or None
        Share of pruned weights at the end, or ``"keep"``: the zeros of the start stay. ``None`` prunes nothing.
    global_ranking : bool
        Rank the weights of all matrices together.
    stabilise, prune : float
        Shares of the steps before pruning and during it; see :class:`~thresher.model.training.schedule.Phases`.
    quantise : float
        Share of the steps, at the end, that are trained with fake quantisation.
    rho : float
        Pruning parameter of the attention's blocks; −1 keeps all of them.

    Raises
    ------
    ConfigError
        A setting is out of range.
    """

    steps: int
    batch: int = 64
    learning_rate: float = 1e-3
    warm_up: float = 0.05
    weight_decay: float = 0.01
    dropout: float = 0.1
    seed: int = 0
    temperature: float = 2.0
    distil_weight: float = 0.9
    hidden_weight: float = 0.0
    weight_format: WeightFormat = WeightFormat.CSR_DELTA
    sparsity: Sparsity | None = None
    global_ranking: bool = False
    stabilise: float = 0.1
    prune: float = 0.5
    quantise: float = 0.0
    rho: float = -1.0

    def __post_init__(self):
        check_size("steps", self.steps, MOST_STEPS)
        check_size("batch", self.batch)
        check_size("seed", self.seed, smallest=0)
        if self.sparsity is not None and self.sparsity != KEEP:
            check_sparsity("sparsity", self.sparsity)
        check_enum("weight_format", self.weight_format, WeightFormat)
        for name in ("learning_rate", "temperature"):
            self._check(name, getattr(self, name) > 0, "must be a positive number")
        for name in ("weight_decay", "hidden_weight"):
            self._check(name, getattr(self, name) >= 0, "must be a number of at least 0")
        for name in ("warm_up", "distil_weight", "stabilise", "prune", "quantise"):
            self._check(name, 0 <= getattr(self, name) <= 1, "must be a number from 0 to 1")
        self._check("dropout", 0 <= self.dropout < 1, "must be a number from 0 to below 1")
        most = 1 - self.stabilise
        self._check("prune", self.prune <= most + 1e-9, f"must be at most 1 - stabilise = {most:g}")
        self._check("rho", -1 <= self.rho < 1, "must be at least -1 (keep all blocks) and below 1")

    def _check(self, name: str, legal: bool, allowed: str) -> None:
        value = getattr(self, name)
        if not legal or not math.isfinite(value):
            raise ConfigError(name, value, allowed)
