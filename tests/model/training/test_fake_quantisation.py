"""Fake quantisation against the integer encoder of the golden model."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from thresher.model import load_model
from thresher.model.encoder import ignore
from thresher.model.integer import integer_encoder
from thresher.model.load import calibration_sentences, length_batches
from thresher.model.training.fake_quantisation import fake_units, quantised, rounding
from thresher.model.training.forward import run
from thresher.model.training.loop import Computation
from thresher.model.training.settings import TrainingSettings
from thresher.spec import InputError, preset

from ..integer.test_encoder import hidden_of
from ..test_families import CLASSIFIERS, write_case
from .conftest import SEED, examples_of


def fake_logits(encoder, units, batch):
    def compute(parameters):
        return run(quantised(encoder.with_parameters(parameters), units), batch, observe=rounding(units))[0]

    return jax.jit(compute)(encoder.parameters())


def test_states_are_near_those_of_golden(default_model):
    """Nearly all integers of the last layer's output differ from golden's by at most one.

    Those of the encoder in float32, rounded to the same units, differ more. What is left comes from the softmax and
    LayerNorm in integers, whose small errors make other values round the other way.
    """
    texts = [text for text in calibration_sentences() if len(text.split()) <= 12][:24]
    examples = examples_of(default_model, texts)
    rows = np.arange(len(texts))
    ids, types = examples.unpadded(rows)
    integer = integer_encoder(examples.encoder, ids, types=types)
    units = fake_units(examples.encoder, ids, types)
    model, last = replace(default_model, encoder=examples.encoder), len(examples.encoder.layers) - 1
    wanted = np.concatenate([text.T for each in ids for text in hidden_of(model, integer, each)]).astype(int)
    batch = examples.batch(rows, len(texts))

    def compute(parameters, fake):
        encoder = examples.encoder.with_parameters(parameters)
        encoder, observe = (quantised(encoder, units), rounding(units)) if fake else (encoder, ignore)
        return run(encoder, batch, observe=observe)[1][-1] / units[f"{last}/output_norm/scale"]

    errors = []
    for fake in (True, False):
        states = np.asarray(jax.jit(partial(compute, fake=fake))(examples.encoder.parameters()))
        order = [i for group in length_batches(examples.tokens) for i in group]
        found = np.concatenate([states[i, : len(examples.tokens[i])] for i in order])
        errors.append(np.abs(np.rint(found) - wanted))
    assert (errors[0] <= 1).mean() > 0.95
    assert np.square(errors[0]).mean() < 0.7 * np.square(errors[1]).mean()


def test_values_are_whole_units(small):
    examples = examples_of(small, ["a b c d e", "f g h", "a a b h", "c d"])
    units = fake_units(examples.encoder, *examples.unpadded(np.arange(4)))
    batch = examples.batch(np.arange(4), 4)

    def compute(parameters):
        seen = {}

        def keep(layer, tensor, values):
            found = rounding(units)(layer, tensor, values)
            if found is not None:
                seen[f"{layer}/{tensor}"] = found / units[f"{layer}/{tensor}/scale"]
            return found

        run(quantised(examples.encoder.with_parameters(parameters), units), batch, observe=keep)
        return seen

    seen = jax.jit(compute)(examples.encoder.parameters())
    assert {name.rpartition("/")[0] for name in units} - {"words", "places"} == set(seen)
    for name, integers in seen.items():
        whole = np.asarray(integers) + np.asarray(units[f"{name}/zero"])
        assert whole == pytest.approx(np.rint(whole), abs=1e-3), name
        assert np.abs(whole).max() <= 128.001, name


def test_weights_are_whole_units_of_their_rows_and_zeros_stay(small):
    examples = examples_of(small, ["a b c d e", "f g h"])
    weights = {name: linear for name, linear in examples.encoder.linears().items()}
    name = next(iter(weights))
    weights[name].weight[0, :3] = 0
    units = fake_units(examples.encoder, *examples.unpadded(np.arange(2)))
    found = np.asarray(quantised(examples.encoder, units).linears()[name].weight) * units["0/input/scale"]
    assert not found[0, :3].any()
    integers = found / np.abs(found).max(axis=1, keepdims=True) * 127
    assert integers == pytest.approx(np.rint(integers), abs=1e-3)


@pytest.mark.slow
def test_gradients_pass_through_the_rounding(small, examples):
    batch = examples.batch(np.arange(20), 20)
    units = fake_units(examples.encoder, *examples.unpadded(np.arange(20)))

    def loss(parameters, fake):
        encoder = examples.encoder.with_parameters(parameters)
        logits = run(encoder, batch)[0]
        if fake:
            logits = run(quantised(encoder, units), batch, observe=rounding(units))[0]
        return jax.nn.log_softmax(logits)[:, 0].sum()

    parameters = jax.tree.map(jnp.asarray, examples.encoder.parameters())
    exact, through = (
        jax.tree.leaves(jax.jit(jax.grad(partial(loss, fake=fake)))(parameters)) for fake in (False, True)
    )
    flat = [np.concatenate([np.asarray(leaf).ravel() for leaf in leaves]) for leaves in (exact, through)]
    cosine = flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    assert cosine > 0.9, f"seed {SEED}"


@pytest.mark.parametrize("family", [family for family in CLASSIFIERS if family != "mpnet"])
def test_every_family_can_be_rounded(family, tmp_path):
    model = load_model(write_case(tmp_path / "model", CLASSIFIERS[family]))
    ids = np.random.default_rng(SEED).integers(3, model.config.vocab_size, (6, 7))
    positions, types = model.encoder.places(ids)
    batch = {"ids": ids, "positions": np.array(positions), "types": types, "valid": np.ones(ids.shape, np.float32)}
    units = fake_units(model.encoder, [ids], [types])
    found, wanted = np.asarray(fake_logits(model.encoder, units, batch)), model.encoder.logits(ids)
    assert np.abs(found - wanted).max() < 0.2 * np.abs(wanted).max(), f"seed {SEED}"
    assert not np.array_equal(found, wanted)


def test_a_bias_of_the_scores_is_rejected(tmp_path):
    encoder = load_model(write_case(tmp_path / "model", CLASSIFIERS["mpnet"])).encoder
    with pytest.raises(InputError, match="adds no bias"):
        Computation(encoder, TrainingSettings(steps=1, quantise=0.5), preset("edge"))
