"""Masks of the patterns of all weight formats."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from thresher.model.pruning.patterns import prune_unstructured
from thresher.model.training.forward import run
from thresher.model.training.masks import chosen_masks, full_masks, masked, sparsity_of
from thresher.spec import WeightFormat, spmm_preset

ENGINE = spmm_preset("edge")


def chosen(encoder, sparsity, weight_format=WeightFormat.CSR, **options):
    return chosen_masks(encoder, sparsity, weight_format=weight_format, config=ENGINE, **options)


def test_unstructured_masks_are_those_of_pruning(small):
    masks = chosen(small.encoder, 0.6)
    for name, linear in small.encoder.linears().items():
        assert np.array_equal(masks[name], prune_unstructured(linear.weight, 0.6)[0])
    assert sparsity_of(masks) == pytest.approx(0.6, abs=0.01)
    assert sparsity_of(full_masks(small.encoder)) == 0


def test_a_global_ranking_prunes_matrices_differently(small):
    masks = chosen(small.encoder, 0.6, global_ranking=True)
    assert sparsity_of(masks) == pytest.approx(0.6, abs=0.001)
    assert len({mask.mean() for mask in masks.values()}) > 2


def test_groups_have_their_sparsity_from_the_first_time_on(small):
    masks = chosen(small.encoder, 0.1, WeightFormat.NM)
    assert sparsity_of(masks) == 0.5


def test_own_zeros_are_kept(small):
    first = masked(small.encoder, chosen(small.encoder, 0.6))
    again = chosen(first, "keep")
    for name, linear in first.linears().items():
        assert np.array_equal(again[name], linear.weight != 0)


def test_pruned_weights_have_no_gradient(small, examples):
    batch = examples.batch(np.arange(20), 20)
    masks = {name: jnp.asarray(mask, jnp.float32) for name, mask in chosen(small.encoder, 0.6).items()}

    def total(parameters):
        return (run(masked(examples.encoder.with_parameters(parameters), masks), batch)[0][:, 0] ** 2).sum()

    gradients = examples.encoder.with_parameters(jax.jit(jax.grad(total))(examples.encoder.parameters()))
    for name, linear in gradients.linears().items():
        assert not np.any(np.asarray(linear.weight)[masks[name] == 0])
        assert np.any(np.asarray(linear.weight)[masks[name] == 1])
