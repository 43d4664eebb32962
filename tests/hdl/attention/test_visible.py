"""Causal heads on whole cores, pipelined and compact, compared with the golden model, and their cycles."""

import dataclasses

import numpy as np
import pytest
from thresher.sim.attention import AttentionSimulator
from thresher.spec import (
    BlockRule,
    Fill,
    Head,
    HeadCommand,
    HeadRule,
    Importance,
    Normalise,
    Score,
    coprocessor_preset,
    head_command,
)

from ...heads import check_heads
from ...operands import CORNERS, int8
from ..configs import both_kinds, tiny
from .test_core import run

RULES = [(rule, fill) for rule in BlockRule for fill in Fill if rule is BlockRule.THRESHOLD or fill is not Fill.SKIP]
POLICIES = {
    f"{rule}-{fill}-{normalise}": {
        "block_rule": rule,
        "fill": fill,
        "normalise": normalise,
        "head_rule": list(HeadRule)[(index + number) % 2],
    }
    for index, (rule, fill) in enumerate(RULES)
    for number, normalise in enumerate(Normalise)
}
"""Every block rule, fill and time of normalisation; the head rules take turns."""
SHAPES = [
    {},
    {"block": 4, "predictor_blocks": 2, "max_head_dim": 12, "lanes": 4, "predictor_lanes": 4, "output_lanes": 2},
    {"predictor_blocks": 2, "max_length": 10},
    {"predictor_blocks": 4, "max_head_dim": 4, "predictor_lanes": 4, "importance": Importance.MAX},
]
CONFIGS = both_kinds(
    {
        name: tiny(causal=True, **policy, **SHAPES[index % len(SHAPES)])
        for index, (name, policy) in enumerate(POLICIES.items())
    }
    | {
        "sum": tiny(causal=True, importance=Importance.SUM, score=Score.APPROX, predictor_blocks=2),
        "abs_sum": tiny(causal=True, importance=Importance.ABS_SUM, block=4, fill=Fill.ZERO),
        "shortest": tiny(causal=True, max_length=2, max_head_dim=2, predictor_lanes=2),
    }
)


def causal_head(config, rng, lq, lk, *, corner="random", **settings) -> Head:
    """A causal head, with a peaked or a flat softmax."""
    d = int(rng.integers(1, config.max_head_dim + 1))
    real = {"score_scale": float(10 ** rng.uniform(-4.5, -2.4)), "output_scale": 1.0, "causal": True} | settings
    command = head_command(config, query_length=lq, key_length=lk, head_dim=d, **real)
    q, k, v = (int8(rng, length, d, corner=corner) for length in (lq, lk, lk))
    return command, q, k, v


def lengths(config):
    """Lq = 1, length 1, Lq = Lk odd and even, and Lq < Lk with odd and even offsets."""
    most = config.max_length
    pairs = [
        (1, 1),
        (1, most),
        (most, most),
        (most - 1, most - 1),
        (most - 1, most),
        (2, most),
        (3, most),
        (most // 2, most),
    ]
    return sorted({(lq, lk) for lq, lk in pairs if 1 <= lq <= lk})


def heads_of_every_kind(config, rng):
    """Causal heads of every length, at both ends of ρ and between, pruned, refused, and heads that are not causal."""
    rhos = (-1.0, 255 / 256, 0.3, -0.5, 0.0)
    heads = [
        causal_head(config, rng, lq, lk, rho=rhos[index % len(rhos)]) for index, (lq, lk) in enumerate(lengths(config))
    ]
    most = config.max_length
    command, *operands = causal_head(config, rng, most, most, rho=0.5)
    everything = (1 << config.head_sum_bits) - 1
    heads.append((dataclasses.replace(command, head_threshold=everything), *operands))
    heads += [causal_head(config, rng, most - 1, most, rho=0.2, causal=False), causal_head(config, rng, most, most)]
    nothing = np.zeros((0, 0), np.int8)
    for lq, lk in ((2, 1), (most, most - 1)):
        heads.insert(3, (HeadCommand(query_length=lq, key_length=lk, head_dim=1, causal=1), nothing, nothing, nothing))
    return heads


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_causal_heads_match_golden(name):
    config, seed = CONFIGS[name], 21
    stall = (0.0, 0.3, 0.6)[list(CONFIGS).index(name) % 3]
    run(config, heads_of_every_kind(config, np.random.default_rng(seed)), seed=seed, stall=stall)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CONFIGS if "background" in name])
def test_operands_at_their_ends_match_golden(name):
    config, seed = CONFIGS[name], 22
    rng = np.random.default_rng(seed)
    most = config.max_length
    heads = [
        causal_head(config, rng, lq, most, corner=corner, rho=rho)
        for corner in CORNERS
        for lq, rho in ((most, -1.0), (most - 1, 0.5), (most, 255 / 256))
    ]
    run(config, heads, seed=seed, stall=0.1)


@pytest.mark.parametrize("kind", ["pipelined", "compact"])
def test_few_causal_heads_match_golden(kind):
    """A quick run of each kind of core."""
    config, seed = dataclasses.replace(CONFIGS[f"{kind}-threshold-background-late"], max_length=6), 23
    rng = np.random.default_rng(seed)
    heads = [causal_head(config, rng, *shape, rho=0.3) for shape in ((6, 6), (3, 6))]
    run(config, heads, seed=seed, stall=0.2)


def test_a_head_threshold_counts_what_is_seen():
    """θ_H of a causal head reaches its own threshold, and misses one that is larger by one."""
    config, seed = dataclasses.replace(CONFIGS["pipelined-threshold-background-late"], max_length=6), 24
    ones = np.full((6, 8), 16, np.int8)
    heads = []
    for above in (0, 1):
        command = HeadCommand(query_length=5, key_length=6, head_dim=8, causal=1, head_threshold=8 * 20 + above)
        heads.append((command, ones[:5], ones, ones))
    run(config, heads, seed=seed, stall=0.0)


@pytest.mark.slow
def test_a_causal_head_takes_about_half_the_cycles():
    """The predictor and the array skip what lies beyond the diagonal, and the option costs other heads nothing."""
    plain, seed = coprocessor_preset("tiny").attention, 25
    config = dataclasses.replace(plain, causal=True)
    rng = np.random.default_rng(seed)
    heads = []
    for _ in range(4):
        command = head_command(
            config, query_length=64, key_length=64, head_dim=64, score_scale=1e-4, output_scale=1.0, causal=True
        )
        heads.append((command, *(int8(rng, 64, 64) for _ in range(3))))
    whole = [(dataclasses.replace(command, causal=0), *operands) for command, *operands in heads]
    cycles = []
    for core, batch in ((config, heads), (config, whole), (plain, whole)):
        with AttentionSimulator(core) as simulator:
            runs = simulator.run(batch)
        check_heads(core, batch, runs, seed)
        cycles.append(runs[-1].finished - runs[0].finished)
    causal, other, without = cycles
    assert other == without
    assert 0.5 < causal / other < 0.56
