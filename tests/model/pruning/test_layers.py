"""Encoders that are pruned layer after layer."""

import numpy as np
import pytest
from thresher.model import load_model
from thresher.model.encoder import Encoder
from thresher.model.pruning.formats import FormatPattern
from thresher.model.pruning.layers import prune_encoder, prune_linears
from thresher.model.pruning.method import METHODS, check_method
from thresher.model.pruning.obs import OBS
from thresher.model.pruning.statistics import StatisticsSums
from thresher.spec import ConfigError, InputError, WeightFormat, spmm_preset

from ..conftest import LAYERS

CONFIG = spmm_preset("tiny")
RANDOM = np.random.default_rng(5)
BATCHES = [RANDOM.integers(4, 12, (8, length)) for length in (5, 9, 12)]
HALF = FormatPattern(config=CONFIG, weight_format=WeightFormat.CSR, sparsity=0.5)


@pytest.fixture
def encoder(make_model) -> Encoder:
    return load_model(make_model()).encoder


def pruned(encoder: Encoder, pattern: FormatPattern, method: str, **options) -> Encoder:
    found = prune_encoder(encoder, pattern, method=check_method("method", method), batches=BATCHES, **options)
    assert list(found) == list(encoder.linears())
    return encoder.with_linears({name: each.linear for name, each in found.items()})


@pytest.mark.parametrize("method", METHODS)
def test_half_of_every_matrix_is_pruned(encoder, method):
    for linear in pruned(encoder, HALF, method).linears().values():
        assert (linear.weight == 0).mean() == pytest.approx(0.5, abs=0.01)


def test_second_order_pruning_is_the_nearest(encoder):
    ids = np.random.default_rng(6).integers(4, 12, (64, 10))
    wanted = encoder.hidden_states(ids)
    errors = {method: np.square(pruned(encoder, HALF, method).hidden_states(ids) - wanted).mean() for method in METHODS}
    assert errors["obs"] < 0.5 * min(errors["wanda"], errors["magnitude"], errors["random"])


def test_a_layer_is_pruned_on_the_inputs_of_the_pruned_encoder(encoder):
    """The last dense layer reads the results of all pruned ones. Its outputs shall be those of the dense encoder."""
    found = prune_encoder(encoder, HALF, method="obs", batches=BATCHES)
    other = encoder.with_linears({name: each.linear for name, each in found.items()})
    read: dict[str, list[np.ndarray]] = {"own": [], "dense": []}
    for ids in BATCHES:
        for key, each, tensor in (("own", other, "intermediate"), ("dense", encoder, "output")):

            def keep(layer, name, values, key=key, tensor=tensor):
                if (layer, name) == (LAYERS - 1, tensor):
                    read[key].append(values)

            each.hidden_states(ids, observe=keep)
    last = encoder.layers[-1].output
    sums = StatisticsSums(last.weight.shape[1], len(last.bias))
    for x, y in zip(read["own"], read["dense"], strict=True):
        sums.observe(encoder.activation(x), y)
    wanted = OBS.prune(last, sums.statistics(), HALF.choose)
    name = list(encoder.linears())[-1]
    assert np.array_equal(found[name].mask, wanted.mask)
    assert found[name].linear.weight == pytest.approx(wanted.linear.weight, abs=1e-4)
    assert found[name].linear.bias == pytest.approx(wanted.linear.bias, abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_global_ranking(encoder, method):
    pattern = FormatPattern(config=CONFIG, weight_format=WeightFormat.CSR, sparsity=0.6, global_ranking=True)
    calls = []
    found = prune_encoder(
        encoder, pattern, method=method, batches=BATCHES, progress=lambda done, total: calls.append((done, total))
    )
    kept, total = (sum(getattr(each.report, name) for each in found.values()) for name in ("kept", "total"))
    assert kept == total - round(0.6 * total)
    assert len({each.report.sparsity for each in found.values()}) > 2
    assert {each.report.pattern for each in found.values()} == {"global"}
    most = 6 * LAYERS * (1 if method == "magnitude" else 2)
    assert calls == [(done + 1, most) for done in range(most)]


@pytest.mark.parametrize(
    "pattern",
    [
        FormatPattern(config=CONFIG, weight_format=WeightFormat.DENSE),
        FormatPattern(config=CONFIG, weight_format=WeightFormat.CSR, sparsity="keep"),
    ],
)
def test_without_a_pattern_nothing_changes(encoder, pattern):
    """No sentences are needed then."""
    found = prune_encoder(encoder, pattern, method="obs")
    for name, linear in encoder.linears().items():
        assert np.array_equal(found[name].linear.weight, linear.weight)
        assert np.array_equal(found[name].linear.bias, linear.bias)


def test_magnitude_needs_no_sentences(encoder):
    found, wanted = prune_encoder(encoder, HALF, method="magnitude"), prune_linears(encoder.linears(), HALF)
    for name, each in found.items():
        assert np.array_equal(each.linear.weight, wanted[name].linear.weight)


@pytest.mark.parametrize("method", ["obs", "random"])
def test_same_sentences_same_result(encoder, method):
    first, second = (pruned(encoder, HALF, method).linears() for _ in range(2))
    assert all(np.array_equal(first[name].weight, second[name].weight) for name in first)


def test_refusals(encoder):
    with pytest.raises(InputError, match="no calibration sentence"):
        prune_encoder(encoder, HALF, method="obs")
    with pytest.raises(ConfigError, match="method='best' is not allowed: must be one of magnitude, wanda, obs, random"):
        check_method("method", "best")
    pattern = FormatPattern(config=CONFIG, weight_format=WeightFormat.BBS, sparsity=0.9)
    with pytest.raises(ConfigError, match="a bank of"):
        pruned(encoder, pattern, "obs")
    encoder.layers[1].key.weight[0, 0] = np.nan
    with pytest.raises(InputError, match=r"NaN or infinity"):
        pruned(encoder, HALF, "obs")
