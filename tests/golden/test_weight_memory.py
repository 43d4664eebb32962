"""Weight matrices in memory."""

import numpy as np
import pytest
from thresher.golden.memory import Memory
from thresher.golden.spmm.packing import pack, unpack
from thresher.golden.weight_memory import matrix_bytes, read_matrix, read_settings
from thresher.spec import InputError, WeightFormat, coprocessor_preset
from thresher.spec.program import Region, address

CONFIG = coprocessor_preset("edge").spmm
SETTINGS, WORDS = address(Region.CONSTANTS, 0), address(Region.CONSTANTS, 4096)


def stored(weight_format: WeightFormat, rows: int, columns: int, seed: int):
    """Packed weights, their settings, and a memory that holds both."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(-128, 128, (rows, columns), np.int8) * (rng.random((rows, columns)) < 0.3)
    if weight_format is WeightFormat.NM:
        dense[:, np.arange(columns) % CONFIG.group >= CONFIG.kept] = 0
    packed = pack(dense.astype(np.int8), weight_format, banks=CONFIG.banks, kept=CONFIG.kept, group=CONFIG.group)
    numbers = {
        "bias": rng.integers(-(1 << 31), 1 << 31, rows),
        "multiplier": rng.integers(0, 1 << 16, rows),
        "shift": rng.integers(0, 32, rows),
    }
    image = matrix_bytes(CONFIG, packed, **numbers)
    data = np.full(4096 + len(image.words), 85, np.uint8)
    data[: len(image.settings)] = image.settings
    data[4096:] = image.words
    return packed, numbers, image, Memory(regions={Region.CONSTANTS: data})


@pytest.mark.parametrize("weight_format", CONFIG.formats)
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 40), (7, 33), (30, 257)])
def test_reading_gives_what_was_written(weight_format, rows, columns):
    packed, numbers, image, memory = stored(weight_format, rows, columns, seed=rows * columns)
    settings = read_settings(memory, SETTINGS, rows)
    for name, expected in numbers.items():
        assert np.array_equal(getattr(settings, name), expected)
    found = read_matrix(CONFIG, memory, WORDS, image.segment, settings, weight_format, columns)
    assert np.array_equal(unpack(found).toarray(), unpack(packed).toarray())
    assert np.array_equal(found.values, packed.values)
    assert np.array_equal(found.indices, packed.indices)


def test_a_wrong_number_of_words_is_rejected():
    _, _, image, memory = stored(WeightFormat.CSR, 7, 33, seed=3)
    settings = read_settings(memory, SETTINGS, 7)
    memory.regions[Region.CONSTANTS][4096] += 1
    with pytest.raises(InputError, match="engine 0 must have"):
        read_matrix(CONFIG, memory, WORDS, image.segment, settings, WeightFormat.CSR, 33)


def test_an_index_that_is_too_large_is_rejected():
    _, _, image, memory = stored(WeightFormat.CSR, 7, 33, seed=3)
    settings = read_settings(memory, SETTINGS, 7)
    with pytest.raises(InputError, match="too large for 30 columns"):
        read_matrix(CONFIG, memory, WORDS, image.segment, settings, WeightFormat.CSR, 30)
