"""An encoder of random integers: results do not depend on packing, and bad texts are refused."""

from dataclasses import replace

import numpy as np
import pytest
from thresher.golden.attention.core import attention_head
from thresher.golden.encoder import Encoder, EncoderLayer, Product, Text, class_scores, encode, token_sums
from thresher.golden.vector.layer_norm import LayerNorm, add_and_normalise
from thresher.spec import AttentionConfig, InputError, preset, spmm_preset
from thresher.spec.attention_command import head_command

CHANNELS, HEADS, WIDE, CLASSES = 24, 3, 40, 5
ATTENTION: AttentionConfig = preset("tiny")
ENGINE = replace(spmm_preset("tiny"), max_rows=128, max_tokens=64)
RNG = np.random.default_rng(0)


def product(rows: int, columns: int, *, table: bool = False) -> Product:
    weights = RNG.integers(-128, 128, (rows, columns)) * (RNG.random((rows, columns)) < 0.5)
    return Product(
        weights=weights.astype(np.int8),
        bias=RNG.integers(-5000, 5000, rows),
        multiplier=RNG.integers(1 << 15, 1 << 16, rows),
        shift=np.full(rows, 16),
        table=RNG.permutation(np.arange(-128, 128)).astype(np.int8) if table else None,
    )


def norm() -> LayerNorm:
    return LayerNorm(
        x_shift=RNG.integers(0, 10, CHANNELS),
        y_shift=RNG.integers(0, 10, CHANNELS),
        gain=RNG.integers(-4000, 4000, CHANNELS),
        bias=RNG.integers(-100_000, 100_000, CHANNELS),
        shift=6,
    )


def layer() -> EncoderLayer:
    return EncoderLayer(
        projections=product(3 * CHANNELS, CHANNELS),
        attention_output=product(CHANNELS, CHANNELS),
        attention_norm=norm(),
        intermediate=(product(WIDE - 11, CHANNELS, table=True), product(11, CHANNELS, table=True)),
        output=product(CHANNELS, WIDE),
        output_norm=norm(),
    )


ENCODER = Encoder(
    heads=HEADS,
    words=RNG.integers(-128, 128, (50, CHANNELS)).astype(np.int8),
    places=RNG.integers(-128, 128, (40, CHANNELS)).astype(np.int8),
    embedding_norm=norm(),
    projection=None,
    layers=(layer(), layer()),
    classifier=(product(CHANNELS, CHANNELS, table=True), product(CLASSES, CHANNELS)),
    output_shift=RNG.integers(0, 10, CHANNELS),
)


def text(length: int) -> Text:
    return Text(ids=tuple(map(int, RNG.integers(0, 50, length))), places=tuple(range(length)))


def commands(_layer, length):
    return head_command(
        ATTENTION,
        query_length=length,
        key_length=length,
        head_dim=CHANNELS // HEADS,
        score_scale=1e-3,
        output_scale=0.7,
        rho=0.3,
    )


def attend(heads):
    results = [attention_head(ATTENTION, *head) for head in heads]
    return [result.output for result in results if result.output is not None]


def run(texts, engine=ENGINE):
    return encode(engine, ENCODER, texts, commands=commands, attend=attend)


@pytest.fixture(scope="module")
def texts():
    return [text(length) for length in (7, 1, 16, 2, 7)]


@pytest.fixture(scope="module")
def together(texts):
    return run(texts)


def test_shapes_and_variety(texts, together):
    assert [found.shape for found in together] == [(CHANNELS, len(one)) for one in texts]
    assert all(len(np.unique(found)) > 10 for found in together)
    scores = class_scores(ENGINE, ENCODER, together)
    assert scores.shape == (CLASSES, len(texts))
    assert len(np.unique(scores, axis=1).T) == len(texts)


def test_each_text_alone(texts, together):
    for one, found in zip(texts, together, strict=True):
        assert np.array_equal(run([one])[0], found)


def test_order_of_the_texts(texts, together):
    for found, wanted in zip(run(texts[::-1]), together[::-1], strict=True):
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("tokens", [1, 5])
def test_engines_that_take_few_tokens(texts, together, tokens):
    for found, wanted in zip(run(texts, replace(ENGINE, max_tokens=tokens)), together, strict=True):
        assert np.array_equal(found, wanted)


def test_sparse_weights_give_the_same(texts, together):
    from scipy import sparse

    def packed(one: Product) -> Product:
        return replace(one, weights=sparse.csr_array(one.weights))

    layers = tuple(
        replace(
            one,
            projections=packed(one.projections),
            attention_output=packed(one.attention_output),
            intermediate=tuple(map(packed, one.intermediate)),
            output=packed(one.output),
        )
        for one in ENCODER.layers
    )
    found = encode(ENGINE, replace(ENCODER, layers=layers), texts, commands=commands, attend=attend)
    assert all(np.array_equal(*pair) for pair in zip(found, together, strict=True))


def test_places_count(together, texts):
    moved = replace(texts[2], places=tuple(range(20, 36)))
    assert not np.array_equal(run([moved])[0], together[2])
    first, second = run([Text(ids=(3, 3), places=(0, 1))])[0].T
    assert not np.array_equal(first, second)
    first, second = run([Text(ids=(3, 3), places=(5, 5))])[0].T
    assert np.array_equal(first, second)


def test_projected_embeddings(texts):
    """Embeddings of fewer channels: those of the full encoder's first channels, after a projection."""
    size = 10
    small = {name: getattr(ENCODER.embedding_norm, name)[:size] for name in ("x_shift", "y_shift", "gain", "bias")}
    encoder = replace(
        ENCODER,
        words=ENCODER.words[:, :size],
        places=ENCODER.places[:, :size],
        embedding_norm=LayerNorm(**small, shift=6),
        projection=product(CHANNELS, size),
        layers=(),
    )
    for one, found in zip(texts, encode(ENGINE, encoder, texts, commands=commands, attend=attend), strict=True):
        words, places = encoder.words[list(one.ids)].T, encoder.places[list(one.places)].T
        assert encoder.projection is not None
        wanted = encoder.projection(ENGINE, add_and_normalise(encoder.embedding_norm, words, places)[0])
        assert np.array_equal(found, wanted)


def test_embeddings_are_sums(texts, together):
    found = token_sums(together)
    assert found.shape == (CHANNELS, len(texts))
    assert found[:, 1].tolist() == together[1][:, 0].tolist()
    for one, total in zip(together, found.T, strict=True):
        assert total.tolist() == one.astype(np.int64).sum(axis=1).tolist()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Text(ids=(), places=()), "at least one token"),
        (Text(ids=(1, 2), places=(0,)), "a place for each"),
        (Text(ids=(50,), places=(0,)), "ids must be from 0 to 49"),
        (Text(ids=(-1,), places=(0,)), "ids must be from 0 to 49"),
        (Text(ids=(1,), places=(40,)), "places must be from 0 to 39"),
    ],
)
def test_bad_texts(bad, message):
    with pytest.raises(InputError, match=message):
        run([bad])
