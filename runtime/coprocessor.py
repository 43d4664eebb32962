"""A whole encoder in integers: the golden model, with its heads on a backend."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..golden.encoder import class_scores, encode
from ..model.integer import IntegerEncoder
from ..model.load import Model
from ..model.quantise import Int8
from ..model.sentence import run_steps
from ..model.weights import Float32
from ..spec.attention_command import HeadCommand
from ..spec.attention_config import AttentionConfig
from ..spec.heads import Head
from ..spec.spmm_config import SpmmConfig
from .attention import AttentionTotals, count_heads, run_heads
from .backends import Backend

__all__ = ["Coprocessor", "integer_outputs"]


@dataclass(frozen=True, kw_only=True)
class Coprocessor:
    """A model's encoder in integers, and the hardware that it runs on.

    Parameters
    ----------
    integer : IntegerEncoder
    engine : SpmmConfig
        Computes the products.
    """

    integer: IntegerEncoder
    engine: SpmmConfig


def integer_outputs(
    model: Model,
    coprocessor: Coprocessor,
    ids: NDArray[np.int64],
    types: NDArray[np.int64] | None = None,
    *,
    config: AttentionConfig,
    backend: Backend,
    rho: float = -1.0,
    tau: float = 0.0,
) -> tuple[Float32, AttentionTotals]:
    """Outputs of the head, or embeddings, of texts of one length.

    Parameters
    ----------
    model : Model
    coprocessor : Coprocessor
        Made of this model.
    ids, types : (batch, length) int64
        Token ids and types.
    config : AttentionConfig
        Hardware of the heads.
    backend : Backend
        Runs the heads.
    rho, tau : float
        Block and head threshold of every head.

    Returns
    -------
    outputs : (batch, outputs) float32
        Integers in their real units. What comes after the pooling of a sentence embedding is computed in float32.
    totals : AttentionTotals

    Raises
    ------
    InputError
        The model does not fit the hardware.
    ConfigError
        A threshold is out of range.
    """
    integer, engine, head_dim = coprocessor.integer, coprocessor.engine, model.config.head_dim
    totals = AttentionTotals()

    def commands(layer: int, length: int) -> HeadCommand:
        scales = integer.attention.layers[layer]
        return scales.command(config, length=length, head_dim=head_dim, rho=rho, tau=tau)

    def attend(heads: Sequence[Head]) -> list[Int8]:
        nonlocal totals
        outputs, statistics = run_heads(config, backend, heads)
        totals += count_heads(config, heads, statistics)
        return outputs

    texts = integer.texts(model.encoder, ids, types)
    hidden = encode(engine, integer.golden, texts, commands=commands, attend=attend)
    if model.is_classifier:
        scores = class_scores(engine, integer.golden, hidden).T
        return (scores * integer.output_scale).astype(np.float32), totals
    scales = np.ldexp(integer.output_scale, integer.golden.output_shift)
    states = (np.stack(hidden).swapaxes(1, 2) * scales).astype(np.float32)
    return run_steps(model.steps, states), totals
