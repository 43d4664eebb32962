"""The predictor, pipelined and compact, compared with the golden model."""

import numpy as np
import pytest
from thresher.golden.attention.predictor import predict
from thresher.golden.attention.split import split
from thresher.hdl.attention.predictor import make_predictor
from thresher.sim.testbench import run_streams
from thresher.spec import HeadCommand, Split
from thresher.spec.formats import ceil_div

from ...operands import int8
from ..configs import both_kinds, tiny
from ..wrappers import WithMemories
from .payloads import head_payload

pytestmark = pytest.mark.slow

CONFIGS = both_kinds(
    {
        "tiny": tiny(),
        "one_chunk_two_blocks": tiny(predictor_lanes=8, predictor_blocks=2),
        "block4_trunc": tiny(block=4, split=Split.TRUNC, max_head_dim=12, predictor_lanes=4),
        "fraction2_floor": tiny(fraction_bits=2, split=Split.FLOOR),
        "fraction6_odd_groups": tiny(fraction_bits=6, max_length=10, predictor_blocks=4),
    }
)
CAUSAL = both_kinds(
    {
        "two_blocks": tiny(causal=True, predictor_lanes=8, predictor_blocks=2),
        "block4": tiny(causal=True, block=4, max_head_dim=12, predictor_lanes=4),
        "block4_four_blocks": tiny(causal=True, block=4, predictor_blocks=4, max_length=20),
    }
)
CONFIGS["compact-one_lane"] = tiny(compact=True, output_lanes=1, lanes=1)
PAIRS = [("random", "random"), ("mixed", "zero"), ("low", "high")]
"""Corners of two heads that follow each other."""


def nibble_words(config, integers, rows_per_word, words):
    """Contents of one slot of a scratchpad, by address (chunk, word); a word holds ``rows_per_word`` rows of lanes."""
    padded = np.zeros((words * rows_per_word, config.max_head_dim), np.int64)
    padded[: integers.shape[0], : integers.shape[1]] = integers
    # An earlier head may have left anything beyond the sequence, so the worst value is there.
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


def run(config, heads, seed, stall=0.3, *, causal=0):
    """Run up to two heads, each in its slot.

    Returns the (Lq, Lk) predictions of each head, 0 where they are not made, and the cycles of all beats.
    """
    contents = {"q_read": [], "k_read": []}
    for q, k in heads:
        contents["q_read"] += nibble_words(config, split(config, q.astype(np.int64))[0], config.block, config.blocks)
        contents["k_read"] += nibble_words(
            config, split(config, k.astype(np.int64))[0], config.predictor_keys, config.groups
        )
    commands = [
        head_payload(HeadCommand(query_length=len(q), key_length=len(k), head_dim=q.shape[1], causal=causal), slot)
        for slot, (q, k) in enumerate(heads)
    ]
    inside = [np.tril(np.ones((len(q), len(k)), bool), len(k) - len(q) if causal else len(k)) for q, k in heads]
    groups = [
        [
            ceil_div(int(each[row : row + config.block].any(axis=0).sum()), config.predictor_keys)
            for row in range(0, len(each), config.block)
        ]
        for each in inside
    ]
    total = sum(map(sum, groups))
    transcript = run_streams(
        WithMemories(make_predictor(config), contents),
        {"i_head": commands},
        {"o_predictions": total},
        seed=seed,
        stall=stall,
    )
    beats = iter(transcript.values["o_predictions"])
    results = []
    for seen, row_groups in zip(inside, groups, strict=True):
        rows = len(row_groups)
        ii = np.zeros((rows * config.block, max(row_groups) * config.predictor_keys), np.int64)
        valid = np.zeros_like(ii, dtype=bool)
        for row, count in enumerate(row_groups):
            for group in range(count):
                beat = next(beats)
                where = np.s_[
                    row * config.block : (row + 1) * config.block,
                    group * config.predictor_keys : (group + 1) * config.predictor_keys,
                ]
                ii[where] = beat["ii"]
                masks = [beat["key_valid"][i % config.key_masks] for i in range(config.block)]
                for i, mask in enumerate(masks):
                    place = row * config.block + i, group * config.predictor_keys
                    for j in range(config.predictor_keys):
                        valid[place[0], place[1] + j] = beat["query_valid"] >> i & mask >> j & 1
                assert beat["last_group"] == (group == count - 1), f"seed {seed}"
                assert beat["last_row"] == (row == rows - 1), f"seed {seed}"
        expected = np.zeros_like(valid)
        expected[: seen.shape[0], : seen.shape[1]] = seen
        np.testing.assert_array_equal(valid, expected, err_msg=f"seed {seed}")
        results.append(np.where(seen, ii[: seen.shape[0], : seen.shape[1]], 0))
    return results, transcript.cycles["o_predictions"]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("corners", PAIRS, ids="-".join)
def test_predictions_match_golden(name, corners):
    """A head of nearly every key, then a head of one query and three keys.

    Equal operands reach the widest sums whatever the number of queries, so they need one more than a block only.
    """
    config = CONFIGS[name]
    seed = 100 + PAIRS.index(corners)
    rng = np.random.default_rng(seed)
    most = config.block + 1 if "low" in corners else config.max_length
    sizes = [(most, config.max_length - 1, config.max_head_dim), (1, 3, 1)]
    if "low" in corners:
        sizes[1] = sizes[0]
    heads = [
        (int8(rng, lq, d, corner=corner), int8(rng, lk, d, corner=corner))
        for (lq, lk, d), corner in zip(sizes, corners, strict=True)
    ]
    results, _ = run(config, heads, seed)
    for (q, k), result in zip(heads, results, strict=True):
        expected = predict(config, q.astype(np.int64), k.astype(np.int64))
        np.testing.assert_array_equal(result, expected, err_msg=f"seed {seed}")


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("lengths", [((7, 7), (1, 6)), ((8, 11), (3, 8)), ((5, 12), (1, 1)), ((12, 12), (6, 7))])
def test_causal_predictions_match_golden(name, lengths):
    """Only what a query of the block row sees is predicted."""
    config, seed = CAUSAL[name], 120
    rng = np.random.default_rng(seed)
    heads = [(int8(rng, lq, config.max_head_dim), int8(rng, lk, config.max_head_dim)) for lq, lk in lengths]
    results, _ = run(config, heads, seed, causal=1)
    for (q, k), result in zip(heads, results, strict=True):
        expected = np.tril(predict(config, q.astype(np.int64), k.astype(np.int64)), len(k) - len(q))
        np.testing.assert_array_equal(result, expected, err_msg=f"seed {seed}")


@pytest.mark.parametrize(("length", "row_cycles"), [(32, 16), (16, 9), (4, 9)])
def test_pipelined_predictor_gives_a_beat_per_cycle(length, row_cycles):
    """Short rows wait for the tables of the next row, which take eight cycles and one to begin."""
    config = tiny(predictor_lanes=8, max_length=32)
    rng = np.random.default_rng(7)
    q, k = int8(rng, length, 8), int8(rng, length, 8)
    _, cycles = run(config, [(q, k)], seed=7, stall=0.0)
    rows = np.reshape(cycles, (length // 2, -1))
    assert np.diff(rows, axis=1).max() == 1
    # The two halves of the tables take turns, so the rows of a pair may differ in length.
    assert (rows[2:, 0] - rows[:-2, 0]).max(initial=0) <= 2 * row_cycles


def test_heads_follow_without_a_pause():
    config = tiny(predictor_lanes=8, max_length=32)
    rng = np.random.default_rng(8)
    heads = [(int8(rng, length, 8), int8(rng, 32, 8)) for length in (4, 6)]
    _, cycles = run(config, heads, seed=8, stall=0.0)
    assert np.diff(cycles).tolist() == [1] * (len(cycles) - 1)
