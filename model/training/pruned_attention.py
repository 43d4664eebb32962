"""Attention with pruned blocks in float32, for training: what the attention core computes, without its rounding.

The kept blocks are exactly those of the golden model for the same INT8 operands. Gradients do not pass through the
choice of the blocks or through the score of the pruned ones.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...spec.attention_config import AttentionConfig, BlockRule, Fill, Importance, Split
from ...spec.errors import InputError
from ...spec.formats import INT8_PEAK, RHO_FRACTION
from ..encoder import Attend
from .fake_quantisation import attention_scales
from .forward import HIDDEN

__all__ = ["check_policy", "kept_positions", "pruned_attention"]

OUTSIDE = -(1 << 24)
"""Importance below that of every block inside a text."""


def check_policy(config: AttentionConfig) -> None:
    """Raise :class:`~thresher.spec.errors.InputError` unless the policy can be trained with."""
    rules = config.split, config.importance, config.block_rule, config.fill
    if rules != (Split.ROUND, Importance.MAX, BlockRule.THRESHOLD, Fill.BACKGROUND):
        raise InputError("attention is pruned during training by the policy thresher only: choose it")


def _predictions(config: AttentionConfig, q: jax.Array, k: jax.Array) -> jax.Array:
    """Products of the integer parts of INT8 values; see :func:`~thresher.golden.attention.predictor.predict`."""
    unit = 1 << config.fraction_bits
    parts = [jnp.minimum((x + unit // 2) // unit, INT8_PEAK // unit - 1).astype(jnp.float32) for x in (q, k)]
    return (parts[0] @ parts[1].swapaxes(-1, -2)).astype(jnp.int32)  # far below 2^24: exact


def _blocks(x: jax.Array, size: int) -> jax.Array:
    """(…, length, length) to (…, blocks, blocks, size²)."""
    *outer, rows, columns = x.shape
    parts = x.reshape(*outer, rows // size, size, columns // size, size)
    return jnp.moveaxis(parts, -3, -2).reshape(*outer, rows // size, columns // size, size * size)


def kept_positions(
    config: AttentionConfig, q: jax.Array, k: jax.Array, valid: jax.Array, rho: float
) -> tuple[jax.Array, jax.Array]:
    """Positions in kept blocks, and the background score of each query.

    See :func:`~thresher.golden.attention.selection.block_mask` and ``background_scores`` there.

    Parameters
    ----------
    q, k : (batch, heads, length, d) int32
        INT8 values.
    valid : (batch, length) float32
        0 where a text is padded. The length is a multiple of the block.
    rho : float

    Returns
    -------
    kept : (batch, heads, length, length) bool
    background : (batch, heads, length, 1) int32
        In units of q·k.
    """
    size, one = config.block, 1 << RHO_FRACTION
    inside = (valid[:, None, :, None] * valid[:, None, None, :]) > 0
    predicted = _predictions(config, q, k)
    counted = jnp.where(inside, predicted, 0)
    importance = _blocks(jnp.where(inside, predicted, OUTSIDE), size).max(axis=-1)
    exists = jnp.broadcast_to(_blocks(inside, size).any(axis=-1), importance.shape)
    count = exists.sum(axis=-1, keepdims=True)
    scaled = min(round(rho * one), one - 1)
    low, high = jnp.where(exists, importance, OUTSIDE), jnp.where(exists, importance, -OUTSIDE)
    extreme = low.max(axis=-1, keepdims=True) if scaled >= 0 else high.min(axis=-1, keepdims=True)
    total = jnp.where(exists, importance, 0).sum(axis=-1, keepdims=True)
    threshold = abs(scaled) * count * jnp.where(count > 0, extreme, 0) + (one - abs(scaled)) * total
    mask = exists & (count * one * jnp.where(exists, importance, 0) >= threshold)
    sizes = jnp.broadcast_to(_blocks(inside, size).sum(axis=-1), mask.shape)
    pruned = (jnp.where(mask, 0, _blocks(counted, size).sum(-1))).sum(-1, keepdims=True)
    pruned_count = jnp.where(mask, 0, sizes).sum(-1, keepdims=True)
    background = (pruned << (2 * config.fraction_bits)) // jnp.maximum(pruned_count, 1)
    return mask.repeat(size, axis=-2).repeat(size, axis=-1), background.repeat(size, axis=-2)


def _integers(x: jax.Array, scale: jax.Array) -> jax.Array:
    return jnp.rint(jax.lax.stop_gradient(x / scale)).astype(jnp.int32)


def pruned_attention(valid: jax.Array, units: Mapping[str, Any], config: AttentionConfig, rho: float) -> Attend:
    """Attention with pruned blocks, of operands that were rounded to ``units``.

    Parameters
    ----------
    valid : (batch, length) float32
    units : FakeUnits
    config : AttentionConfig
        With the policy ``thresher``; see :func:`check_policy`.
    rho : float
    """
    hidden = ((1 - valid) * HIDDEN)[:, None, None, :]

    def attend(layer: int, q: Any, k: Any, v: Any, bias: Any = None) -> Any:
        q_scale, k_scale = attention_scales(units, layer)
        integers = _integers(q, q_scale), _integers(k, k_scale)
        kept, background = kept_positions(config, *integers, valid, rho)
        unit = q_scale * k_scale / np.float32(math.sqrt(q.shape[-1]))
        scores = q @ k.swapaxes(-1, -2) / np.float32(math.sqrt(q.shape[-1]))
        return jax.nn.softmax(jnp.where(kept, scores, background * unit) + hidden) @ v

    return attend
