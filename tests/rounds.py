"""Rounds of the campaign of random tests (``bench/campaign.py``).

A round takes all its randomness from its kind and number: a configuration, then heads, products or programs with
random stalls.
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from thresher.golden.machine import Machine
from thresher.sim.attention import AttentionSimulator
from thresher.sim.coprocessor import CoprocessorSimulator
from thresher.sim.spmm import SpmmSimulator
from thresher.spec import coprocessor_preset
from thresher.spec.program import FaultCode, Region

from .heads import check_heads, random_heads
from .products import check_products, random_jobs
from .programs import RandomProgram
from .strategies import configs, drawn, spmm_configs

STALLS = (0.0, 0.1, 0.3, 0.7)
WIDE = 6
"""Every so many rounds, a configuration may be large."""

Checks = Iterator[tuple[int, Callable[[], None]]]
"""Pieces of a round: how many items each has, and a function that compares them."""


def batches(simulator: Any, number: int, count: int, make: Callable[..., Any], compare: Callable[..., None]) -> Checks:
    """Ten batches of so many heads or products."""
    with simulator:
        for seed in range(10 * number, 10 * number + 10):

            def check(seed: int = seed) -> None:
                work = make(count=count, seed=seed)
                compare(work, simulator.run(work), seed)

            yield count, check
            simulator.reset()


def attention_round(number: int, rng: np.random.Generator) -> Checks:
    """Heads of a random attention core."""
    largest = (256, 64) if number % WIDE == 0 else (32, 16)
    config = drawn(configs(largest_length=largest[0], largest_head_dim=largest[1]), number)
    count = int(np.clip(4e5 / (config.max_length**2 * config.max_head_dim), 0.05, 4) * 500)
    simulator = AttentionSimulator(config, stall=float(rng.choice(STALLS)), seed=number)
    return batches(simulator, number, count, partial(random_heads, config), partial(check_heads, config))


def product_round(number: int, rng: np.random.Generator) -> Checks:
    """Products of a random SpMM engine."""
    rows, lanes, columns = (16, 64, 2048) if number % WIDE == 0 else (4, 16, 256)
    config = drawn(spmm_configs(most_rows=rows, most_lanes=lanes, largest_columns=columns), number)
    simulator = SpmmSimulator(config, stall=float(rng.choice(STALLS)), seed=number)
    return batches(simulator, number, 1000, partial(random_jobs, config), partial(check_products, config))


def program_round(number: int, rng: np.random.Generator) -> Checks:
    """Programs of a co-processor with one to three attention cores of random rules."""
    tiny = coprocessor_preset("tiny")
    rules = drawn(configs(), number).policy
    attention = dataclasses.replace(tiny.attention, causal=bool(rng.integers(2)), **rules)
    config = dataclasses.replace(tiny, attention=attention, cores=int(rng.integers(1, 4)))
    with CoprocessorSimulator(config, stall=float(rng.choice(STALLS)), seed=number) as simulator:
        for seed in range(40):

            def check(seed: int = seed) -> None:
                length = int(rng.integers(4, 24))
                program = RandomProgram(config, np.random.default_rng(number * 100 + seed), length=length)
                expected = program.memory()
                assert Machine(config, expected).run(program.data).fault is None
                latency = (1, 1 + int(rng.integers(100)))
                run = simulator.run(program.memory().regions, program.data, max_cycles=10_000_000, latency=latency)
                assert run.finish.error is FaultCode.NONE, f"seed {seed}: {run.finish}"
                for region in Region:
                    assert np.array_equal(run.regions[region], expected.regions[region]), f"seed {seed}, {region.name}"

            yield 1, check


def checks(kind: str, number: int) -> Checks:
    """Pieces of a round. Its kind is ``attention``, ``product`` or ``program``."""
    rounds = {"attention": attention_round, "product": product_round, "program": program_round}
    return rounds[kind](number, np.random.default_rng([number, *kind.encode()]))
