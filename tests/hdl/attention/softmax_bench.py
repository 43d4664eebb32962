"""Block rows for tests of the softmax unit, their golden results, and a model of the array in front of the unit."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from amaranth import Module, Signal
from amaranth.lib import wiring
from thresher.golden.attention.softmax import softmax
from thresher.hdl.attention.softmax import make_softmax
from thresher.hdl.lib.streams import StreamFIFO
from thresher.spec import AttentionConfig, Fill, HeadCommand
from thresher.spec.formats import SCORE_MULTIPLIER_BITS, SCORE_SHIFT_BITS

SCORE_LATENCY = 5


class GatedSoftmax(wiring.Component):
    """The softmax unit behind an array of latency ``SCORE_LATENCY`` that starts a block when there is room for it.

    With ``in_order``, the results of a block row are held back until all its weights are taken.
    """

    def __init__(self, config: AttentionConfig, *, in_order: bool = False):
        self.softmax = make_softmax(config)
        self.in_order = in_order
        members = self.softmax.signature.members
        super().__init__({name: members[name] for name in ("i_row", "i_scores", "o_weights", "o_rows")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.softmax = softmax = self.softmax
        wiring.connect(m, wiring.flipped(self.i_row), softmax.i_row)
        wiring.connect(m, wiring.flipped(self.o_weights), softmax.o_weights)
        self._start_scores(m, softmax)
        allowed = self._rows_emitted(m) if self.in_order else 1
        m.d.comb += [
            self.o_rows.payload.eq(softmax.o_rows.payload),
            self.o_rows.valid.eq(softmax.o_rows.valid & allowed),
            softmax.o_rows.ready.eq(self.o_rows.ready & allowed),
        ]
        return m

    def _start_scores(self, m, softmax):
        starts = self.i_scores.valid & self.i_scores.ready
        announced = Signal(8)
        m.d.sync += announced.eq(
            announced + (self.i_row.valid & self.i_row.ready) - (starts & self.i_scores.payload.last)
        )
        m.d.comb += [self.i_scores.ready.eq(softmax.available & (announced != 0)), softmax.reserve.eq(starts)]
        valid, payload = starts, self.i_scores.payload
        for i in range(SCORE_LATENCY):
            held_valid, held = Signal(name=f"valid_{i}"), Signal.like(payload, name=f"payload_{i}")
            m.d.sync += [held_valid.eq(valid), held.eq(payload)]
            valid, payload = held_valid, held
        m.d.comb += [softmax.i_scores.valid.eq(valid), softmax.i_scores.payload.eq(payload)]

    def _rows_emitted(self, m):
        m.submodules.chunks = chunks = StreamFIFO(self.i_row.payload.chunks.shape(), depth=100)
        weights = self.o_weights
        ended = weights.valid & weights.ready & weights.payload.last & (weights.payload.chunk == chunks.o.payload - 1)
        emitted = Signal(8)
        m.d.sync += emitted.eq(emitted + ended - (self.o_rows.valid & self.o_rows.ready))
        m.d.comb += [
            chunks.i.valid.eq(self.i_row.valid & self.i_row.ready),
            chunks.i.payload.eq(self.i_row.payload.chunks),
            chunks.o.ready.eq(ended),
        ]
        return emitted != 0


@dataclass(frozen=True, kw_only=True)
class BlockRow:
    """One block row of n kept blocks; ``scores`` (n, B, B) are indexed by block, query row and key.

    ``key_valid`` (n, M, B) and ``pruned_keys`` (M) have one set of keys per query in a causal core, otherwise M is 1.
    """

    scores: np.ndarray
    key_valid: np.ndarray
    key_block: np.ndarray
    background: int
    pruned_keys: list[int]
    chunks: int
    score_multiplier: int
    score_shift: int
    slot: int

    def announcement(self):
        names = ("background", "pruned_keys", "chunks", "score_multiplier", "score_shift", "slot")
        return {name: getattr(self, name) for name in names}

    def blocks(self):
        n = len(self.scores)
        return [
            {
                "scores": self.scores[k],
                "key_valid": [sum(int(v) << j for j, v in enumerate(mask)) for mask in self.key_valid[k]],
                "key_block": int(self.key_block[k]),
                "last": k == n - 1,
            }
            for k in range(n)
        ]

    def golden(self, config: AttentionConfig):
        """Payloads of ``o_weights`` and of ``o_rows``; a compact core has one of the latter per query row.

        The golden model gets one dense row per query, with the pruned keys after the kept ones.
        """
        n, b, _ = self.scores.shape
        dense = self.scores.transpose(1, 0, 2).reshape(b, n * b)
        command = HeadCommand(
            query_length=1,
            key_length=1,
            head_dim=1,
            score_multiplier=self.score_multiplier,
            score_shift=self.score_shift,
        )
        weights = np.zeros((b, n * b), np.int64)
        row = {"background": [], "mantissa": [], "exponent": []}
        for i in range(b):
            valid = self.key_valid[:, i % config.key_masks].reshape(-1)
            pruned = self.pruned_keys[i % config.key_masks]
            if config.fill is Fill.SKIP:
                pruned += 1  # not counted; so a row has at least one position
            scores = np.concatenate([dense[i, valid], np.zeros(pruned, np.int64)])[None]
            kept = np.arange(scores.shape[1])[None] < valid.sum()
            result = softmax(config, command, scores, kept, np.array([self.background]))
            weights[i, valid] = result.weights[0, : valid.sum()] - result.background[0]
            for name, values in row.items():
                values.append(int(getattr(result, name)[0]))
        weights = weights.reshape(b, n, b).transpose(1, 0, 2)
        emitted = [
            {
                "weights": weights[k].tolist(),
                "key_block": int(self.key_block[k]),
                "first": int(k == 0),
                "last": int(k == n - 1),
                "chunk": chunk,
                "slot": self.slot,
            }
            for chunk in range(self.chunks)
            for k in range(n)
        ]
        if config.compact:
            return emitted, [{name: row[name][i] for name in row} | {"slot": self.slot} for i in range(b)]
        return emitted, [{**row, "slot": self.slot}]


def random_row(config: AttentionConfig, rng: np.random.Generator, *, n: int | None = None, chunks: int | None = None):
    """A block row of ``n`` kept blocks, a random number by default.

    Scores are close together, far apart or extreme. The background is below, among or above them. Some rows end with
    an incomplete block. In a causal core, each query sees one key fewer than the one behind it, or the same.
    """
    b, peak = config.block, config.score_peak
    n = int(rng.integers(1, config.blocks + 1)) if n is None else n
    spread = int(rng.choice([1, 40, 3000, peak]))
    scores = np.clip(rng.integers(-peak, peak + 1) + rng.integers(-spread, spread + 1, (n, b, b)), -peak, peak)
    scores[rng.random((n, b, b)) < 0.1] = rng.choice([-peak, peak, 0])
    key_valid = np.ones((n, config.key_masks, b), bool)
    if rng.random() < 0.4:
        key_valid[-1, :, int(rng.integers(1, b)) :] = False
    free = config.max_length - int(key_valid[:, 0].sum())
    realistic = rng.random() < 0.7
    row = BlockRow(
        scores=scores,
        key_valid=key_valid,
        key_block=np.sort(rng.choice(config.blocks, n, replace=False)),
        background=int(rng.choice([-peak, peak, int(scores.min()), int(scores.max()), int(scores.mean())])),
        pruned_keys=[0 if rng.random() < 0.3 else int(rng.integers(0, free + 1))],
        chunks=int(rng.integers(1, config.chunks + 1)) if chunks is None else chunks,
        score_multiplier=int(rng.integers(1, 4096) if realistic else rng.integers(1 << SCORE_MULTIPLIER_BITS)),
        score_shift=int(rng.integers(0, 3) if realistic else rng.integers(1 << SCORE_SHIFT_BITS)),
        slot=int(rng.integers(2)),
    )
    return _causal(config, rng, row) if config.causal else row


def _causal(config: AttentionConfig, rng: np.random.Generator, row: BlockRow) -> BlockRow:
    """The same row, with fewer keys for the first queries. Hidden keys are the last of kept or of pruned blocks."""
    key_valid, pruned = row.key_valid.copy(), row.pruned_keys * config.block
    in_kept = not pruned[0] or rng.random() < 0.5
    for i in range(config.block):
        hidden = config.block - 1 - i if rng.random() < 0.8 else 0
        keys = key_valid[:, i].reshape(-1)
        places = np.flatnonzero(keys)
        # A query sees at least one key; with pruned keys, it may see none in the kept blocks.
        if in_kept and hidden and (len(places) > hidden or pruned[i] or config.fill is Fill.SKIP):
            keys[places[-hidden:]] = False
            key_valid[:, i] = keys.reshape(-1, config.block)
        elif not in_kept:
            pruned[i] = max(pruned[i] - hidden, 0)
    return dataclasses.replace(row, key_valid=key_valid, pruned_keys=pruned)
