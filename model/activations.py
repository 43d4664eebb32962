"""Activation functions in float32, under the names of ``config.json``.

They compute with the library of their arrays, as the encoder does.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from .weights import Float32

__all__ = ["ACTIVATIONS", "SPECIAL", "gelu", "gelu_tanh", "relu", "silu", "tanh"]

SPECIAL: dict[Any, Any] = {np: scipy.special}
"""Module with ``erf`` and ``expit`` of each array library, which the array API lacks. Whoever computes with another
library adds its own."""


def _special(x: Float32) -> Any:
    return SPECIAL[x.__array_namespace__()]


def gelu(x: Float32) -> Float32:
    """x · Φ(x), with the distribution function Φ of the normal distribution."""
    return x * np.float32(0.5) * (1 + _special(x).erf(x * np.float32(np.sqrt(0.5))))


def gelu_tanh(x: Float32) -> Float32:
    """The approximation of :func:`gelu` with tanh."""
    inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * (x * x * x))
    return x * np.float32(0.5) * (1 + tanh(inner))


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return x.__array_namespace__().tanh(x)


def relu(x: Float32) -> Float32:
    """max(x, 0)."""
    return x.__array_namespace__().maximum(x, np.float32(0))


def silu(x: Float32) -> Float32:
    """x · sigmoid(x)."""
    return x * _special(x).expit(x)


ACTIVATIONS: dict[str, Callable[[Float32], Float32]] = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": relu,
    "silu": silu,
    "swish": silu,
    "tanh": tanh,
}
