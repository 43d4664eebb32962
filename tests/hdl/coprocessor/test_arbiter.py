"""Many readers and writers at one memory, and faults."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from thresher.hdl.coprocessor.memory_streams import BURST_WORDS
from thresher.sim.memory import SimulatedMemory
from thresher.spec.program import WORD_BYTES, FaultCode, Region, address

from .movers import (
    CONSTANT,
    MEMORY_BYTES,
    REGIONS,
    SIZES,
    Job,
    Movers,
    check,
    check_fault,
    content,
    place,
    place_words,
    random_job,
    random_words,
    run_job,
)


def span(region: Region, word: int, words: int) -> tuple[int, int]:
    return address(region, word * WORD_BYTES), words


def writes(spans, seed=0):
    return {"writes": [spans], "words": [random_words(np.random.default_rng(seed), spans)]}


@pytest.mark.parametrize(
    ("readers", "writers", "stall", "latency", "outstanding"),
    [
        (8, 3, 0.0, 1, 8),
        (1, 2, 0.2, (1, 9), 1),
        pytest.param(8, 3, 0.3, (1, 40), 8, marks=pytest.mark.slow),
        pytest.param(3, 1, 0.6, 5, 2, marks=pytest.mark.slow),
        pytest.param(2, 5, 0.1, 60, 16, marks=pytest.mark.slow),
    ],
)
def test_each_gets_its_own_words(readers, writers, stall, latency, outstanding):
    seed = readers + 10 * writers
    job = random_job(np.random.default_rng(seed), readers=readers, writers=writers, count=5)
    run = run_job(job, seed=seed, stall=stall, latency=latency, outstanding=outstanding)
    check(job, run, seed)


@pytest.mark.parametrize(
    ("readers", "latency"),
    [(2, 1), (2, 40), pytest.param(5, 1, marks=pytest.mark.slow), pytest.param(5, 40, marks=pytest.mark.slow)],
)
def test_one_word_per_cycle_of_each_kind(readers, latency):
    """Reads do not wait for writes, nor writes for reads."""
    job = Job(
        reads=[[span(Region.CONSTANTS, 0, 480 // readers)] for _ in range(readers)],
        **writes([span(Region.SCRATCH, 0, 480)]),
    )
    run = run_job(job, seed=0, latency=latency)
    check(job, run, 0)
    cycles = sorted(cycle for i in range(readers) for cycle in run.transcript.cycles[f"read_{i}"])
    assert len(cycles) / (cycles[-1] - cycles[0] + 1) >= 0.98
    issued = [burst.cycle for burst in run.memory.writes]
    assert BURST_WORDS * (len(issued) - 1) / (issued[-1] - issued[0]) >= 0.98


def test_readers_take_turns():
    job = Job(reads=[[span(Region.CONSTANTS, 256 * i, 160)] for i in range(3)])
    run = run_job(job, seed=0)
    check(job, run, 0)
    order = [(burst.address - place(Region.CONSTANTS, 0)) // (256 * WORD_BYTES) for burst in run.memory.reads]
    assert all(set(order[i : i + 3]) == {0, 1, 2} for i in range(3, 27))


@pytest.mark.parametrize("region", Region)
@pytest.mark.parametrize("words", [1, 2, 17])
def test_reading_past_the_end_is_a_fault(region, words):
    """The words before the bad burst still arrive."""
    end = SIZES[region] // WORD_BYTES
    job = Job(reads=[[], [span(region, end - words + 1, words), span(region, 0, 1)]])
    run = run_job(job, seed=1, expect=False, cycles=100)
    check_fault(run, write=False, requester=1, code=FaultCode.ADDRESS)
    assert all(burst.addresses[-1] < place(region, SIZES[region]) for burst in run.memory.reads)
    assert np.array_equal(run.after, run.before)


@pytest.mark.parametrize("region", [Region.SCRATCH, Region.OUTPUT])
@pytest.mark.parametrize("words", [1, 2, 17])
def test_writing_past_the_end_is_a_fault(region, words):
    bad = span(region, SIZES[region] // WORD_BYTES - words + 1, words)
    run = run_job(Job(**writes([bad, span(region, 0, 1)])), seed=2, expect=False, cycles=150)
    check_fault(run, write=True, requester=0, code=FaultCode.ADDRESS)
    start, end = place(region, 0), place(region, SIZES[region])
    changed = np.flatnonzero(run.after != run.before)
    assert ((changed >= start) & (changed < end)).all()


@pytest.mark.parametrize("region", CONSTANT)
def test_writing_to_a_read_only_region_is_a_fault(region):
    job = Job(
        writes=[[], [], [span(region, 0, 3)]], words=[np.zeros((n, WORD_BYTES), int) for n in (0, 0, 3)], reads=[[]]
    )
    run = run_job(job, seed=3, expect=False, cycles=60)
    check_fault(run, write=True, requester=2, code=FaultCode.ADDRESS)
    assert not run.memory.writes
    assert np.array_equal(run.after, run.before)


@pytest.mark.parametrize(("latency", "stall"), [(1, 0.0), (30, 0.3)])
def test_errors_of_the_memory_are_faults(latency, stall):
    good = span(Region.CONSTANTS, 0, 600)
    bad = place(Region.INPUT, 8)
    job = Job(reads=[[good], [span(Region.INPUT, 0, 2)]])
    run = run_job(job, seed=4, errors=[bad], latency=latency, stall=stall, unit_stall=0, expect=False, cycles=350)
    check_fault(run, write=False, requester=1, code=FaultCode.BUS)
    assert len(run.memory.reads) < 20

    bad = place(Region.SCRATCH, 8 * 40)
    long = [span(Region.SCRATCH, 0, 400)]
    run = run_job(
        Job(**writes(long)), seed=5, errors=[bad], latency=latency, stall=stall, unit_stall=0, expect=False, cycles=350
    )
    check_fault(run, write=True, requester=0, code=FaultCode.BUS)
    assert len(run.memory.writes) < 15


def test_after_a_fault_nothing_more_is_accepted():
    """Bursts that were issued before end as if there was no fault."""
    good = [span(Region.CONSTANTS, 0, 1000)]
    fine = [span(Region.SCRATCH, 0, 500)]
    bad = [*(span(Region.INPUT, i, 1) for i in range(10)), span(Region.INPUT, 1000, 1)]
    job = Job(reads=[good, bad], **writes(fine))
    found: list[list[int]] = []

    def watch(movers):
        async def process(ctx):
            while True:
                _, _, valid, word = await ctx.tick().sample(movers.read_0.valid, movers.read_0.payload)
                if valid:
                    found.append(list(word))

        return process

    run = run_job(job, seed=6, latency=20, expect=False, cycles=300, watch=watch)
    check_fault(run, write=False, requester=1, code=FaultCode.ADDRESS)
    issued = sum(burst.words for burst in run.memory.reads if burst.words > 1)
    assert 0 < issued < 300
    assert found == content(run.before, good)[:issued]
    done = sum(burst.words for burst in run.memory.writes)
    assert done < 300
    wanted = run.before.copy()
    place_words(wanted, [(fine[0][0], done)], job.words[0][:done])
    assert np.array_equal(run.after, wanted)


def test_the_first_fault_stays():
    job = Job(
        reads=[
            [span(Region.INPUT, 0, 1)],
            [*(span(Region.CONSTANTS, i, 1) for i in range(3)), span(Region.INPUT, 999, 1)],
        ]
    )
    run = run_job(job, seed=7, errors=[place(Region.INPUT, 0)], latency=60, expect=False, cycles=200)
    check_fault(run, write=False, requester=1, code=FaultCode.ADDRESS)


def test_stop_and_continue():
    """While ``stop`` is asserted, the arbiter becomes idle; afterwards everything goes on."""
    job = random_job(np.random.default_rng(8), readers=3, writers=2, count=6)
    seen = []

    def watch(movers):
        async def process(ctx):
            for cycle in range(1000):
                if cycle % 300 == 30:
                    ctx.set(movers.stop, 1)
                if cycle % 300 == 220:
                    ctx.set(movers.stop, 0)
                *_, idle = await ctx.tick().sample(movers.idle)
                if cycle % 300 == 219:
                    seen.append(idle)

        return process

    check(job, run_job(job, seed=8, latency=(1, 30), stall=0.1, watch=watch), 8)
    assert seen
    assert all(seen)


@pytest.mark.parametrize("latency", [1, 40])
def test_after_a_fault_a_reset_makes_everything_new(latency):
    """The reset comes as soon as ``idle`` says that nothing is outstanding."""
    movers = Movers(readers=2)
    data = np.random.default_rng(9).integers(0, 256, MEMORY_BYTES).astype(np.uint8)
    memory = SimulatedMemory(movers.memory, data, latency=latency, seed=9)
    good = span(Region.CONSTANTS, 3, 40)
    wanted = content(data, [good])
    got = []

    async def ask(ctx, stream, span):
        ctx.set(stream.payload, {"address": span[0], "words": span[1]})
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)

    async def bench(ctx):
        ctx.set(movers.regions, REGIONS)
        ctx.set(movers.write_0.valid, 1)
        for stream in (movers.read_0, movers.read_1, movers.done_0):
            ctx.set(stream.ready, 1)
        for _ in range(3):
            await ask(ctx, movers.read_spans_1, span(Region.CONSTANTS, 0, 900))
            await ask(ctx, movers.write_spans_0, span(Region.SCRATCH, 0, 900))
            await ctx.tick().repeat(60)
            await ask(ctx, movers.read_spans_0, span(Region.INPUT, 999, 1))
            await ctx.tick().until(movers.fault.valid & movers.idle)
            assert memory.idle
            ctx.set(movers.reset, 1)
            await ctx.tick()
            ctx.set(movers.reset, 0)
            await ask(ctx, movers.read_spans_0, good)
            for word in wanted:
                payload, *_ = await ctx.tick().sample(movers.read_0.payload).until(movers.read_0.valid)
                assert list(payload) == word
            got.append(ctx.get(movers.fault.valid))

    simulator = Simulator(movers)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.add_testbench(memory.serve, background=True)
    simulator.run()
    assert got == [0, 0, 0]
