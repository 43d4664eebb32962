"""Readers at a simulated memory."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from thresher.hdl.coprocessor.memory_streams import BURST_WORDS, check_depth
from thresher.hdl.coprocessor.reader import Reader
from thresher.spec.program import WORD_BYTES, Region, address

from .movers import SIZES, Job, check, random_spans, run_job

ALL = list(Region)


def constants(word: int, words: int) -> tuple[int, int]:
    return address(Region.CONSTANTS, word * WORD_BYTES), words


def run(spans, *, seed=0, **settings):
    job = Job(reads=[spans])
    found = run_job(job, seed=seed, **settings)
    check(job, found, seed)
    return found


@pytest.mark.parametrize(
    ("seed", "stall", "latency", "words"),
    [
        (0, 0.0, 1, 64),
        (1, 0.3, (1, 25), 64),
        (2, 0.6, 3, 32),
        pytest.param(3, 0.2, (1, 90), 128, marks=pytest.mark.slow),
    ],
)
def test_random_spans(seed, stall, latency, words):
    spans = random_spans(np.random.default_rng(seed), 20, regions=ALL)
    run(spans, seed=seed, stall=stall, latency=latency, words=words)


@pytest.mark.parametrize(("unit_stall", "stall"), [(0.8, 0.0), (0.0, 0.8)])
def test_one_slow_side(unit_stall, stall):
    seed = 4
    run(random_spans(np.random.default_rng(seed), 6, regions=ALL), seed=seed, unit_stall=unit_stall, stall=stall)


def test_last_words_of_every_region():
    lengths = (1, 2, BURST_WORDS - 1, BURST_WORDS, BURST_WORDS + 1)
    run([(address(each, SIZES[each] - words * WORD_BYTES), words) for each in ALL for words in lengths])


def test_bursts_are_whole_blocks():
    reads = run([constants(5, 60)]).memory.reads
    assert [burst.words for burst in reads] == [11, 16, 16, 16, 1]


@pytest.mark.parametrize(("latency", "words"), [(1, 32), (30, 64), (90, 128)])
def test_one_word_per_cycle(latency, words):
    cycles = run([constants(0, 300)], latency=latency, words=words).transcript.cycles["read_0"]
    assert set(np.diff(cycles).tolist()) == {1}


@pytest.mark.parametrize("words", [3, 16])
def test_short_spans_without_a_gap(words):
    spans = [constants(16 * i, words) for i in range(20)]
    cycles = run(spans, latency=10).transcript.cycles["read_0"]
    assert set(np.diff(cycles).tolist()) == {1}


def test_next_spans_are_accepted_while_words_are_outstanding():
    cycles = run([constants(0, 20), constants(32, 5), constants(64, 1)], latency=50).transcript.cycles
    assert cycles["read_spans_0"][-1] < cycles["read_0"][0]


@pytest.mark.parametrize(("start", "bursts"), [(0, [BURST_WORDS] * 4), (15, [1, *[BURST_WORDS] * 3])])
def test_it_asks_for_what_it_can_hold(start, bursts):
    dut, asked = Reader(words=64), []

    async def bench(ctx):
        ctx.set(dut.i_spans.payload, {"address": start * WORD_BYTES, "words": 1000})
        ctx.set(dut.i_spans.valid, 1)
        ctx.set(dut.port.bursts.ready, 1)
        for _ in range(100):
            _, _, valid, words = await ctx.tick().sample(dut.port.bursts.valid, dut.port.bursts.payload.words)
            if valid:
                asked.append(words)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert asked == bursts


def test_it_waits_between_a_burst_and_its_words():
    dut, waits = Reader(words=32), []

    async def bench(ctx):
        ctx.set(dut.i_spans.payload, {"address": 0, "words": 1})
        ctx.set(dut.i_spans.valid, 1)
        ctx.set(dut.port.bursts.ready, 1)
        ctx.set(dut.o_words.ready, 1)
        for cycle in range(20):
            ctx.set(dut.port.words.valid, cycle == 12)
            _, _, accepted, asked, word, now = await ctx.tick().sample(
                dut.i_spans.ready, dut.port.bursts.valid, dut.o_words.valid, dut.waits
            )
            if accepted:
                ctx.set(dut.i_spans.valid, 0)
            waits.append((asked, word, now))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    asked, word = (next(i for i, each in enumerate(waits) if each[kind]) for kind in (0, 1))
    found = [now for *_, now in waits]
    assert found[: word + 1] == [int(asked < cycle < word) for cycle in range(word + 1)]
    assert not any(found[word + 2 :])  # what has left is counted a cycle late


@pytest.mark.parametrize("words", [16, 48, 0])
def test_impossible_depths_are_rejected(words):
    with pytest.raises(ValueError, match=f"at least 32, not {words}"):
        check_depth(words)
