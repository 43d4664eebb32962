"""Predictor against golden.predict, beat by beat."""

import numpy as np
import pytest
from thresher.golden.attention.predictor import predict
from thresher.golden.attention.split import split
from thresher.hdl.attention.predictor.compact import CompactPredictor
from thresher.hdl.attention.predictor.pipelined import Predictor
from thresher.sim.testbench import run_streams
from thresher.spec import HeadCommand, Split
from thresher.spec.formats import ceil_div

from ..common import CORNERS, WithMemories, head_payload, int8, tiny

CONFIGS = {
    "tiny": tiny(),
    "one_chunk_two_blocks": tiny(predictor_lanes=8, predictor_blocks=2),
    "block4_trunc": tiny(block=4, split=Split.TRUNC, max_head_dim=12, predictor_lanes=4),
    "fraction2": tiny(fraction_bits=2, split=Split.FLOOR),
    "fraction6": tiny(fraction_bits=6, max_length=10, predictor_blocks=4),
    "compact": tiny(compact=True, output_lanes=1),
    "compact_block4_trunc": tiny(
        compact=True, output_lanes=1, block=4, split=Split.TRUNC, max_head_dim=12, predictor_lanes=6
    ),
    "compact_fraction2": tiny(compact=True, output_lanes=1, fraction_bits=2, split=Split.FLOOR, lanes=1),
    "compact_fraction6": tiny(compact=True, output_lanes=1, fraction_bits=6, max_length=10, predictor_blocks=4),
}


def nibble_words(config, integers, rows_per_word, words):
    """Scratchpad contents of one slot: (chunk, word) addresses, each ``rows_per_word`` rows of lanes."""
    padded = np.zeros((words * rows_per_word, config.max_head_dim), np.int64)
    padded[: integers.shape[0], : integers.shape[1]] = integers
    # What lies beyond the sequence is whatever an earlier head left there: make it loud.
    padded[integers.shape[0] :] = -(1 << (config.integer_bits - 1))
    lanes, chunk_span = config.predictor_lanes, 1 << (config.predictor_chunks - 1).bit_length()
    zero = np.zeros((rows_per_word, lanes), np.int64).tolist()
    contents = []
    for word in range(1 << (words - 1).bit_length()):
        rows = padded[word * rows_per_word : (word + 1) * rows_per_word]
        for chunk in range(chunk_span):
            piece = rows[:, chunk * lanes : (chunk + 1) * lanes]
            contents.append(piece.tolist() if piece.size == rows_per_word * lanes else zero)
    return contents


def run(config, heads, seed, stall=0.3):
    """Predictions of up to two heads, each in its slot: per head an (Lq, Lk) array and the beats' cycles."""
    contents = {"q_read": [], "k_read": []}
    for q, k in heads:
        contents["q_read"] += nibble_words(config, split(config, q.astype(np.int64))[0], config.block, config.blocks)
        contents["k_read"] += nibble_words(
            config, split(config, k.astype(np.int64))[0], config.predictor_keys, config.groups
        )
    commands = [
        head_payload(HeadCommand(query_length=len(q), key_length=len(k), head_dim=q.shape[1]), slot)
        for slot, (q, k) in enumerate(heads)
    ]
    shapes = [(ceil_div(len(q), config.block), ceil_div(len(k), config.predictor_keys)) for q, k in heads]
    total = sum(rows * groups for rows, groups in shapes)
    transcript = run_streams(
        WithMemories((CompactPredictor if config.compact else Predictor)(config), contents),
        {"i_head": commands},
        {"o_predictions": total},
        seed=seed,
        stall=stall,
    )
    beats = iter(transcript.values["o_predictions"])
    results = []
    for (q, k), (rows, groups) in zip(heads, shapes, strict=True):
        ii = np.zeros((rows * config.block, groups * config.predictor_keys), np.int64)
        valid = np.zeros_like(ii, dtype=bool)
        for row in range(rows):
            for group in range(groups):
                beat = next(beats)
                where = np.s_[
                    row * config.block : (row + 1) * config.block,
                    group * config.predictor_keys : (group + 1) * config.predictor_keys,
                ]
                ii[where] = beat["ii"]
                query_valid = [beat["query_valid"] >> i & 1 for i in range(config.block)]
                key_valid = [beat["key_valid"] >> j & 1 for j in range(config.predictor_keys)]
                valid[where] = np.outer(query_valid, key_valid)
                assert beat["last_group"] == (group == groups - 1), f"seed {seed}"
                assert beat["last_row"] == (row == rows - 1), f"seed {seed}"
        inside = np.zeros_like(valid)
        inside[: len(q), : len(k)] = True
        np.testing.assert_array_equal(valid, inside, err_msg=f"seed {seed}")
        results.append(ii[: len(q), : len(k)])
    return results, transcript.cycles["o_predictions"]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("corner", CORNERS)
def test_equals_golden(name, corner):
    """Operands that are all alike reach the widest sums with any number of queries: a block and one more."""
    config = CONFIGS[name]
    most = config.max_length if corner in ("random", "mixed") else config.block + 1
    seed = 100 + CORNERS.index(corner)
    rng = np.random.default_rng(seed)
    heads = []
    for lq, lk, d in ((most, config.max_length - 1, config.max_head_dim), (1, 3, 1)):
        heads.append((int8(rng, lq, d, corner=corner), int8(rng, lk, d, corner=corner)))
    results, _ = run(config, heads, seed)
    for (q, k), result in zip(heads, results, strict=True):
        np.testing.assert_array_equal(
            result, predict(config, q.astype(np.int64), k.astype(np.int64)), err_msg=f"seed {seed}"
        )


@pytest.mark.parametrize(("length", "row_cycles"), [(32, 16), (16, 9), (4, 9)])
def test_cycles_per_head(length, row_cycles):
    """A beat per cycle, while a row takes longer than the tables of the next: eight cycles, and one to begin."""
    config = tiny(predictor_lanes=8, max_length=32)
    rng = np.random.default_rng(7)
    q, k = int8(rng, length, 8), int8(rng, length, 8)
    _, cycles = run(config, [(q, k)], seed=7, stall=0.0)
    rows = np.reshape(cycles, (length // 2, -1))
    assert np.diff(rows, axis=1).max() == 1
    # Two halves of the tables take turns, so short rows may come in unlike pairs.
    assert (rows[2:, 0] - rows[:-2, 0]).max(initial=0) <= 2 * row_cycles


def test_heads_follow_without_a_pause():
    config = tiny(predictor_lanes=8, max_length=32)
    rng = np.random.default_rng(8)
    heads = [(int8(rng, 32, 8), int8(rng, 32, 8)) for _ in range(2)]
    _, cycles = run(config, heads, seed=8, stall=0.0)
    assert np.diff(cycles).tolist() == [1] * (len(cycles) - 1)
