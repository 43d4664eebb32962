"""Block selection, pipelined and compact, compared with the golden model: decisions, backgrounds and kept blocks."""

import dataclasses

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped
from thresher.golden.attention.predictor import predict
from thresher.golden.attention.selection import select
from thresher.golden.attention.visible import visible_positions
from thresher.hdl.attention.selection import make_sparsity_engine
from thresher.sim.testbench import run_streams
from thresher.spec import BlockRule, Fill, HeadCommand, Importance
from thresher.spec.formats import ceil_div

from ...operands import CORNERS, int8
from ..configs import both_kinds, tiny
from .payloads import head_payload

pytestmark = pytest.mark.slow

CONFIGS = both_kinds(
    {
        "tiny": tiny(),
        "two_blocks_zero_fill": tiny(predictor_blocks=2, fill=Fill.ZERO, importance=Importance.ABS_SUM),
        "block4_sum": tiny(block=4, importance=Importance.SUM, predictor_blocks=2),
        "long": tiny(max_length=72, predictor_blocks=4),
        "odd_sizes": tiny(max_length=22, predictor_blocks=2, fraction_bits=3),
        "probability": tiny(max_length=40, predictor_blocks=2, block_rule=BlockRule.PROBABILITY),
        "probability_block4": tiny(block=4, max_length=40, predictor_blocks=4, block_rule=BlockRule.PROBABILITY),
        "causal": tiny(causal=True, max_length=22, predictor_blocks=2),
        "causal_block4_abs_sum": tiny(
            causal=True, block=4, max_length=24, predictor_blocks=4, importance=Importance.ABS_SUM
        ),
        "causal_probability": tiny(causal=True, block=4, max_length=24, block_rule=BlockRule.PROBABILITY),
    }
)


class ListAfterDecision(wiring.Component):
    """The engine, with the list of a head's blocks held back until the head is decided."""

    def __init__(self, config):
        self._engine = make_sparsity_engine(config)
        super().__init__(self._engine.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = self._engine
        ahead = Signal(8)
        for name in ("i_head", "i_predictions"):
            connect(m, flipped(getattr(self, name)), getattr(engine, name))
        for name in ("o_decisions", "o_rows", "o_blocks"):
            connect(m, getattr(engine, name), flipped(getattr(self, name)))
        m.d.comb += [
            engine.i_list.payload.eq(self.i_list.payload),
            engine.i_list.valid.eq(self.i_list.valid & (ahead != 0)),
            self.i_list.ready.eq(engine.i_list.ready & (ahead != 0)),
        ]
        decided = self.o_decisions.valid & self.o_decisions.ready
        listed = self.i_list.valid & self.i_list.ready
        m.d.sync += ahead.eq(ahead + decided - listed)
        return m


def key_masks(config, command, row, first, count):
    """The keys from ``first`` that are seen, as bits: for each query of a block row in a causal core."""
    last = command.query_length - 1
    queries = [min(row * config.block + i, last) for i in range(config.block)][-config.key_masks :]
    return [sum((first + j < command.visible_keys(query)) << j for j in range(count)) for query in queries]


def beats(config, command, ii):
    """An (Lq, Lk) array of predictions as payloads; the largest prediction is in every position that is not seen."""
    b, keys = config.block, config.predictor_keys
    rows = ceil_div(ii.shape[0], b)
    padded = np.full((rows * b, ceil_div(ii.shape[1], keys) * keys), config.prediction_peak)
    padded[: ii.shape[0], : ii.shape[1]] = np.where(visible_positions(command), ii, config.prediction_peak)
    for row in range(rows):
        groups = ceil_div(command.visible_keys(min(row * b + b, ii.shape[0]) - 1), keys)
        for group in range(groups):
            yield {
                "ii": padded[row * b : (row + 1) * b, group * keys : (group + 1) * keys],
                "query_valid": sum((row * b + i < ii.shape[0]) << i for i in range(b)),
                "key_valid": key_masks(config, command, row, group * keys, keys),
                "last_group": int(group == groups - 1),
                "last_row": int(row == rows - 1),
            }


def check(config, heads, seed, stall=0.3):
    """Run up to two heads (command, predictions) and compare every output stream."""
    golden = [select(config, ii, command) for command, ii in heads]
    payloads = [head_payload(command, slot) for slot, (command, _) in enumerate(heads)]
    transcript = run_streams(
        ListAfterDecision(config),
        {
            "i_head": payloads,
            "i_predictions": [beat for command, ii in heads for beat in beats(config, command, ii)],
            "i_list": payloads,
        },
        {
            "o_decisions": len(heads),
            "o_rows": sum(g.mask.shape[0] for g in golden),
            "o_blocks": sum(max(1, int(kept)) for g in golden for kept in g.mask.sum(axis=1)),
        },
        seed=seed,
        stall=stall,
    )
    decisions = [
        {"slot": slot, "pruned": int(g.pruned), "kept_blocks": int(g.mask.sum())} for slot, g in enumerate(golden)
    ]
    assert transcript.values["o_decisions"] == decisions, f"seed {seed}"
    expected_rows, expected_blocks = [], []
    for slot, ((command, _), g) in enumerate(zip(heads, golden, strict=True)):
        for row, mask in enumerate(g.mask):
            background = int(g.background[row])
            masks = np.array(
                [key_masks(config, command, row, j * config.block, config.block) for j in range(g.mask.shape[1])]
            )
            pruned = [int(count) for count in np.bitwise_count(masks[~mask]).sum(axis=0)]
            expected_rows.append({"slot": slot, "background": background, "pruned_keys": pruned})
            kept = np.flatnonzero(mask)
            if not len(kept):
                expected_blocks.append(
                    {"slot": slot, "row": row, "key_block": 0, "key_valid": [0] * config.key_masks, "last": 1}
                )
            expected_blocks += [
                {
                    "slot": slot,
                    "row": row,
                    "key_block": int(block),
                    "key_valid": masks[block].tolist(),
                    "last": int(block == kept[-1]),
                }
                for block in kept
            ]
    assert transcript.values["o_rows"] == expected_rows, f"seed {seed}"
    assert transcript.values["o_blocks"] == expected_blocks, f"seed {seed}"
    return transcript


def random_head(config, rng, lq, lk, *, corner="random", **settings):
    """A head's command and predictions."""
    q, k = int8(rng, lq, config.max_head_dim, corner=corner), int8(rng, lk, config.max_head_dim, corner=corner)
    command = HeadCommand(query_length=lq, key_length=lk, head_dim=config.max_head_dim, **settings)
    return command, predict(config, q.astype(np.int64), k.astype(np.int64))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("rhos", [(-256, 0), (-255, 60), (255, -100)])
def test_random_heads_match_golden(name, rhos):
    config = CONFIGS[name]
    seed = 1000 + rhos[0]
    rng = np.random.default_rng(seed)
    heads = []
    for size, rho in zip([(7, config.max_length - 1), (3, config.max_length)], rhos, strict=True):
        multiplier, shift = int(rng.integers(1 << 17)), int(rng.integers(16))
        heads.append(random_head(config, rng, *size, rho=rho, score_multiplier=multiplier, score_shift=shift))
    check(config, heads, seed)


@pytest.mark.parametrize("name", [name for name in CONFIGS if "causal" in name])
@pytest.mark.parametrize("lengths", [(1, 1), (1, 7), (7, 7), (8, 8), (7, 8), (6, 8), (5, 13), (11, 22)])
@pytest.mark.parametrize("rho", [-256, -120, 0, 80, 255])
def test_causal_heads_match_golden(name, lengths, rho):
    """A causal head, then one that is not."""
    config, seed = CONFIGS[name], 300 + rho
    rng = np.random.default_rng(seed)
    heads = [
        random_head(config, rng, *lengths, rho=rho, score_multiplier=30000, score_shift=1, causal=causal)
        for causal in (1, 0)
    ]
    check(config, heads, seed)


@pytest.mark.parametrize("name", ["pipelined-probability", "compact-probability_block4"])
@pytest.mark.parametrize("multiplier", [0, 1, 5, 15, 4096, (1 << 17) - 1])
def test_scales_of_the_rule_probability_match_golden(name, multiplier):
    """Scales without a level, with few, and with one for each predicted score."""
    config = CONFIGS[name]
    rng = np.random.default_rng(multiplier)
    heads = [
        random_head(config, rng, 4, 12, rho=-200, score_multiplier=multiplier, score_shift=shift) for shift in (0, 15)
    ]
    check(config, heads, seed=multiplier)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("corner", CORNERS)
def test_corners_and_head_threshold_match_golden(name, corner):
    """A head whose sum just reaches its threshold, then a head of one prediction that just misses it."""
    config = CONFIGS[name]
    seed = 200 + list(CORNERS).index(corner)
    rng = np.random.default_rng(seed)
    heads = []
    for lq, lk, above in ((6, config.max_length, 0), (1, 1, 1)):
        command, ii = random_head(config, rng, lq, lk, corner=corner, rho=32)
        heads.append((dataclasses.replace(command, head_threshold=int(np.abs(ii).sum()) + above), ii))
    check(config, heads, seed)


@pytest.mark.parametrize("rhos", [(0, -256), (255, -128)])
@pytest.mark.parametrize("importance", list(Importance))
@pytest.mark.parametrize("name", ["pipelined-long", "compact-long"])
def test_extreme_predictions_match_golden(rhos, importance, name):
    """Every prediction is at an end of its range, so that sums reach the ends of theirs.

    The sum of a head needs every row of it; the thresholds need one row only.
    """
    config = dataclasses.replace(CONFIGS[name], importance=importance)
    ii = np.full((72, 72), config.prediction_peak)
    ii[:, 36:] *= -1
    heads = []
    for rho, sign in zip(rhos, (1, -1), strict=True):
        rows = 72 if rho == 0 else config.block
        heads.append((HeadCommand(query_length=rows, key_length=72, head_dim=8, rho=rho), sign * ii[:rows]))
    check(config, heads, seed=5)


def test_pipelined_engine_takes_a_beat_per_cycle():
    """Without backgrounds to divide, selection is as fast as the predictor."""
    config = tiny(max_length=64, predictor_blocks=2, fill=Fill.ZERO)
    head = random_head(config, np.random.default_rng(3), 64, 64, rho=128)
    transcript = check(config, [head], 3, stall=0.0)
    taken = transcript.cycles["i_predictions"]
    assert taken[-1] - taken[0] == 32 * 16 - 1
    assert transcript.cycles["o_decisions"][0] - taken[-1] < 32 + 36
