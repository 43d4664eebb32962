"""Writers at a simulated memory."""

import numpy as np
import pytest
from amaranth.sim import Simulator
from thresher.hdl.coprocessor.memory_streams import BURST_WORDS
from thresher.hdl.coprocessor.writer import Writer
from thresher.spec.program import WORD_BYTES, Region, address, offset_of, region_of

from .movers import SIZES, Job, check, disjoint_spans, place, random_words, run_job


def scratch(word: int, words: int) -> tuple[int, int]:
    return address(Region.SCRATCH, word * WORD_BYTES), words


def run(spans, *, seed=0, **settings):
    job = Job(writes=[spans], words=[random_words(np.random.default_rng(seed), spans)])
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
    (spans,) = disjoint_spans(np.random.default_rng(seed), 1, 20)
    run(spans, seed=seed, stall=stall, latency=latency, words=words)


@pytest.mark.parametrize(("unit_stall", "stall"), [(0.8, 0.0), (0.0, 0.8)])
def test_one_slow_side(unit_stall, stall):
    (spans,) = disjoint_spans(np.random.default_rng(4), 1, 8)
    run(spans, seed=4, unit_stall=unit_stall, stall=stall)


def test_last_words_of_both_regions():
    spans = []
    for region in (Region.SCRATCH, Region.OUTPUT):
        end = SIZES[region]
        for words in (1, 2, BURST_WORDS, BURST_WORDS + 1):
            end -= words * WORD_BYTES
            spans.append((address(region, end), words))
    run(spans)


@pytest.mark.parametrize("latency", [1, 30, 100])
def test_one_word_per_cycle(latency):
    found = run([scratch(0, 300)], latency=latency)
    assert np.diff([burst.cycle for burst in found.memory.writes]).max() <= BURST_WORDS
    assert np.diff(found.transcript.cycles["write_0"]).max() == 1


@pytest.mark.parametrize("words", [3, 16])
def test_short_spans_without_a_gap(words):
    cycles = run([scratch(16 * i, words) for i in range(20)], latency=10).transcript.cycles["write_0"]
    assert set(np.diff(cycles).tolist()) == {1}


def test_a_span_is_done_when_the_memory_holds_all_its_words():
    latency = 37
    spans = [scratch(3, 40), scratch(64, 1), scratch(80, 16)]
    found = run(spans, latency=latency)
    done = found.transcript.cycles["done_0"]
    for (start, words), cycle in zip(spans, done, strict=True):
        first = place(region_of(start), offset_of(start))
        own = [each for each in found.memory.writes if first <= each.address < first + words * WORD_BYTES]
        assert cycle >= max(each.cycle for each in own) + latency
    assert done == sorted(set(done))


def test_an_arbiter_that_allows_more_bursts_than_the_writer():
    spans = [span for i in range(0, 384, 32) for span in (scratch(i, 1), scratch(i + 15, 2))]
    run(spans, latency=60, outstanding=32)


@pytest.mark.parametrize("bursts", [15, 16])
def test_it_asks_when_it_has_all_words(bursts):
    """A burst of 16 words is asked for after the last one, and never before."""
    dut, asked = Writer(), []

    async def bench(ctx):
        ctx.set(dut.i_spans.payload, {"address": 0, "words": 100})
        ctx.set(dut.i_spans.valid, 1)
        ctx.set(dut.i_words.valid, 1)
        for cycle in range(100):
            ctx.set(dut.i_words.valid, int(cycle < bursts))
            _, _, valid = await ctx.tick().sample(dut.port.bursts.valid)
            asked.append(valid)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert any(asked) is (bursts == 16)
    assert not any(asked[:16])
