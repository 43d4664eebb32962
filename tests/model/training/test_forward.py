"""The encoder on jax against the encoder on NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from thresher.model import load_model
from thresher.model.activations import ACTIVATIONS
from thresher.model.load import as_batch, as_types
from thresher.model.training.forward import run

from ..test_families import CLASSIFIERS, write_case
from .conftest import SEED, examples_of, letters


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_numpy(name):
    x = np.linspace(-6, 6, 101, dtype=np.float32)
    wanted = ACTIVATIONS[name](x)
    assert isinstance(wanted, np.ndarray)
    assert np.asarray(ACTIVATIONS[name](jnp.asarray(x))) == pytest.approx(wanted, abs=2e-6)  # pyright: ignore[reportArgumentType]


def test_outputs_are_those_of_numpy(default_model):
    """Within 1e-5, padded or not: in one batch of one padded length, and each text alone without padding."""
    texts = ["a warm film", "cold , slow and pointless", "so-so", "what a waste of a good cast and a fine script !"]
    examples = examples_of(default_model, texts)
    for batch in examples.batches(4):
        logits, states = compiled(examples.encoder, batch)
        for row in range(int(batch["weights"].sum())):
            tokens = [examples.tokens[batch["rows"][row]]]
            ids, types = as_batch(tokens), as_types(tokens)
            wanted = default_model.encoder.hidden_states(ids, types=types)[0]
            assert np.asarray(states[-1][row, : len(tokens[0])]) == pytest.approx(wanted, abs=1e-5)
            assert np.asarray(logits[row]) == pytest.approx(default_model.outputs_of(tokens)[0], abs=1e-5)


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_families(family, tmp_path):
    model = load_model(write_case(tmp_path / "model", CLASSIFIERS[family]))
    random = np.random.default_rng(SEED)
    ids = random.integers(3, model.config.vocab_size, (2, 7))
    wanted = model.encoder.logits(ids)
    padding = model.config.padding or 0
    padded = np.concatenate([ids, np.full((2, 3), padding)], axis=1)
    positions, types = model.encoder.places(padded)
    valid = (np.arange(10) < 7) * np.ones((2, 1), np.float32)
    batch = {"ids": padded, "positions": np.array(positions), "types": types, "valid": valid.astype(np.float32)}
    logits, states = compiled(model.encoder, batch)
    assert np.asarray(logits) == pytest.approx(wanted, abs=1e-5), f"seed {SEED}"
    assert len(states) == model.config.num_hidden_layers


def test_more_padding_changes_nothing(small):
    examples = examples_of(small, letters(6))
    rows = np.arange(6)
    batch = examples.batch(rows, 6)
    short = np.asarray(compiled(examples.encoder, batch)[0])
    places = {"ids": 0, "positions": 0, "types": 0, "valid": 0.0}
    longer = {name: np.pad(batch[name], ((0, 0), (0, 5)), constant_values=fill) for name, fill in places.items()}
    longer["ids"][:, -5:] = 3  # what a padded position holds does not matter
    assert np.asarray(compiled(examples.encoder, longer)[0]) == pytest.approx(short, abs=1e-5), f"seed {SEED}"


def test_gradients_reach_every_array(small, examples):
    batch = examples.batch(np.arange(20), 20)

    def total(parameters):
        return (run(examples.encoder.with_parameters(parameters), batch)[0][:, 0] ** 2).sum()

    gradients = jax.jit(jax.grad(total))(examples.encoder.parameters())
    missing = [path for path, each in jax.tree_util.tree_leaves_with_path(gradients) if not np.abs(each).max() > 0]
    assert all("key" in str(path) and "bias" in str(path) for path in missing)  # softmax ignores what all keys share


def compiled(encoder, batch):
    return jax.jit(lambda parameters: run(encoder.with_parameters(parameters), batch))(encoder.parameters())
