"""Phases of a training run."""

import pytest
from thresher.model.training.schedule import Phases
from thresher.model.training.settings import TrainingSettings
from thresher.spec import ConfigError


def test_phases():
    """The sparsity rises from 0 as a cubic between its two ends, and is reached exactly."""
    phases = Phases.of(TrainingSettings(steps=1000, stabilise=0.2, prune=0.5, quantise=0.1))
    assert (phases.start, phases.end, phases.quantise) == (200, 700, 900)
    changes = {step: share for step in range(1000) if (share := phases.change(step, 0.8)) is not None}
    assert list(changes) == list(range(200, 701, 5))
    assert changes[200] == 0
    assert changes[450] == pytest.approx(0.8 * (1 - 0.5**3))
    assert changes[700] == 0.8
    assert list(changes.values()) == sorted(changes.values())


def test_no_pruning_and_own_zeros():
    phases = Phases.of(TrainingSettings(steps=100))
    assert {phases.change(step, None) for step in range(100)} == {None}
    assert [step for step in range(100) if phases.change(step, "keep") == "keep"] == [0]


@pytest.mark.parametrize("steps", [2, 3, 7, 10])
@pytest.mark.parametrize("prune", [0.3, 0.5, 0.9])
def test_short_runs_reach_the_sparsity(steps, prune):
    phases = Phases.of(TrainingSettings(steps=steps, stabilise=0.1, prune=prune, sparsity=0.5))
    changes = [phases.change(step, 0.5) for step in range(steps)]
    assert 0.5 in changes


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("prune", {"steps": 10, "sparsity": 0.5, "stabilise": 1.0, "prune": 0.0}),
        ("prune", {"steps": 1, "sparsity": 0.5}),
        ("quantise", {"steps": 3, "quantise": 0.1}),
    ],
)
def test_phases_without_steps_are_rejected(name, settings):
    with pytest.raises(ConfigError, match="none of the run's steps") as error:
        Phases.of(TrainingSettings(**settings))
    assert error.value.field == name


def test_no_step_is_needed_without_pruning():
    for sparsity in (None, "keep"):
        Phases.of(TrainingSettings(steps=10, sparsity=sparsity, prune=0.0))


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"steps": 1 << 31},
            {"steps": 0},
            {"batch": 0},
            {"learning_rate": 0.0},
            {"temperature": -1.0},
            {"prune": 0.95},
        ),
        *({"dropout": 1.0}, {"learning_rate": float("nan")}, {"rho": 1.0}, {"seed": -1}, {"sparsity": 1.0}),
    ],
)
def test_bad_settings_are_rejected(changes):
    with pytest.raises(ConfigError) as error:
        TrainingSettings(**({"steps": 10} | changes))
    assert error.value.field in changes
