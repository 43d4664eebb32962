"""Phases of a training run, and the sparsity of each step."""

from dataclasses import dataclass

from ...spec.errors import ConfigError
from ..pruning.patterns import KEEP, Sparsity
from ..pruning.schedule import gradual_sparsity
from .settings import TrainingSettings

__all__ = ["UPDATES", "Phases"]

UPDATES = 100
"""Changes of the masks while the sparsity rises."""


@dataclass(frozen=True, kw_only=True)
class Phases:
    """Steps of a run: stabilise (nothing is pruned), prune (the sparsity rises), tune (the masks stay).

    Attributes
    ----------
    start, end : int
        First steps of the second and the third phase.
    quantise : int
        First step with fake quantisation.
    frequency : int
        Steps between two changes of the masks.
    """

    start: int
    end: int
    quantise: int
    frequency: int

    @classmethod
    def of(cls, settings: TrainingSettings) -> "Phases":
        """The phases of a run.

        Raises
        ------
        ConfigError
            Weights are to be pruned, or fake quantisation is wanted, but no step is for it.
        """
        if settings.sparsity not in (None, KEEP, 0):
            _check_share("prune", settings.prune, settings.steps)
        if settings.quantise:
            _check_share("quantise", settings.quantise, settings.steps)
        last = settings.steps - 1
        start = min(round(settings.stabilise * settings.steps), last)
        end = min(max(start + 1, round((settings.stabilise + settings.prune) * settings.steps)), last)
        return cls(
            start=start,
            end=end,
            quantise=settings.steps - round(settings.quantise * settings.steps),
            frequency=max(1, (end - start) // UPDATES),
        )

    def change(self, step: int, final: Sparsity | None) -> Sparsity | None:
        """The sparsity to which weights are pruned before a step, or ``None`` if the masks stay as they are.

        Parameters
        ----------
        final : Sparsity or None
            Of the settings. ``"keep"`` is due before the first step.
        """
        if final is None:
            return None
        if final == KEEP:
            return KEEP if step == 0 else None
        if not self.start <= step <= self.end or (step < self.end and (step - self.start) % self.frequency):
            return None
        if step == self.end:
            return final
        return gradual_sparsity(
            step, start=self.start, end=self.end, initial=0.0, final=final, frequency=self.frequency
        )


def _check_share(name: str, share: float, steps: int) -> None:
    if not round(share * steps):
        raise ConfigError(
            name, share, f"none of the run's steps ({steps}) is for it: choose a larger share, or more steps"
        )
