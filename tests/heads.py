"""Heads for tests of whole cores, and the comparison of their results with the golden model."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from thresher.golden import HeadResult, attention_head
from thresher.sim.attention import HeadRun
from thresher.spec import AttentionConfig, CommandError, Head, HeadCommand, head_command

from .operands import int8, random_corner


def random_head(config: AttentionConfig, rng: np.random.Generator) -> Head:
    """A head of any size, with a peaked or a flat softmax; some heads are pruned, some saturate.

    If the configuration has causal heads, half of the heads are causal. Those with more queries than keys are refused.
    """
    longest, deepest = config.max_length, config.max_head_dim
    lengths = [1, min(3, longest), longest - 1, longest]
    lq, lk = (lengths[index] if index < 4 else int(rng.integers(1, longest + 1)) for index in rng.integers(5, size=2))
    d = (1, deepest, int(rng.integers(1, deepest + 1)))[rng.integers(3)]
    corner = random_corner(rng)
    q, k, v = (int8(rng, length, d, corner=corner) for length in (lq, lk, lk))
    if corner == "random" and rng.random() < 0.5:
        q, k = q // 8, k // 8
    command = head_command(
        config,
        query_length=lq,
        key_length=lk,
        head_dim=d,
        score_scale=float(10 ** rng.uniform(-5, -2.4)),
        output_scale=float(10 ** rng.uniform(-1, 0.7)),
        rho=float(rng.choice([-1, -0.4, 0, 0.3, 0.7, 0.99])),
    )
    if config.causal and rng.random() < 0.5:
        command = dataclasses.replace(command, causal=1)
    if rng.random() < 0.15:
        command = dataclasses.replace(command, head_threshold=(1 << config.head_sum_bits) - 1)
    return command, q, k, v


def edge_heads(config: AttentionConfig, rng: np.random.Generator) -> list[Head]:
    """Heads at the ends of every length and dimension, dense and sparse."""
    longest, deepest = config.max_length, config.max_head_dim
    sizes = [
        (longest, longest, deepest, -1.0),
        (1, 1, 1, -1.0),
        (1, 1, 1, 0.5),
        (1, longest, deepest, -1.0),
        (1, longest, deepest, 0.5),
        (longest, 1, 1, 0.5),
        (longest - 1, longest - 1, max(1, deepest - 1), 0.5),
    ]
    return sized_heads(config, rng, sizes)


def sized_heads(
    config: AttentionConfig, rng: np.random.Generator, sizes: Sequence[tuple[int, int, int, float]]
) -> list[Head]:
    """Heads of these numbers of queries, keys and dimensions, and with these ρ."""
    heads = []
    for lq, lk, d, rho in sizes:
        command = head_command(
            config, query_length=lq, key_length=lk, head_dim=d, score_scale=1e-4, output_scale=1.0, rho=rho
        )
        heads.append((command, int8(rng, lq, d), int8(rng, lk, d), int8(rng, lk, d)))
    return heads


def refused_heads(config: AttentionConfig) -> list[Head]:
    """A command for each length and dimension just outside of what the core accepts. Refused heads have no operands."""
    nothing = np.zeros((0, 0), np.int8)
    good = {"query_length": 1, "key_length": 1, "head_dim": 1}
    largest = {"query_length": config.max_length, "key_length": config.max_length, "head_dim": config.max_head_dim}
    heads = []
    for name, limit in largest.items():
        most = (1 << limit.bit_length()) - 1
        for value in sorted({0, limit + 1, most}):
            if value == 0 or limit < value <= most:
                command = HeadCommand(**{**good, name: value})
                assert command.rejection(config) is CommandError[name.upper()]
                heads.append((command, nothing, nothing, nothing))
    return heads


def random_heads(config: AttentionConfig, *, count: int, seed: int) -> list[Head]:
    """Random heads; every fifth is refused."""
    rng = np.random.default_rng(seed)
    refused = refused_heads(config)
    return [
        refused[int(rng.integers(len(refused)))] if index % 5 == 3 else random_head(config, rng)
        for index in range(count)
    ]


def golden_results(config: AttentionConfig, heads: Sequence[Head]) -> list[HeadResult]:
    """The results of the golden model."""
    return [attention_head(config, *head) for head in heads]


def check_heads(config: AttentionConfig, heads: Sequence[Head], runs: Sequence[HeadRun], seed: int) -> None:
    """Compare outputs and statistics with the golden model, and cycles with each other."""
    assert len(runs) == len(heads)
    for index, (head, run, result) in enumerate(zip(heads, runs, golden_results(config, heads), strict=True)):
        where = f"seed {seed}, head {index}: {head[0]}"
        assert run.statistics == result.statistics, where
        if result.output is None:
            assert run.output is None, where
        else:
            assert run.output is not None, where
            assert run.output.dtype == np.int8, where
            np.testing.assert_array_equal(run.output, result.output, err_msg=where)
            assert run.statistics.cycles == run.finished - run.accepted, where
    finished = [run.finished for run in runs]
    assert finished == sorted(finished), f"seed {seed}"
