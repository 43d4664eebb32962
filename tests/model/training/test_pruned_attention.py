"""Pruned attention in float32 against the attention core of the golden model."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from thresher.golden.attention.core import attention_head
from thresher.model.quantise import LayerScales
from thresher.model.training.pruned_attention import check_policy, kept_positions, pruned_attention
from thresher.spec import InputError, preset

CONFIG = preset("edge")
SEED = 11
LENGTH, DIM = 24, 16


def heads(lengths):
    random = np.random.default_rng(SEED)
    q, k, v = np.clip(np.rint(random.normal(0, 40, (3, len(lengths), 2, LENGTH, DIM))), -127, 127).astype(np.int8)
    valid = (np.arange(LENGTH) < np.array(lengths)[:, None]).astype(np.float32)
    return q, k, v, valid


@pytest.mark.parametrize("rho", [-1.0, -0.5, 0.0, 0.45, 0.9])
def test_blocks_are_those_of_golden(rho):
    """Also of texts of odd length, whose last block reaches beyond them. What stands in the padding does not matter."""
    lengths = (24, 13, 7, 1)
    q, k, v, valid = heads(lengths)
    kept, background = kept_positions(
        CONFIG, jnp.asarray(q, jnp.int32), jnp.asarray(k, jnp.int32), jnp.asarray(valid), rho
    )
    for text, length in enumerate(lengths):
        for head in range(2):
            scales = LayerScales(q=0.02, k=0.03, v=0.01, o=0.01)
            command = scales.command(CONFIG, length=length, head_dim=DIM, rho=rho)
            parts = [x[text, head, :length] for x in (q, k, v)]
            trace = attention_head(CONFIG, command, *parts).trace
            assert trace is not None
            wanted = trace.selection.mask.repeat(2, 0).repeat(2, 1)[:length, :length]
            assert np.array_equal(kept[text, head, :length, :length], wanted), f"seed {SEED}"
            scores = trace.selection.background.repeat(2)[:length]
            assert np.array_equal(background[text, head, :length, 0], scores), f"seed {SEED}"


@pytest.mark.parametrize("rho", [-1.0, 0.45])
def test_outputs_are_near_those_of_golden(rho):
    """Within two units of the output: golden rounds the weights of the softmax and the output."""
    lengths = (24, 13, 7)
    q, k, v, valid = heads(lengths)
    scales = LayerScales(q=0.02, k=0.03, v=0.01, o=0.01)
    units = {f"0/{name}/scale": np.float32(value) for name, value in (("query", 0.02), ("key", 0.03), ("value", 0.01))}
    attend = pruned_attention(jnp.asarray(valid), units, CONFIG, rho)
    real: Any = [jnp.asarray(x * np.float32(s)) for x, s in ((q, 0.02), (k, 0.03), (v, 0.01))]
    found = np.asarray(attend(0, *real)) / scales.o
    for text, length in enumerate(lengths):
        command = scales.command(CONFIG, length=length, head_dim=DIM, rho=rho)
        for head in range(2):
            wanted = attention_head(CONFIG, command, *(x[text, head, :length] for x in (q, k, v))).output
            assert found[text, head, :length] == pytest.approx(wanted, abs=2), f"seed {SEED}"


def test_other_policies_are_rejected():
    check_policy(CONFIG)
    for policy in ("hdp", "probability"):
        with pytest.raises(InputError, match="thresher only"):
            check_policy(preset("edge", policy=policy))
    with pytest.raises(InputError):
        check_policy(replace(CONFIG, fill="zero"))
