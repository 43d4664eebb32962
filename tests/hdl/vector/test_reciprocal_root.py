"""Variances and their reciprocal roots, compared with the golden model."""

from typing import NamedTuple

import numpy as np
import pytest
from amaranth.sim import Simulator
from thresher.golden.vector.reciprocal_root import reciprocal_root
from thresher.hdl.vector.reciprocal_root import ReciprocalRoots
from thresher.spec import VectorConfig


class Sums(NamedTuple):
    """Sums of a group; ``lanes`` are S1 and S2 of each lane."""

    channels: int
    epsilon: int
    lanes: list[tuple[int, int]]


def roots(config: VectorConfig, groups: list[Sums]) -> list[list[tuple[int, int]]]:
    """Mantissa and exponent of each lane of each group."""
    dut = ReciprocalRoots(config)
    found = []

    async def bench(ctx):
        for channels, epsilon, sums in groups:
            ctx.set(dut.channels, channels)
            ctx.set(dut.epsilon, epsilon)
            for i, (total, squares) in enumerate(sums):
                ctx.set(dut.totals[i], total)
                ctx.set(dut.squares[i], squares)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for cycle in range(1, dut.latency + 1):
                assert ctx.get(dut.done) == (cycle == dut.latency)
                await ctx.tick()
            found.append([(ctx.get(root.mantissa), ctx.get(root.exponent)) for root in (dut.roots[i] for i in lanes)])

    lanes = range(config.lanes)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def check(config: VectorConfig, groups: list[Sums]) -> None:
    for (channels, epsilon, sums), found in zip(groups, roots(config, groups), strict=True):
        for (total, squares), root in zip(sums, found, strict=True):
            variance = channels * squares - total**2 + epsilon
            mantissa, exponent = reciprocal_root(np.array([variance]))
            if variance:
                assert root == (mantissa[0], exponent[0]), f"V = {variance}"


def grouped(variances: list[int], lanes: int) -> list[Sums]:
    """Each variance as S2 of one channel, without S1."""
    return [
        Sums(1, 0, [(0, value) for value in (variances[i : i + lanes] + [5] * lanes)[:lanes]])
        for i in range(0, len(variances), lanes)
    ]


@pytest.mark.parametrize("lanes", [1, 4])
def test_every_exponent_matches_golden(lanes):
    """Powers of two and their neighbours, up to the largest S2."""
    variances = sorted({(1 << e) + d for e in range(45) for d in (-1, 0, 1)} - {0})
    check(VectorConfig(lanes=lanes), grouped(variances, lanes))


def test_every_segment_matches_golden():
    """Both ends of each segment of both octaves."""
    variances = [((16 + i) << 16) * octave + d for octave in (1, 2) for i in range(16) for d in (-1, 0, 1)]
    check(VectorConfig(lanes=4, max_channels=64), grouped(variances, 4))


@pytest.mark.parametrize("channels", [1, 2, 3, 100, 1024])
def test_sums_of_channels_match_golden(channels):
    """Sums that channels can have: random ones, all equal, and the extremes of v."""
    seed = channels
    rng = np.random.default_rng(seed)
    low, high = -(1 << 17), (1 << 17) - (1 << 10)
    half = channels // 2
    values = [rng.integers(low, high, channels).tolist() for _ in range(4)]
    values += [[low] * channels, [high] * channels, [low] * half + [high] * (channels - half)]
    values += [rng.integers(-9, 9, channels).tolist()]
    sums = [(sum(v), sum(x * x for x in v)) for v in values]
    check(VectorConfig(max_channels=channels), [Sums(channels, epsilon, sums) for epsilon in (0, 1, (1 << 32) - 1)])
