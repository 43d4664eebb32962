"""Losses against labels and against a teacher."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

__all__ = ["hidden_loss", "label_loss", "logit_loss", "matched_layers"]


def label_loss(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """(batch,) cross entropy of (batch, labels) logits and (batch,) classes."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], axis=-1)[:, 0]


def logit_loss(logits: jax.Array, teacher: jax.Array, temperature: float) -> jax.Array:
    """(batch,) divergence of the softened classes of a teacher and an encoder, times the temperature's square.

    See Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (arXiv 1503.02531). With the square,
    gradients do not depend on the temperature at first order.

    Parameters
    ----------
    logits, teacher : (batch, labels) float32
    temperature : float
    """
    wanted = jax.nn.log_softmax(teacher / temperature)
    found = jax.nn.log_softmax(logits / temperature)
    return temperature**2 * (jnp.exp(wanted) * (wanted - found)).sum(axis=-1)


def matched_layers(layers: int, teacher: int) -> list[int]:
    """The teacher's layer that each layer of an encoder learns from; the last one learns from the last one."""
    return [max(0, (number + 1) * teacher // layers - 1) for number in range(layers)]


def hidden_loss(states: Sequence[jax.Array], teacher: Sequence[jax.Array], valid: jax.Array) -> jax.Array:
    """(batch,) mean squared difference of the outputs of matched layers.

    Parameters
    ----------
    states, teacher : sequence of (batch, length, hidden) float32
        One per matched layer.
    valid : (batch, length) float32
        0 where a text is padded.
    """
    errors = [jnp.square(a - b).mean(axis=-1) for a, b in zip(states, teacher, strict=True)]
    return (sum(errors, jnp.zeros_like(valid)) * valid).sum(axis=-1) / (len(errors) * valid.sum(axis=-1))
