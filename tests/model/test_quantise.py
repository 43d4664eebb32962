"""Scales and rounding of post-training quantisation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from thresher.model.load import calibration_sentences
from thresher.model.quantise import AttentionScales, LayerScales, dequantise, load_scales, quantise
from thresher.spec import ThresherError, preset

SCALES = AttentionScales(
    method="percentile",
    percentile=99.9,
    sentences=3,
    layers=(LayerScales(q=0.1, k=1 / 3, v=1e-5, o=2.5e-6), LayerScales(q=1.0, k=0.02, v=3.0, o=4.0)),
)


@given(
    x=arrays(np.float32, st.integers(0, 20), elements=st.floats(-1e6, 1e6, width=32)),
    scale=st.floats(1e-6, 1e3),
)
def test_quantise_is_the_nearest_unit_or_clipped(x, scale):
    result = quantise("x", x, scale)
    assert result.dtype == np.int8
    units = x.astype(np.float64) / np.float32(scale)
    assert (np.abs(result - np.clip(units, -127, 127)) <= 0.5 + 1e-5).all()
    assert result.min(initial=0) >= -127
    assert np.array_equal(quantise("x", -x, scale), -result)


@given(values=arrays(np.int8, 10, elements=st.integers(-127, 127)), scale=st.floats(1e-6, 1e3))
def test_quantise_inverts_dequantise(values, scale):
    assert np.array_equal(quantise("x", dequantise(values, scale), scale), values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_rejected(bad):
    with pytest.raises(ThresherError, match="K of layer 3 holds NaN or infinity"):
        quantise("K of layer 3", np.array([0, bad], np.float32), 1.0)


def test_min_max_covers_everything_and_percentile_less(default_model):
    sentences = calibration_sentences()[:20]
    peaks = default_model.calibrate(sentences, method="min-max")
    within = default_model.calibrate(sentences, method="percentile", percentile=99)
    assert peaks.percentile == 100
    assert peaks.sentences == within.sentences == 20
    assert len(peaks.layers) == 2
    for whole, less in zip(peaks.layers, within.layers, strict=True):
        for name in "qkvo":
            assert 0.2 < getattr(less, name) / getattr(whole, name) < 1


def test_calibration_does_not_depend_on_order(default_model):
    sentences = calibration_sentences()[:12]
    forward = default_model.calibrate(sentences, percentile=99)
    backward = default_model.calibrate(sentences[::-1], percentile=99)
    for a, b in zip(forward.layers, backward.layers, strict=True):
        for name in "qkvo":
            assert getattr(a, name) == pytest.approx(getattr(b, name), rel=5e-3)


@pytest.mark.parametrize(
    ("sentences", "arguments", "message"),
    [
        ([], {}, "at least one"),
        (["fine"], {"percentile": 50}, "percentile=50"),
        (["fine"], {"percentile": 100.5}, "percentile=100.5"),
        (["fine"], {"method": "entropy"}, "method='entropy'"),
    ],
)
def test_calibration_refusals(default_model, sentences, arguments, message):
    with pytest.raises(ThresherError, match=message):
        default_model.calibrate(sentences, **arguments)


def test_json_round_trip(tmp_path):
    assert AttentionScales.from_json(SCALES.to_json()) == SCALES
    path = tmp_path / "scales.json"
    path.write_text(SCALES.to_json())
    assert load_scales(path) == SCALES


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "{'a", '{"layers": [{"q": 1}]}', SCALES.to_json().replace('"q": 1.0', '"q": -1.0')],
)
def test_bad_json_is_rejected_in_one_line(text):
    with pytest.raises(ThresherError) as caught:
        AttentionScales.from_json(text)
    assert "\n" not in str(caught.value)


def test_command_carries_the_scales():
    command = SCALES.layers[1].command(preset("edge"), length=5, head_dim=64, rho=-1.0)
    assert (command.query_length, command.key_length, command.head_dim, command.rho) == (5, 5, 64, -256)
    assert command.output_multiplier / 2**command.output_shift == pytest.approx(3 / 4)
