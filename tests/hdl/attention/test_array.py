"""The main array, compared with the golden model: scores and weighted values mixed at random."""

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out, connect, flipped
from thresher.golden.attention.array import scores, weighted_values
from thresher.hdl.attention.array import PEArray
from thresher.hdl.attention.softmax.row_maximum import score_block_layout
from thresher.hdl.lib.streams import StreamFIFO
from thresher.sim.testbench import run_streams
from thresher.spec import Score, Split
from thresher.spec.formats import ceil_div

from ...operands import CORNERS, int8
from ..configs import tiny
from ..wrappers import WithMemories

CONFIGS = {
    "two_lanes": tiny(max_length=10),
    "one_lane": tiny(max_length=10, compact=True, lanes=1, output_lanes=1),
    "one_chunk": tiny(max_head_dim=4, lanes=4, predictor_lanes=4),
    "three_chunks": tiny(max_length=10, max_head_dim=6, predictor_lanes=2),
    "block4": tiny(block=4, lanes=4, weight_bits=8),
    "approx": tiny(max_length=10, score=Score.APPROX, split=Split.TRUNC, weight_bits=15),
    "approx_fraction6": tiny(max_length=10, score=Score.APPROX, fraction_bits=6, lanes=8, predictor_lanes=8),
}
RUNS = [(name, corner) for name in CONFIGS for corner in CORNERS if corner in ("random", "low", "mixed")]
RUNS += [(name, corner) for name in ("one_lane", "two_lanes", "approx") for corner in ("high", "zero")]


class QueuedScores(wiring.Component):
    """The array with a queue behind its scores that is never full."""

    def __init__(self, config):
        self._array = PEArray(config)
        members = dict(self._array.signature.members)
        del members["available"], members["reserve"]
        members["o_scores"] = Out(stream.Signature(score_block_layout(config)))
        self._config = config
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = self._array
        m.submodules.queue = queue = StreamFIFO(score_block_layout(self._config), depth=256)
        connect(m, array.o_scores, queue.i)
        connect(m, queue.o, flipped(self.o_scores))
        for name in ("i_blocks", "i_weights", "q", "kv"):
            connect(m, flipped(getattr(self, name)), getattr(array, name))
        connect(m, array.o_accumulators, flipped(self.o_accumulators))
        m.d.comb += [array.last_chunk.eq(self.last_chunk), array.available.eq(1)]
        return m


def operand_words(config, x):
    """Contents of the scratchpad slot of one operand, by address (chunk, block)."""
    b, lanes = config.block, config.lanes
    chunks = 1 << (config.chunks - 1).bit_length()
    blocks = 1 << (config.blocks - 1).bit_length()
    padded = np.zeros((blocks * b, chunks * lanes), np.int64)
    padded[: x.shape[0], : x.shape[1]] = x
    return padded.reshape(blocks, b, chunks, lanes).transpose(0, 2, 1, 3).reshape(-1, b, lanes).tolist()


@pytest.mark.parametrize(("name", "corner"), RUNS)
def test_scores_and_weighted_values_match_golden(name, corner):
    config = CONFIGS[name]
    b, lanes = config.block, config.lanes
    seed = 300 + list(CORNERS).index(corner)
    rng = np.random.default_rng(seed)
    length, dims = config.max_length, config.max_head_dim - 1
    chunks = ceil_div(dims, lanes)
    q, k, v = (int8(rng, length, dims, corner=corner) for _ in range(3))
    contents = {
        "q": operand_words(config, q) * 2,
        "kv": operand_words(config, k) * 2 + operand_words(config, v) * 2,
    }
    n = config.blocks
    kept = [(row, sorted(rng.choice(n, rng.integers(1, n + 1), replace=False))) for row in range(n)]
    blocks = [
        {"slot": row % 2, "row": row, "key_block": int(j), "key_valid": [1], "last": int(j == keys[-1])}
        for row, keys in kept
        for j in keys
    ]
    peak = config.weight_max
    weights, expected = [], []
    for row, keys in kept:
        w = np.zeros((b, length), np.int64)
        for chunk in range(chunks):
            for j in keys:
                if not chunk:
                    w[:, j * b : (j + 1) * b] = (
                        rng.choice([-peak, peak], (b, b))
                        if corner == "mixed"
                        else rng.integers(-peak, peak + 1, (b, b))
                    )
                weights.append(
                    {
                        "weights": w[:, j * b : (j + 1) * b],
                        "key_block": int(j),
                        "first": int(j == keys[0]),
                        "last": int(j == keys[-1]),
                        "chunk": chunk,
                        "slot": row % 2,
                    }
                )
        product = np.zeros((b, chunks * lanes), np.int64)
        product[:, :dims] = weighted_values(w, v.astype(np.int64))
        expected += [
            {"slot": row % 2, "chunk": c, "accumulators": product[:, c * lanes : (c + 1) * lanes].tolist()}
            for c in range(chunks)
        ]
    transcript = run_streams(
        WithMemories(QueuedScores(config), contents),
        {"i_blocks": blocks, "i_weights": weights},
        {"o_scores": len(blocks), "o_accumulators": len(expected)},
        seed=seed,
        settings={"last_chunk": [chunks - 1] * 2},
    )
    assert transcript.values["o_accumulators"] == expected, f"seed {seed}"
    golden = scores(config, q.astype(np.int64), k.astype(np.int64))
    for block, found in zip(blocks, transcript.values["o_scores"], strict=True):
        rows, keys = block["row"] * b, block["key_block"] * b
        assert found["scores"] == golden[rows : rows + b, keys : keys + b].tolist(), f"seed {seed}, {block}"
        assert (found["key_block"], found["last"]) == (block["key_block"], block["last"]), f"seed {seed}"


def test_scores_take_a_step_every_cycle():
    config = tiny()
    zeros = operand_words(config, np.zeros((16, 8), np.int64))
    blocks = [
        {"slot": 0, "row": 0, "key_block": j, "key_valid": [3], "last": int(j == 7)} for _ in range(4) for j in range(8)
    ]
    transcript = run_streams(
        WithMemories(QueuedScores(config), {"q": zeros * 2, "kv": zeros * 4}),
        {"i_blocks": blocks},
        {"o_scores": len(blocks)},
        seed=0,
        stall=0.0,
        settings={"last_chunk": [3, 3]},
    )
    taken = transcript.cycles["i_blocks"]
    assert taken[-1] - taken[0] == 4 * (len(blocks) - 1)
