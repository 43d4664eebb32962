"""INT8 that keeps zeros zero."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from thresher.model.pruning.int8 import SCALE_RANGE, quantise_pruned
from thresher.model.pruning.patterns import prune_unstructured
from thresher.spec import ThresherError

SPARSITIES = st.floats(0, 1, exclude_max=True)


@given(
    weights=arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(-9, 9, width=32)),
    sparsity=SPARSITIES,
)
def test_quantised_values_are_near_and_zeros_stay_zero(weights, sparsity):
    mask, _ = prune_unstructured(weights, sparsity)
    found = quantise_pruned(weights, mask)
    assert (found.values.dtype, found.scales.dtype) == (np.int8, np.float32)
    assert not found.values[~mask].any()
    assert found.values.min() >= -127
    assert np.isfinite(found.scales).all()
    assert (found.scales > 0).all()
    error = np.abs(found.dequantise().astype(np.float64) - np.where(mask, weights, 0))
    assert (error <= found.scales[:, None] * (0.5 + 1e-4)).all()


def test_scales_of_rows():
    weights = np.array([[2.54, -1.27, 0.001], [0, 0, 0], [1e-7, 0, 0], [9, 0, 0.254]], np.float32)
    mask = np.ones(weights.shape, bool)
    mask[3, 0] = False
    found = quantise_pruned(weights, mask)
    floor = 0.02 * SCALE_RANGE
    assert found.scales == pytest.approx([0.02, floor, floor, 0.002])
    assert found.values.tolist() == [[127, -64, 0], [0, 0, 0], [0, 0, 0], [0, 0, 127]]


@pytest.mark.parametrize("value", [0.0, 1e-44, 1e-38])
def test_scale_of_a_matrix_of_zeros_is_usable(value):
    found = quantise_pruned(np.full((2, 3), value), np.ones((2, 3), bool))
    assert found.scales == pytest.approx(1 / 127)
    assert not found.values.any()


GOOD = np.ones((4, 8), np.float32)
NAN = GOOD.copy()
NAN[2, 3] = np.nan


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantise_pruned(NAN, np.ones((4, 8), bool)), "row 2, column 3"),
        (lambda: quantise_pruned(GOOD, np.ones((4, 7), bool)), "mask is bool"),
        (lambda: quantise_pruned(GOOD, GOOD), "mask is float32"),  # pyright: ignore[reportArgumentType]
        (lambda: quantise_pruned(np.full((1, 2), 1e300), np.ones((1, 2), bool)), "beyond float32"),
    ],
)
def test_refusals_are_one_line(call, message):
    with pytest.raises(ThresherError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
