"""Random heads for tests of whole cores, in shapes and settings that reach the corners."""

import dataclasses

import numpy as np
from thresher.golden import HeadResult, attention_head
from thresher.spec import AttentionConfig, Head, HeadCommand, head_command

from .hdl.common import CORNERS, int8


def random_head(config: AttentionConfig, rng: np.random.Generator) -> Head:
    """A legal head: any lengths and dimension, a spiky or flat softmax, sometimes pruned, sometimes saturating."""
    lq, lk = (int(rng.integers(1, config.max_length + 1)) for _ in range(2))
    d = int(rng.integers(1, config.max_head_dim + 1))
    corner = str(rng.choice(CORNERS, p=[0.6, 0.1, 0.1, 0.1, 0.1]))
    q, k, v = (int8(rng, length, d, corner=corner) for length in (lq, lk, lk))
    command = head_command(
        config,
        query_length=lq,
        key_length=lk,
        head_dim=d,
        score_scale=float(10 ** rng.uniform(-5, -2.5)),
        output_scale=float(10 ** rng.uniform(-1, 0.7)),
        rho=float(rng.choice([-1, -0.4, 0, 0.3, 0.7, 0.99])),
    )
    if rng.random() < 0.15:
        command = dataclasses.replace(command, head_threshold=(1 << config.head_sum_bits) - 1)
    return command, q, k, v


def edge_heads(config: AttentionConfig, rng: np.random.Generator) -> list[Head]:
    """The ends of every size, dense and sparse, one after another; those that take long in one of the two ways."""
    heads = []
    longest, deepest = config.max_length, config.max_head_dim
    both = (-1.0, 0.5)
    for lq, lk, d, rhos in (
        (longest, longest, deepest, (-1.0,)),
        (1, 1, 1, both),
        (1, longest, deepest, both),
        (longest, 1, 1, both),
        (longest - 1, longest - 1, max(1, deepest - 1), (0.5,)),
    ):
        for rho in rhos:
            q, k, v = int8(rng, lq, d), int8(rng, lk, d), int8(rng, lk, d)
            command = head_command(
                config,
                query_length=lq,
                key_length=lk,
                head_dim=d,
                score_scale=1e-4,
                output_scale=1.0,
                rho=rho,
            )
            heads.append((command, q, k, v))
    return heads


def refused_heads(config: AttentionConfig) -> list[Head]:
    """Commands with each length and dimension just outside what the core takes."""
    nothing = np.zeros((0, 0), np.int8)
    good = {"query_length": 1, "key_length": 1, "head_dim": 1}
    widths = {"query_length": config.max_length, "key_length": config.max_length, "head_dim": config.max_head_dim}
    heads = []
    for name, largest in widths.items():
        for value in (0, largest + 1, (1 << largest.bit_length()) - 1):
            if value == 0 or value > largest:
                heads.append((HeadCommand(**{**good, name: value}), nothing, nothing, nothing))
    return heads


def golden_results(config: AttentionConfig, heads: list[Head]) -> list[HeadResult]:
    """What the core must answer."""
    return [attention_head(config, *head) for head in heads]
