"""Spans become bursts that lie in aligned blocks."""

import numpy as np
import pytest
from thresher.hdl.coprocessor.memory_streams import BURST_WORDS
from thresher.hdl.coprocessor.splitter import BurstSplitter
from thresher.sim.testbench import run_streams
from thresher.spec.program import WORD_BYTES

BLOCK = BURST_WORDS * WORD_BYTES


def bursts(address: int, words: int) -> list[dict]:
    """Bursts of a span."""
    found = []
    while words:
        count = min(words, BURST_WORDS - address // WORD_BYTES % BURST_WORDS)
        words -= count
        found.append({"burst": {"address": address, "words": count}, "last": int(words == 0)})
        address += count * WORD_BYTES
    return found


def run(spans, *, seed: int, stall: float):
    wanted = [part for span in spans for part in bursts(*span)]
    sent = [{"address": address, "words": words} for address, words in spans]
    found = run_streams(BurstSplitter(), {"i": sent}, {"o": len(wanted)}, seed=seed, stall=stall)
    assert found.values["o"] == wanted, f"seed {seed}"
    return found.cycles


def test_every_place_and_length_around_a_block():
    run([(first * WORD_BYTES, words) for first in range(BURST_WORDS) for words in range(1, 35)], seed=0, stall=0)


@pytest.mark.parametrize("stall", [0.2, 0.6])
def test_random_spans(stall):
    seed = 1
    rng = np.random.default_rng(seed)
    spans = [(int(rng.integers(1 << 28)) * WORD_BYTES, int(rng.integers(1, 200))) for _ in range(30)]
    run([((1 << 32) - 5 * BLOCK, 5 * BURST_WORDS), *spans], seed=seed, stall=stall)


def test_long_span():
    """The counter of a span is wider than what is simulated here; its bits are independent of the length."""
    run([(3 * WORD_BYTES, 9001)], seed=2, stall=0)


def test_throughput():
    cycles = run([(WORD_BYTES, 200), (0, 1), (BLOCK, BURST_WORDS)], seed=0, stall=0)["o"]
    assert np.diff(cycles).tolist() == [1] * 12 + [2, 2]
