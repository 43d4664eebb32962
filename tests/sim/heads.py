"""Random heads of every shape for the simulators of whole cores."""

import random

import numpy as np
from thresher.spec import AttentionConfig, CommandError, HeadCommand, head_command


def random_head(config: AttentionConfig, rng: random.Random):
    """A command of random legal shape and pruning, and its operands."""
    lq, lk = (
        rng.choice([1, 2, 3, config.max_length - 1, config.max_length, rng.randint(1, config.max_length)]) for _ in "qk"
    )
    d = rng.choice([1, config.max_head_dim, rng.randint(1, config.max_head_dim)])
    command = head_command(
        config,
        query_length=lq,
        key_length=lk,
        head_dim=d,
        score_scale=rng.choice([1e-4, 1e-3, 4e-3]),
        output_scale=rng.choice([0.5, 1.0, 3.0]),
        rho=rng.choice([-1.0, -0.5, 0.0, 0.5, 0.9]),
        tau=rng.choice([0.0, 0.0, 0.5, 4.0]),
    )
    numbers = np.random.default_rng(rng.getrandbits(32))
    sigma = rng.choice([5, 40, 1000])
    q, k, v = (np.clip(numbers.normal(0, sigma, (n, d)).round(), -128, 127).astype(np.int8) for n in (lq, lk, lk))
    return command, q, k, v


def refused_head(config: AttentionConfig, error: CommandError):
    """A command that the hardware refuses; it has no operands."""
    lengths = {"query_length": 1, "key_length": 1, "head_dim": 1}
    lengths[error.name.lower()] = 0
    command = HeadCommand(**lengths)
    assert command.rejection(config) is error
    empty = np.zeros((0, 0), np.int8)
    return command, empty, empty, empty


def random_heads(config: AttentionConfig, *, count: int, seed: int) -> list:
    """Heads of different shapes, every fifth of which is refused."""
    rng = random.Random(seed)
    errors = [error for error in CommandError if error is not CommandError.NONE]
    return [
        refused_head(config, rng.choice(errors)) if index % 5 == 3 else random_head(config, rng)
        for index in range(count)
    ]
