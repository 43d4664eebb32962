"""Weight matrices in memory."""

import numpy as np
import pytest
from thresher.golden.memory import AddressError, Memory
from thresher.golden.packets import PacketError
from thresher.golden.spmm.packing import PackedWeights, pack, unpack
from thresher.golden.weight_memory import matrix_bytes, read_matrix, read_settings
from thresher.spec import InputError, SpmmError, WeightFormat, coprocessor_preset
from thresher.spec.memory import filled_words
from thresher.spec.program import WORD_BYTES, Region, address
from thresher.spec.weight_words import WEIGHT_BITS, stored_word_shape

CONFIG = coprocessor_preset("edge").spmm
SETTINGS, WORDS = address(Region.CONSTANTS, 0), address(Region.CONSTANTS, 4096)


def stored(weight_format: WeightFormat, rows: int, columns: int, seed: int, bits: int = 8):
    """Packed weights, their settings, and a memory that holds both."""
    rng = np.random.default_rng(seed)
    bound = 1 << (bits - 1)
    dense = rng.integers(-bound, bound, (rows, columns)) * (rng.random((rows, columns)) < 0.3)
    dense[0, 0] = -bound
    dense[-1, -1] = bound - 1
    if weight_format is WeightFormat.NM:
        dense[:, np.arange(columns) % CONFIG.group >= CONFIG.kept] = 0
    packed = packed_as(dense.astype(np.int8), weight_format, bits)
    numbers = {
        "bias": rng.integers(-(1 << 31), 1 << 31, rows),
        "multiplier": rng.integers(0, 1 << 16, rows),
        "shift": rng.integers(0, 32, rows),
    }
    image = matrix_bytes(CONFIG, packed, **numbers, weight_bits=bits)
    data = np.full(4096 + len(image.words), 85, np.uint8)
    data[: len(image.settings)] = image.settings
    data[4096:] = image.words
    return packed, numbers, image, Memory(regions={Region.CONSTANTS: data})


def packed_as(dense: np.ndarray, weight_format: WeightFormat, bits: int) -> PackedWeights:
    return pack(dense, weight_format, banks=CONFIG.banks, kept=CONFIG.kept, group=CONFIG.group, delta_bits=bits)


@pytest.mark.parametrize("weight_format", CONFIG.formats)
@pytest.mark.parametrize("bits", WEIGHT_BITS)
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 40), (7, 33), (30, 257)])
def test_reading_gives_what_was_written(weight_format, bits, rows, columns):
    packed, numbers, image, memory = stored(weight_format, rows, columns, rows * columns, bits)
    settings = read_settings(memory, SETTINGS, rows)
    for name, expected in numbers.items():
        assert np.array_equal(getattr(settings, name), expected)
    found = read_matrix(CONFIG, memory, WORDS, image.segment, settings, weight_format, columns, weight_bits=bits)
    assert np.array_equal(unpack(found).toarray(), unpack(packed).toarray())
    assert np.array_equal(found.values, packed.values)
    assert np.array_equal(found.indices, packed.indices)


def test_a_wrong_number_of_words_is_rejected():
    _, _, image, memory = stored(WeightFormat.CSR, 7, 33, seed=3)
    settings = read_settings(memory, SETTINGS, 7)
    memory.regions[Region.CONSTANTS][4096] += 1
    with pytest.raises(InputError, match="engine 0 must have"):
        read_matrix(CONFIG, memory, WORDS, image.segment, settings, WeightFormat.CSR, 33)


@pytest.mark.parametrize("change", [-1, 1])
def test_words_that_do_not_fill_what_they_say_are_rejected(change):
    _, _, image, memory = stored(WeightFormat.CSR, 7, 33, seed=3)
    settings = read_settings(memory, SETTINGS, 7)
    filled = memory.regions[Region.CONSTANTS][4100:4104].view("<u4")
    filled[0] = int(filled[0]) + change
    with pytest.raises(PacketError, match="cannot lie in") as caught:
        read_matrix(CONFIG, memory, WORDS, image.segment, settings, WeightFormat.CSR, 33)
    assert caught.value.code is SpmmError.SURPLUS


def test_words_outside_the_region_come_before_their_number():
    _, _, image, memory = stored(WeightFormat.CSR, 7, 33, seed=3)
    settings = read_settings(memory, SETTINGS, 7)
    memory.regions[Region.CONSTANTS][4096:4104] += 1
    with pytest.raises(AddressError):
        read_matrix(CONFIG, memory, WORDS, image.segment, settings, WeightFormat.CSR, 33)


def test_an_index_that_is_too_large_is_rejected():
    _, _, image, memory = stored(WeightFormat.CSR, 7, 33, seed=3)
    settings = read_settings(memory, SETTINGS, 7)
    with pytest.raises(InputError, match="too large for 30 columns"):
        read_matrix(CONFIG, memory, WORDS, image.segment, settings, WeightFormat.CSR, 30)


@pytest.mark.parametrize("weight_format", CONFIG.formats)
@pytest.mark.parametrize("bits", WEIGHT_BITS)
def test_a_matrix_of_zeros(weight_format, bits):
    packed = packed_as(np.zeros((5, 9), np.int8), weight_format, bits)
    zeros = np.zeros(5, np.int64)
    image = matrix_bytes(CONFIG, packed, zeros, zeros, zeros, weight_bits=bits)
    memory = Memory(regions={Region.CONSTANTS: np.concatenate([image.settings, image.words])})
    settings = read_settings(memory, SETTINGS, 5)
    place = address(Region.CONSTANTS, len(image.settings))
    found = read_matrix(CONFIG, memory, place, image.segment, settings, weight_format, 9, weight_bits=bits)
    assert not unpack(found).nnz


def test_gaps_between_narrow_weights():
    """Each word of value 0 moves the position by 16 columns."""
    for column, words in ((0, 1), (15, 1), (16, 2), (31, 2), (32, 3), (1535, 96)):
        dense = np.zeros((1, 1536), np.int8)
        dense[0, column] = -8
        packed = packed_as(dense, WeightFormat.CSR_DELTA, 4)
        assert packed.indices.ravel().tolist() == [15] * (words - 1) + [column % 16]
        assert packed.values.ravel().tolist() == [0] * (words - 1) + [-8]
        assert np.array_equal(unpack(packed).toarray(), dense)


@pytest.mark.parametrize(
    ("weight_format", "wide", "narrow"),
    [
        # Weight words in a word of the memory of 64 bits, or 1 / words of the memory of a weight word.
        (WeightFormat.CSR, 3, 4),  # 19 and 15 bits
        (WeightFormat.CSR_DELTA, 4, 8),  # 16 and 8
        (WeightFormat.BBS, 1 / 4, 1 / 3),  # 240 and 176
        (WeightFormat.NM, 3, 5),  # 20 and 12
        (WeightFormat.DENSE, 8, 16),
    ],
)
def test_sizes(weight_format, wide, narrow):
    for bits, words in ((8, wide), (4, narrow)):
        shape = stored_word_shape(CONFIG, weight_format, bits)
        assert filled_words(shape.bits, 240) == 240 / words
        dense = np.zeros((1, 256), np.int8)
        dense[0, ::2] = 1
        packed = packed_as(dense, weight_format, bits)
        zeros = np.zeros(1, np.int64)
        image = matrix_bytes(CONFIG, packed, zeros, zeros, zeros, weight_bits=bits)
        assert image.segment == WORD_BYTES * (1 + filled_words(shape.bits, len(packed.values)))


@pytest.mark.parametrize("value", [-9, 8])
def test_weights_beyond_four_bits_are_rejected(value):
    dense = np.full((2, 3), value, np.int8)
    zeros = np.zeros(2, np.int64)
    with pytest.raises(InputError, match="weights must be from -8 to 7 to be stored with 4 bits"):
        matrix_bytes(CONFIG, packed_as(dense, WeightFormat.DENSE, 4), zeros, zeros, zeros, weight_bits=4)


def test_wide_deltas_beside_narrow_weights_are_rejected():
    dense = np.zeros((1, 40), np.int8)
    dense[0, 39] = 7
    zeros = np.zeros(1, np.int64)
    with pytest.raises(InputError, match="deltas of 4 bits"):
        matrix_bytes(CONFIG, packed_as(dense, WeightFormat.CSR_DELTA, 8), zeros, zeros, zeros, weight_bits=4)
