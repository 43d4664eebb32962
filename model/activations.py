"""Activation functions in float32, under the names of ``config.json``."""

from collections.abc import Callable

import numpy as np
from scipy.special import erf, expit

from .weights import Float32

__all__ = ["ACTIVATIONS", "gelu", "gelu_tanh", "relu", "silu"]


def gelu(x: Float32) -> Float32:
    """x · Φ(x), with the distribution function Φ of the normal distribution."""
    return x * np.float32(0.5) * (1 + erf(x * np.float32(np.sqrt(0.5))))


def gelu_tanh(x: Float32) -> Float32:
    """The approximation of :func:`gelu` with tanh."""
    inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * (x * x * x))
    return x * np.float32(0.5) * (1 + np.tanh(inner))


def relu(x: Float32) -> Float32:
    """max(x, 0)."""
    return np.maximum(x, np.float32(0))


def silu(x: Float32) -> Float32:
    """x · sigmoid(x)."""
    return x * expit(x)


ACTIVATIONS: dict[str, Callable[[Float32], Float32]] = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": relu,
    "silu": silu,
    "swish": silu,
    "tanh": np.tanh,
}
