"""Residual addition and LayerNorm: against float, a second computation in Python integers, and corners."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.golden.vector.layer_norm import LayerNorm, add_and_normalise
from thresher.golden.vector.reciprocal_root import reciprocal_root
from thresher.spec import InputError

SHIFT = 6


def layer_norm(channels: int, *, seed: int = 0, **replaced) -> LayerNorm:
    """Random parameters: a deviation is about 32 units of the output."""
    rng = np.random.default_rng(seed)
    given = {
        "x_shift": rng.integers(0, 10, channels),
        "y_shift": rng.integers(0, 10, channels),
        "gain": np.rint(rng.uniform(16, 48, channels) * 2**SHIFT).astype(np.int64),
        "bias": np.rint(rng.uniform(-10, 10, channels) * 2 ** (SHIFT + 10)).astype(np.int64),
        "shift": SHIFT,
    }
    return LayerNorm(**given | replaced)


def operands(channels: int, tokens: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-128, 128, (2, channels, tokens)).astype(np.int8)
    return x, y


def exact(norm: LayerNorm, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """LayerNorm in float64, without rounding or clipping."""
    v = x * 2.0 ** norm.x_shift[:, None] + y * 2.0 ** norm.y_shift[:, None]
    variance = v.var(axis=0) + norm.epsilon / norm.channels**2
    normalised = (v - v.mean(axis=0)) / np.sqrt(variance)
    return (normalised * 1024 * norm.gain[:, None] + norm.bias[:, None]) / 2.0 ** (10 + norm.shift)


@pytest.mark.parametrize("channels", [2, 3, 128, 384, 1000, 1024])
def test_close_to_float(channels):
    norm = layer_norm(channels, seed=channels)
    x, y = operands(channels, 40, channels)
    output, saturations = add_and_normalise(norm, x, y)
    wanted = exact(norm, x, y)
    # Half a unit of rounding; in n, the operand's and n's own rounding and the error of 1/√m.
    in_n = 1.5 / 1024 + 2.2e-4 * np.abs(wanted - norm.bias[:, None] / 2.0 ** (10 + SHIFT)).max() / 16
    assert np.abs(output - wanted.clip(-128, 127)).max() <= 0.5 + in_n * norm.gain.max() / 2**SHIFT
    assert saturations == pytest.approx(((wanted < -128.5) | (wanted >= 127.5)).sum(), abs=0.01 * x.size)


def by_hand(norm: LayerNorm, x: list[int], y: list[int]) -> list[int]:
    """One token in Python integers and rational numbers."""
    v = [a * 2 ** int(s) + b * 2 ** int(t) for a, s, b, t in zip(x, norm.x_shift, y, norm.y_shift, strict=True)]
    total = sum(v)
    variance = norm.channels * sum(value**2 for value in v) - total**2 + norm.epsilon
    (mantissa,), (exponent,) = reciprocal_root(np.array([variance]))
    results = []
    for value, gain, bias in zip(v, norm.gain, norm.bias, strict=True):
        operand = Fraction((norm.channels * value - total) * 2**11, 2 ** int(exponent)) // 1
        normalised = (Fraction(operand * int(mantissa), 2**17) + Fraction(1, 2)) // 1
        normalised = max(-(2**15), min(2**15 - 1, normalised))
        result = (Fraction(normalised * int(gain) + int(bias), 2 ** (10 + norm.shift)) + Fraction(1, 2)) // 1
        results.append(max(-128, min(127, result)))
    return results


@given(st.data(), st.integers(1, 9))
def test_by_hand(data, channels):
    def draw(low: int, high: int) -> np.ndarray:
        return np.array(data.draw(st.lists(st.integers(low, high), min_size=channels, max_size=channels)))

    norm = LayerNorm(
        x_shift=draw(0, 9),
        y_shift=draw(0, 9),
        gain=draw(-(1 << 15), (1 << 15) - 1),
        bias=draw(-(1 << 31), (1 << 31) - 1),
        shift=data.draw(st.integers(0, 31)),
        epsilon=data.draw(st.sampled_from([0, 1, 1000, (1 << 32) - 1])),
    )
    x, y = draw(-128, 127), draw(-128, 127)
    output, _ = add_and_normalise(norm, x.astype(np.int8)[:, None], y.astype(np.int8)[:, None])
    assert output[:, 0].tolist() == by_hand(norm, x.tolist(), y.tolist())


@pytest.mark.parametrize("value", [-128, 0, 127])
def test_equal_channels_give_the_bias(value):
    norm = layer_norm(384, x_shift=np.full(384, 9), y_shift=np.full(384, 9))
    x = np.full((384, 3), value, np.int8)
    output, _ = add_and_normalise(norm, x, x)
    assert (output == np.floor(norm.bias / 2.0 ** (10 + norm.shift) + 0.5)[:, None]).all()


def test_one_channel_gives_its_bias():
    norm = layer_norm(1, bias=np.array([5 << 16]))
    output, _ = add_and_normalise(norm, np.array([[127, -128]], np.int8), np.array([[3, -128]], np.int8))
    assert output.tolist() == [[5, 5]]


@pytest.mark.parametrize(("peak", "wanted"), [(127, 127), (-128, -128)])
def test_the_largest_normalised_value(peak, wanted):
    """One channel of 1024 that differs from all others is √1023 deviations from the mean: n = ±32752."""
    shift = np.full(1024, 9)
    given = {"gain": np.full(1024, 1 << 12), "bias": np.zeros(1024, np.int64), "shift": 10}
    norm = layer_norm(1024, x_shift=shift, y_shift=shift, **given)
    x = np.full((1024, 1), -1 - peak, np.int8)
    x[7] = peak
    output, _ = add_and_normalise(norm, x, x)
    assert output[7, 0] == wanted
    assert set(np.delete(output[:, 0], 7)) == {0}


def test_epsilon_shrinks_the_result():
    """±1 has the variance 1. An epsilon of three variances doubles the deviation."""
    x = np.tile(np.array([1, -1], np.int8), 64)[:, None]
    given = {name: np.zeros(128, np.int64) for name in ("x_shift", "y_shift", "bias")}
    found = []
    for epsilon in (0, 3 * 128 * 128):
        norm = LayerNorm(**given, gain=np.full(128, 64 << 8), shift=8, epsilon=epsilon)
        found.append(set(np.abs(add_and_normalise(norm, x, np.zeros_like(x))[0]).flat))
    assert found == [{64}, {32}]


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"x_shift": np.full(4, 10)}, "x_shift must be from 0 to 9"),
        ({"y_shift": np.full(4, -1)}, "y_shift must be from 0 to 9"),
        ({"gain": np.full(4, 1 << 15)}, "gain must be from"),
        ({"bias": np.full(3, 0)}, "bias must be integers of shape"),
        ({"bias": np.full(4, 0.5)}, "bias must be integers of shape"),
        ({"shift": 32}, "shift must be from 0 to 31"),
        ({"epsilon": -1}, "epsilon must be from 0"),
        ({"gain": np.zeros(0, np.int64)}, "from 1 to 1024 channels, not 0"),
    ],
)
def test_wrong_parameters(replaced, message):
    with pytest.raises(InputError, match=message):
        layer_norm(4, **replaced)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((3, 2), np.int8), np.zeros((3, 2), np.int8)),
        (np.zeros((4, 2), np.int8), np.zeros((4, 3), np.int8)),
        (np.zeros((4, 2), np.int16), np.zeros((4, 2), np.int8)),
        (np.zeros(4, np.int8), np.zeros(4, np.int8)),
    ],
)
def test_wrong_operands(x, y):
    with pytest.raises(InputError, match="must be int8 of shape"):
        add_and_normalise(layer_norm(4), x, y)
