"""Cascade head pruning."""

import numpy as np
import pytest
from thresher.golden.baselines.spatten import CascadeHeads


def test_heads_of_little_importance_are_pruned_for_good():
    """Of 4 heads in 4 layers, p = 0.75 prunes 0, 1, 2 and 3."""
    cascade = CascadeHeads(4, 4, 0.75)
    assert not cascade.pruned.any()
    cascade.advance(np.array([5.0, 1, 2, 3]))
    np.testing.assert_array_equal(cascade.pruned, [0, 1, 0, 0])
    cascade.advance(np.array([0.0, 0, 4, 1]))  # in sum 5, 1, 6, 4
    np.testing.assert_array_equal(cascade.pruned, [0, 1, 0, 1])
    cascade.advance(np.array([9.0, 0, 1, 0]))
    np.testing.assert_array_equal(cascade.pruned, [0, 1, 1, 1])


@pytest.mark.parametrize("parameter", [0.0, 0.3, 1.0, 5.0])
def test_numbers_of_pruned_heads(parameter):
    counts = [CascadeHeads.count(layer, heads=12, layers=6, parameter=parameter) for layer in range(6)]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[-1] == min(round(12 * parameter), 11)


def test_one_layer():
    assert CascadeHeads.count(0, heads=2, layers=1, parameter=1.0) == 0
