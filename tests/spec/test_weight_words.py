"""Weight words: their widths hold every index, and an engine's stream holds every word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.spec import SPMM_PRESETS, WeightFormat
from thresher.spec.weight_words import DELTA_BITS, ESCAPE, WordShape, engine_word_shape, stream_bytes, word_shape

from ..strategies import spmm_configs

CSR, DELTA, BBS, NM, DENSE = WeightFormat


@pytest.mark.parametrize(
    ("weight_format", "expected", "bits"),
    [
        (CSR, WordShape(1, 9), 17),
        (DELTA, WordShape(1, 8), 16),
        (BBS, WordShape(32, 4), 32 * 12),
        (NM, WordShape(2, 2), 20),
        (DENSE, WordShape(1, 0), 8),
    ],
)
def test_words_of_384_columns(weight_format, expected, bits):
    """Of a 2:4 matrix, two bits are stored per kept value."""
    shape = word_shape(weight_format, columns=384, banks=32)
    assert (shape, shape.bits) == (expected, bits)


@given(st.integers(1, 1 << 16), st.integers(1, 8), st.integers(1, 6))
def test_indices_hold_every_column_and_are_no_wider(columns, log_banks, log_group):
    banks, group = 1 << log_banks, 1 << log_group
    bank_columns = -(-columns // banks)
    for weight_format, largest in ((CSR, columns - 1), (BBS, bank_columns - 1), (NM, group - 1)):
        bits = word_shape(weight_format, columns=columns, banks=banks, kept=1, group=group).index_bits
        assert largest < 1 << bits
        assert bits == 1 or largest >= 1 << (bits - 1)


def test_the_escape_is_the_largest_delta():
    assert ESCAPE == (1 << DELTA_BITS) - 1 == 255


@given(spmm_configs(), st.data())
def test_an_engine_takes_the_words_of_every_matrix(config, data):
    columns = data.draw(st.integers(1, config.max_columns))
    for weight_format in config.formats:
        wide = engine_word_shape(config, weight_format)
        narrow = word_shape(weight_format, columns=columns, banks=config.banks, kept=config.kept, group=config.group)
        assert narrow.values == wide.values
        assert narrow.index_bits <= wide.index_bits
        assert wide.bits <= 8 * stream_bytes(config)
    assert any(engine_word_shape(config, item).bits > 8 * stream_bytes(config) - 8 for item in config.formats)


def test_streams_of_the_edge_engine():
    edge = SPMM_PRESETS["edge"]
    assert engine_word_shape(edge, BBS) == WordShape(32, 6)
    assert stream_bytes(edge) == 32 * 14 // 8
    assert stream_bytes(edge.with_formats(DENSE)) == 1
    assert stream_bytes(edge.with_formats(CSR, DENSE)) == 3
