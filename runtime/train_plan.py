"""Settings of a training run, completed and checked before any work."""

import math
from dataclasses import dataclass, replace

import numpy as np

from ..model.encoder import Encoder
from ..model.pruning.formats import FormatPattern, fixed_sparsity
from ..model.pruning.patterns import KEEP, Sparsity
from ..model.training.data import Examples
from ..model.training.loop import Computation
from ..model.training.masks import check_packs, chosen_masks
from ..model.training.schedule import Phases
from ..model.training.settings import MOST_STEPS, TrainingSettings
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import ConfigError
from ..spec.spmm_config import SpmmConfig
from .products import sparsity_note

__all__ = ["Plan", "check_options", "plan_run"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a training run does.

    Attributes
    ----------
    settings : TrainingSettings
    notes : tuple of str
        Where they differ from what was asked for.
    """

    settings: TrainingSettings
    notes: tuple[str, ...]


def check_options(settings: TrainingSettings, *, epochs: float | None, has_teacher: bool) -> None:
    """Check what needs no model and no text.

    Raises
    ------
    ConfigError
        The number of epochs is not positive, or hidden states have a weight without a teacher.
    """
    if epochs is not None and not (math.isfinite(epochs) and epochs > 0):
        raise ConfigError("epochs", epochs, "must be a positive number")
    if settings.hidden_weight and not has_teacher:
        raise ConfigError(
            "hidden_weight", settings.hidden_weight, "only a teacher has these states: give --teacher, too"
        )


def plan_run(
    settings: TrainingSettings, encoder: Encoder, examples: Examples, *, epochs: float | None, config: CoprocessorConfig
) -> Plan:
    """Complete the settings of a run, and check them with its model and texts.

    Parameters
    ----------
    settings : TrainingSettings
        Without a sparsity, it is that of a format that has only one. A batch has at most all examples.
    encoder : Encoder
        The start.
    epochs : float, optional
        Sets the number of steps, in place of that of the settings.
    config : CoprocessorConfig
        Whose engine has the pattern, and whose attention cores the policy.

    Raises
    ------
    ConfigError
        The format cannot have the sparsity, or the number of steps is too large, or too small for a phase.
        Attention is to be pruned without fake quantisation.
    InputError
        The own pattern of the model is not one of the format, or training cannot have the policy.
    """
    notes, count = [], len(examples.tokens)
    if settings.batch > count:
        notes.append(f"a batch has all {count} examples, not {settings.batch}")
        settings = replace(settings, batch=count)
    settings = replace(settings, steps=_steps(settings, examples, epochs), sparsity=_sparsity(settings, config.spmm))
    Phases.of(settings)
    Computation(encoder, settings, config.attention)
    return Plan(settings=settings, notes=(*notes, *_pattern_notes(settings, encoder, config.spmm)))


def _steps(settings: TrainingSettings, examples: Examples, epochs: float | None) -> int:
    if epochs is None:
        return settings.steps
    batches = examples.count(settings.batch)
    if epochs * batches > MOST_STEPS:
        raise ConfigError(
            "epochs", epochs, f"must be at most {MOST_STEPS // batches}, as a run has {MOST_STEPS} steps at most"
        )
    return max(1, round(epochs * batches))


def _sparsity(settings: TrainingSettings, config: SpmmConfig) -> Sparsity | None:
    """The sparsity, or that of a format that has only one."""
    if settings.sparsity is not None:
        return settings.sparsity
    return fixed_sparsity(config, settings.weight_format) or None


def _pattern_notes(settings: TrainingSettings, encoder: Encoder, config: SpmmConfig) -> list[str]:
    """Check that the start can be pruned as it will be at the end, and say how far."""
    sparsity, weight_format = settings.sparsity, settings.weight_format
    if sparsity is None:
        return []
    ranking = settings.global_ranking
    FormatPattern(config=config, weight_format=weight_format, sparsity=sparsity, global_ranking=ranking)
    masks = chosen_masks(encoder, sparsity, weight_format=weight_format, config=config, global_ranking=ranking)
    if sparsity == KEEP:
        check_packs(masks, weight_format, config=config)
    counts = {
        "nonzeros": sum(int(np.count_nonzero(linear.weight)) for linear in encoder.linears().values()),
        "stored": sum(int(mask.sum()) for mask in masks.values()),
        "total": sum(mask.size for mask in masks.values()),
    }
    note = sparsity_note(config, weight_format, sparsity, **counts)
    return [] if note is None else [note]
