"""What a training run does, and what it refuses before any work."""

from dataclasses import replace

import pytest
from thresher.model.pruning.patterns import KEEP
from thresher.model.training.masks import chosen_masks, masked
from thresher.model.training.settings import TrainingSettings
from thresher.runtime.train_plan import check_options, plan_run
from thresher.spec import ConfigError, InputError, WeightFormat, coprocessor_preset

from ..model.training.conftest import examples, small

__all__ = ["examples", "small"]

TINY = coprocessor_preset("tiny")
HARDWARE = replace(TINY, spmm=replace(TINY.spmm, banks=4))
"""A bank of the small model's rows has 3 columns, or 5."""


def planned(small, examples, *, epochs=None, steps=10, batch=8, **settings):
    chosen = TrainingSettings(steps=steps, batch=batch, **settings)
    return plan_run(chosen, small.encoder, examples, epochs=epochs, config=HARDWARE)


@pytest.mark.parametrize("epochs", [float("nan"), float("inf"), 0.0, -1.0])
def test_epochs_are_positive_numbers(epochs):
    with pytest.raises(ConfigError, match="must be a positive number"):
        check_options(TrainingSettings(steps=1), epochs=epochs, has_teacher=False)


def test_hidden_states_need_a_teacher():
    settings = TrainingSettings(steps=1, hidden_weight=1.0)
    check_options(settings, epochs=None, has_teacher=True)
    with pytest.raises(ConfigError, match="--teacher"):
        check_options(settings, epochs=None, has_teacher=False)


def test_epochs_set_the_number_of_steps(small, examples):
    batches = examples.count(8)
    assert planned(small, examples, batch=8, epochs=2.0).settings.steps == 2 * batches
    assert planned(small, examples, batch=8, epochs=1e-9).settings.steps == 1
    for epochs in (1e30, 1e308):
        with pytest.raises(ConfigError, match="steps at most"):
            planned(small, examples, batch=8, epochs=epochs)


def test_a_batch_has_at_most_all_examples(small, examples):
    count = len(examples.tokens)
    plan = planned(small, examples, batch=10**8, epochs=1.0)
    assert (plan.settings.batch, plan.settings.steps) == (count, examples.count(count))
    assert plan.notes == (f"a batch has all {count} examples, not 100000000",)
    assert planned(small, examples, batch=count).notes == ()


def test_the_sparsity_is_checked_with_the_own_matrices(small, examples):
    """Banks of 3 columns keep at least one, and of 3 columns, 0.5 prunes two."""
    bbs = WeightFormat.BBS
    assert planned(small, examples, weight_format=bbs, sparsity=1 / 3).settings.sparsity == 1 / 3
    with pytest.raises(ConfigError, match="a bank of 3 columns must keep one weight"):
        planned(small, examples, weight_format=bbs, sparsity=0.9)
    (note,) = planned(small, examples, weight_format=bbs, sparsity=0.5).notes
    assert note.startswith("bbs weights have a sparsity of 0.6")
    assert note.endswith(", not 0.5")


def test_formats_with_one_sparsity(small, examples):
    assert planned(small, examples, weight_format=WeightFormat.NM).settings.sparsity == 0.5
    assert planned(small, examples, weight_format=WeightFormat.DENSE).settings.sparsity is None
    assert planned(small, examples).settings.sparsity is None
    with pytest.raises(ConfigError, match=r"must be 0\.5 for 2:4 weights"):
        planned(small, examples, weight_format=WeightFormat.NM, sparsity=0.75)


def test_kept_groups_must_fit(small, examples):
    """The message is that of packing, with the matrix."""
    with pytest.raises(InputError, match=r"attention\.self\.query: row 0, columns 0 to 3 have 4 weights, more than 2"):
        planned(small, examples, weight_format=WeightFormat.NM, sparsity=KEEP)
    masks = chosen_masks(small.encoder, 0.5, weight_format=WeightFormat.NM, config=HARDWARE.spmm)
    pruned = replace(small, encoder=masked(small.encoder, masks))
    assert planned(pruned, examples, weight_format=WeightFormat.NM, sparsity=KEEP).notes == ()


def test_attention_is_checked_before_the_teacher_runs(small, examples):
    with pytest.raises(ConfigError, match="give quantise, too"):
        planned(small, examples, rho=0.5)
    assert planned(small, examples, rho=0.5, quantise=0.5).settings.rho == 0.5
