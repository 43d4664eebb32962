"""Pruning by weight times norm of its input."""

from functools import partial

import numpy as np
import pytest
from thresher.model.encoder import Linear
from thresher.model.pruning import magnitude
from thresher.model.pruning.patterns import prune_groups, prune_unstructured
from thresher.model.pruning.wanda import WANDA

from .problems import problem, white

HALF = partial(prune_unstructured, sparsity=0.5)


def test_inputs_of_equal_norm_give_the_result_of_magnitude():
    linear = problem(1, 6, 16)[0]
    found, wanted = WANDA.prune(linear, white(linear), HALF), magnitude.prune(linear, HALF)
    assert np.array_equal(found.linear.weight, wanted.linear.weight)
    assert found.linear.bias == pytest.approx(linear.bias)


def test_a_weight_of_a_large_input_is_kept():
    linear = Linear(np.array([[1, 2, 3, 4]], np.float32), np.zeros(1, np.float32))
    statistics = white(linear)
    statistics.mean[0] = 10  # a mean counts as much as a variance
    found = WANDA.prune(linear, statistics, partial(prune_groups, kept=2, group=4))
    assert found.mask.tolist() == [[True, False, False, True]]
    assert found.linear.weight.tolist() == [[1, 0, 0, 4]]
    # Mean outputs are those wanted.
    assert found.linear.bias + found.linear.weight @ statistics.mean == pytest.approx(statistics.wanted)
