"""The ρ that gives a sparsity."""

from dataclasses import replace

import numpy as np
import pytest
from thresher.golden import attention_head
from thresher.runtime.attention_bench import find_rho, random_heads
from thresher.spec import POLICIES, PRESETS, ConfigError, preset

TINY = PRESETS["tiny"]


def _sparsity(config, heads, rho: int) -> float:
    kept = [
        attention_head(config, replace(command, rho=rho), q, k, v).statistics.kept_blocks for command, q, k, v in heads
    ]
    return 1 - float(np.mean(kept)) / 64


@pytest.mark.parametrize("policy", POLICIES)
def test_no_other_rho_comes_nearer(policy):
    config = preset("tiny", policy=policy)
    heads = random_heads(config, length=15, head_dim=8, heads=5, seed=0)
    reached = {rho: _sparsity(config, heads, rho) for rho in range(-256, 256)}
    for wanted in (0.0, 0.1, 0.5, 0.8):
        best = min(abs(value - wanted) for value in reached.values())
        assert abs(reached[find_rho(config, heads, wanted)] - wanted) == pytest.approx(best), wanted


def test_zero_is_dense():
    heads = random_heads(TINY, length=16, head_dim=8, heads=5, seed=0)
    assert find_rho(TINY, heads, 0.0) == -256


def test_impossible_sparsities_are_rejected():
    heads = random_heads(TINY, length=16, head_dim=8, heads=5, seed=0)
    with pytest.raises(ConfigError, match=r"from 0 to 0\.875: a block row keeps"):
        find_rho(TINY, heads, 0.95)


def test_rows_that_keep_nothing_allow_every_sparsity():
    config = preset("tiny", policy="probability")
    heads = random_heads(config, length=16, head_dim=8, heads=5, seed=0)
    assert _sparsity(config, heads, find_rho(config, heads, 0.95)) == pytest.approx(0.95, abs=0.02)
