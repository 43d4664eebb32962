"""Losses against plain computations."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from thresher.model.training.distillation import hidden_loss, label_loss, logit_loss, matched_layers

SEED = 7


def test_label_loss():
    logits = jnp.array([[0.0, 0.0], [2.0, 0.0]])
    wanted = [math.log(2), math.log(1 + math.exp(2))]
    assert np.asarray(label_loss(logits, jnp.array([0, 1]))) == pytest.approx(wanted, rel=1e-6)


def test_logit_loss_is_the_divergence():
    random = np.random.default_rng(SEED)
    student, teacher = random.normal(0, 2, (2, 5, 3))
    found = np.asarray(logit_loss(jnp.asarray(student), jnp.asarray(teacher), 3.0))
    for row, (a, b) in enumerate(zip(student, teacher, strict=True)):
        p, q = np.exp(b / 3) / np.exp(b / 3).sum(), np.exp(a / 3) / np.exp(a / 3).sum()
        assert found[row] == pytest.approx(9 * (p * np.log(p / q)).sum(), abs=1e-5), f"seed {SEED}"
    assert np.asarray(logit_loss(jnp.asarray(teacher), jnp.asarray(teacher), 3.0)) == pytest.approx(0, abs=1e-5)


def test_gradients_hardly_depend_on_the_temperature():
    logits, teacher = jnp.array([[0.1, -0.1]]), jnp.array([[0.3, -0.2]])
    low, high = (jax.grad(lambda x, t=t: logit_loss(x, teacher, t).sum())(logits) for t in (2.0, 8.0))
    assert np.asarray(low) == pytest.approx(np.asarray(high), rel=0.1)


def test_layers_are_matched_evenly():
    assert matched_layers(2, 6) == [2, 5]
    assert matched_layers(2, 2) == [0, 1]
    assert matched_layers(3, 2) == [0, 0, 1]


def test_hidden_loss_ignores_padding():
    random = np.random.default_rng(SEED)
    a, b = (jnp.asarray(random.normal(size=(2, 4, 3))) for _ in range(2))
    valid = jnp.array([[1.0, 1, 0, 0], [1, 1, 1, 1]])
    found = np.asarray(hidden_loss([a, a], [b, b], valid))
    assert found[0] == pytest.approx(np.square(a - b)[0, :2].mean(), rel=1e-5), f"seed {SEED}"
    assert found[1] == pytest.approx(np.square(a - b)[1].mean(), rel=1e-5), f"seed {SEED}"
