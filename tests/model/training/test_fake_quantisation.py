"""Fake quantisation against the integer encoder of the golden model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from thresher.model.integer import integer_encoder
from thresher.model.load import as_batch, as_types, calibration_sentences, length_batches
from thresher.model.training.fake_quantisation import fake_units, quantised, rounding
from thresher.model.training.forward import run

from ..integer.test_encoder import outputs, relative_error
from .conftest import SEED, examples_of


def fake_logits(encoder, units, batch):
    on_jax = encoder.with_parameters(jax.tree.map(jnp.asarray, encoder.parameters()))
    return run(quantised(on_jax, units), batch, observe=rounding(units))[0]


@pytest.mark.slow
def test_outputs_are_near_those_of_golden(default_model):
    """Three times nearer than those in float32: what is left out of fake quantisation is small."""
    tokens = [default_model.encode(sentence, truncate=True) for sentence in calibration_sentences()]
    batches = [[tokens[i] for i in batch] for batch in length_batches(tokens)]
    ids, types = [as_batch(batch) for batch in batches], [as_types(batch) for batch in batches]
    integer = integer_encoder(default_model.encoder, ids)
    units = fake_units(default_model.encoder, ids, types)
    wanted = np.concatenate([outputs(default_model, integer, each) for each in ids[:8]])
    plain = np.concatenate([default_model.outputs(each) for each in ids[:8]])
    found = []
    for each, kinds in zip(ids[:8], types, strict=False):
        positions, kinds = default_model.encoder.places(each, kinds)
        batch = {"ids": each, "positions": np.array(positions), "types": kinds}
        found.append(
            np.asarray(fake_logits(default_model.encoder, units, batch | {"valid": np.ones(each.shape, np.float32)}))
        )
    assert relative_error(np.concatenate(found), wanted) < relative_error(plain, wanted) / 3


def test_values_are_whole_units(small):
    examples = examples_of(small, ["a b c d e", "f g h", "a a b h", "c d"])
    units = fake_units(examples.encoder, *examples.unpadded(np.arange(4)))
    seen = {}

    def keep(layer, tensor, values):
        found = rounding(units)(layer, tensor, values)
        if found is not None:
            seen[f"{layer}/{tensor}"] = np.asarray(found) / np.asarray(units[f"{layer}/{tensor}/scale"])
        return found

    on_jax = examples.encoder.with_parameters(jax.tree.map(jnp.asarray, examples.encoder.parameters()))
    run(quantised(on_jax, units), examples.batch(np.arange(4), 4), observe=keep)
    assert {name.rpartition("/")[0] for name in units} - {"words", "places"} == set(seen)
    for name, integers in seen.items():
        whole = integers + np.asarray(units[f"{name}/zero"])
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


def test_gradients_pass_through_the_rounding(small, examples):
    batch = examples.batch(np.arange(20), 20)
    units = fake_units(examples.encoder, *examples.unpadded(np.arange(20)))

    def loss(parameters, fake):
        encoder = examples.encoder.with_parameters(parameters)
        logits = fake_logits(encoder, units, batch) if fake else run(encoder, batch)[0]
        return jax.nn.log_softmax(logits)[:, 0].sum()

    parameters = jax.tree.map(jnp.asarray, examples.encoder.parameters())
    exact, through = (jax.tree.leaves(jax.grad(loss)(parameters, fake)) for fake in (False, True))
    flat = [np.concatenate([np.asarray(leaf).ravel() for leaf in leaves]) for leaves in (exact, through)]
    cosine = flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    assert cosine > 0.9, f"seed {SEED}"
