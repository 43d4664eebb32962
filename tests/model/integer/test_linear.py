"""Dense layers and LayerNorms in integers, beside float."""

import numpy as np
import pytest
from thresher.golden.vector.layer_norm import add_and_normalise
from thresher.model.encoder import LayerNorm, Linear
from thresher.model.integer.linear import integer_norm, integer_product
from thresher.model.integer.units import ChannelUnits, Residual
from thresher.model.moments import MomentSums
from thresher.spec import InputError, spmm_preset

ENGINE = spmm_preset("tiny")
RNG = np.random.default_rng(0)


def linear(rows: int, columns: int) -> Linear:
    weight, bias = RNG.normal(size=(rows, columns)), RNG.normal(size=rows)
    return Linear(weight.astype(np.float32), bias.astype(np.float32))


def test_product_is_close_to_float():
    layer, columns = linear(20, 30), np.ldexp(1.0, RNG.integers(-8, -4, 30))
    q = RNG.integers(-128, 128, (30, 9)).astype(np.int8)
    wanted = layer((q.T * columns).astype(np.float32)).T
    rows = np.abs(wanted).max(axis=1) / 127
    found = integer_product(layer, columns=columns, rows=rows)(ENGINE, q)
    assert np.abs(found - wanted / rows[:, None]).max() < 3


def test_zero_points_are_exact():
    """Integer weights and units of 1: the results are exact."""
    weight = RNG.integers(-127, 128, (6, 10)).astype(np.float32)
    weight[:, 0] = 127  # so that a row's scale is 1
    layer = Linear(weight, np.arange(6, dtype=np.float32) * 200)
    zeros = RNG.integers(-128, 128, 10)
    q = RNG.integers(-128, 128, (10, 7)).astype(np.int8)
    rows = np.full(6, 1024.0)
    product = integer_product(layer, columns=np.ones(10), rows=rows, column_zero=zeros, row_zero=-5)
    exact = (weight.astype(np.int64) @ (q - zeros[:, None]) + layer.bias.astype(np.int64)[:, None]) / 1024 - 5
    assert product(ENGINE, q).tolist() == np.clip(np.floor(exact + 0.5), -128, 127).tolist()


def test_a_pruned_row_gives_its_bias():
    layer = Linear(np.zeros((2, 4), np.float32), np.array([0.5, -3], np.float32))
    product = integer_product(layer, columns=np.ones(4), rows=np.array([0.01, 0.1]))
    assert product(ENGINE, np.full((4, 1), 99, np.int8)).ravel().tolist() == [50, -30]


def test_a_bias_beyond_all_results_is_refused():
    layer = Linear(np.zeros((1, 4), np.float32), np.array([1e6], np.float32))
    with pytest.raises(InputError, match="a bias is too large"):
        integer_product(layer, columns=np.ones(4), rows=np.array([0.01]))


def test_a_product_of_four_bits_is_close_to_float():
    layer, columns = linear(20, 300), np.ldexp(1.0, RNG.integers(-8, -4, 300))
    q = RNG.integers(-128, 128, (300, 9)).astype(np.int8)
    wanted = layer((q.T * columns).astype(np.float32)).T
    rows = np.abs(wanted).max(axis=1) / 127
    product = integer_product(layer, columns=columns, rows=rows, weight_bits=4)
    assert np.abs(np.asarray(product.weights)).max() <= 8
    found = product(spmm_preset("edge"), q) * rows[:, None]
    assert np.square(found - wanted).sum() < 0.02 * np.square(wanted).sum()


@pytest.mark.parametrize("pruned", [0, 0.5])
def test_moments_of_the_input_make_four_bits_more_exact(pruned):
    """Correlated inputs with a mean: rounding takes up the errors of other weights, and the bias their mean."""
    layer, columns = linear(20, 120), np.ldexp(1.0, RNG.integers(-8, -4, 120))
    weight = np.where(RNG.random(layer.weight.shape) < pruned, 0, layer.weight)
    layer = Linear(weight.astype(np.float32), layer.bias)
    mixed = RNG.normal(size=(120, 15)) @ RNG.normal(size=(15, 500)) + RNG.normal(size=(120, 1)) * 4
    q = np.clip(np.rint(mixed * 8), -128, 127).astype(np.int8)
    zeros = RNG.integers(-9, 9, 120)
    real = (q - zeros[:, None]).T * columns
    wanted = layer(real.astype(np.float32)).T
    rows = np.abs(wanted).max(axis=1) / 127
    sums = MomentSums(120)
    sums.observe(real.astype(np.float32))
    errors = []
    for inputs in (None, sums.moments()):
        product = integer_product(layer, columns=columns, rows=rows, column_zero=zeros, weight_bits=4, inputs=inputs)
        assert not np.asarray(product.weights)[layer.weight == 0].any()
        errors.append(np.square(product(spmm_preset("edge"), q) * rows[:, None] - wanted).mean())
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize("eps", [1e-12, 1e-5, 0.3])
def test_norm_is_close_to_float(eps):
    channels, tokens = 64, 50
    norm = LayerNorm(
        RNG.uniform(0.1, 4, channels).astype(np.float32), RNG.normal(size=channels).astype(np.float32), eps
    )
    sums = Residual(unit=2.0**-9, x_shift=RNG.integers(0, 6, channels), y_shift=RNG.integers(0, 6, channels))
    x, y = RNG.integers(-128, 128, (2, channels, tokens)).astype(np.int8)
    real = x * np.ldexp(sums.unit, sums.x_shift)[:, None] + y * sums.y_scales[:, None]
    wanted = norm(real.T.astype(np.float32)).T
    needed = np.abs(wanted).max(axis=1) / 127
    units = ChannelUnits(unit=needed.min(), exponents=np.ceil(np.log2(needed / needed.min())).astype(np.int64))
    found, saturations = add_and_normalise(integer_norm(norm, sums, units), x, y)
    assert saturations == 0
    assert np.abs(found - wanted / units.scales[:, None]).max() < 0.7
