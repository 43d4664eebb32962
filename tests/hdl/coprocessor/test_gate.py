"""Bursts are checked and translated."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from thresher.hdl.coprocessor.gate import BurstGate
from thresher.sim.testbench import run_streams
from thresher.spec.program import READ_ONLY, REGION_BYTES, REGION_SHIFT, WORD_BYTES, Region

from .movers import one_of

LARGE = {
    "constants": {"base": 0x4000_0080, "size": REGION_BYTES},
    "scratch": {"base": 0xC000_0000, "size": REGION_BYTES - 8},
    "input": {"base": 0, "size": 0},
    "output": {"base": 0x8765_4380, "size": 0x1234_5678},
}


def random_bursts(rng: np.random.Generator, count: int) -> list[dict[str, int]]:
    """Many of them lie at the end of their region."""
    found = []
    for _ in range(count):
        region = Region(int(rng.integers(4)))
        low, words = sorted(rng.integers(0, 17, 2).tolist())
        blocks = REGION_BYTES // 128
        last = min(LARGE[region.name.lower()]["size"] // 128, blocks - 1)
        block = one_of(rng, last, max(0, last - 1), min(last + 1, blocks - 1), int(rng.integers(blocks)))
        offset = block * 128 + min(low, 15) * WORD_BYTES
        found.append({"address": region << REGION_SHIFT | offset, "words": max(1, words - low)})
    return found


def legal(burst: dict[str, int], *, write: bool) -> bool:
    region = Region(burst["address"] >> REGION_SHIFT)
    offset = burst["address"] % REGION_BYTES
    return offset + burst["words"] * WORD_BYTES <= LARGE[region.name.lower()]["size"] and not (
        write and region in READ_ONLY
    )


def translated(burst: dict[str, int]) -> dict[str, int]:
    region = Region(burst["address"] >> REGION_SHIFT)
    return {**burst, "address": LARGE[region.name.lower()]["base"] + burst["address"] % REGION_BYTES}


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_large_regions(seed, write):
    bursts = random_bursts(np.random.default_rng(seed), 200)
    wanted = [translated(each) for each in bursts if legal(each, write=write)]
    # Those that are not issued count as outstanding, too.
    gate = BurstGate(requesters=1, write=write, outstanding=len(bursts))
    found = run_streams(gate, {"bursts__0": bursts}, {"o": len(wanted)}, seed=seed, settings={"regions": LARGE})
    assert 0 < len(wanted) < len(bursts)
    assert found.values["o"] == wanted


@pytest.mark.parametrize("requesters", [1, 2, 3, 5, 8])
def test_requesters_take_turns(requesters):
    """Those that ask are served in a circle, one burst per two cycles."""
    asking = {f"bursts__{i}": [{"address": 128 * i, "words": 1}] * 9 for i in range(requesters)}
    gate = BurstGate(requesters=requesters, write=False, outstanding=9 * requesters)
    found = run_streams(gate, asking, {"o": 9 * requesters}, seed=0, stall=0, settings={"regions": LARGE})
    assert [burst["address"] % 128 for burst in found.values["o"]] == [0] * 9 * requesters
    order = [(burst["address"] - LARGE["constants"]["base"]) // 128 for burst in found.values["o"]]
    assert order == list(range(requesters)) * 9
    assert set(np.diff(found.cycles["o"]).tolist()) == {2}


def test_idle_covers_the_gate_and_what_is_outstanding():
    gate, seen = BurstGate(requesters=2, write=False, outstanding=2), []

    async def bench(ctx):
        ctx.set(gate.regions.constants.size, 128)
        ctx.set(gate.bursts[1].payload, {"address": 0, "words": 16})
        ctx.set(gate.bursts[1].valid, 1)
        ctx.set(gate.o.ready, 1)
        for cycle in range(20):
            ctx.set(gate.stop, cycle >= 1)
            ctx.set(gate.done, cycle == 15)
            *_, idle = await ctx.tick().sample(gate.idle)
            seen.append(idle)

    simulator = Simulator(gate)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [1] + [0] * 15 + [1] * 4


def test_bursts_in_the_gate_can_be_dropped():
    """Those that wait at the output stay there."""
    gate, offered = BurstGate(requesters=1, write=False, outstanding=8), []

    async def bench(ctx):
        ctx.set(gate.regions.constants.size, 128)
        ctx.set(gate.bursts[0].payload, {"address": 0, "words": 1})
        ctx.set(gate.bursts[0].valid, 1)
        for cycle in range(20):
            ctx.set(gate.stop, cycle >= 7)
            ctx.set(gate.drop, cycle >= 7)
            ctx.set(gate.o.ready, cycle >= 12)
            *_, valid = await ctx.tick().sample(gate.o.valid)
            offered.append(valid)

    simulator = Simulator(gate)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    # Bursts are chosen in cycles 0, 2, 4 and 6, and issued four cycles later.
    assert offered == [0] * 5 + [1] * 9 + [0] * 6
