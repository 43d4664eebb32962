"""Weight words from the memory, in every format and both widths."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.memory import Memory
from thresher.golden.spmm.packing import pack
from thresher.golden.weight_memory import matrix_bytes
from thresher.hdl.coprocessor.product.weight_words import WeightWords
from thresher.sim.spmm_job import word_bytes
from thresher.sim.testbench import run_streams
from thresher.spec import WeightFormat, coprocessor_preset
from thresher.spec.program import Region, address
from thresher.spec.spmm_command import FORMAT_CODES
from thresher.spec.weight_words import WEIGHT_BITS, engine_word_shape

from ..spans import reader

ROWS = 12
CONFIGS = {
    # Words of bbs: 80 bits with narrow weights, which fill two words of the memory, and 112 bits, which fill two, too.
    "tiny": dataclasses.replace(coprocessor_preset("tiny").spmm, rows=1, drain_lanes=8),
    # 176 and 240 bits: three words of the memory, and four.
    "edge": dataclasses.replace(coprocessor_preset("edge").spmm, rows=1),
}


def some_weights(config, weight_format: WeightFormat, bits: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """(ROWS, columns) int8, with the smallest and largest value, and an empty row."""
    bound = 1 << (bits - 1)
    weights = rng.integers(-bound, bound, (ROWS, columns)).astype(np.int8)
    weights[rng.random(weights.shape) < 0.6] = 0
    weights[1] = 0
    weights[2, :2] = -bound, bound - 1
    weights[3, :-1] = 0  # a gap
    weights[3, -1] = -1
    if weight_format is WeightFormat.NM:
        weights[:, np.arange(columns) % config.group >= config.kept] = 0
    return weights


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("bits", WEIGHT_BITS)
@pytest.mark.parametrize("weight_format", WeightFormat)
@pytest.mark.parametrize(("stall", "columns"), [(0.0, 70), (0.4, 37)])
def test_words_of_the_engine(name, bits, weight_format, stall, columns):
    config = CONFIGS[name]
    seed = columns + bits
    rng = np.random.default_rng(seed)
    packed = pack(
        some_weights(config, weight_format, bits, columns, rng),
        weight_format,
        banks=config.banks,
        kept=config.kept,
        group=config.group,
        delta_bits=bits,
    )
    zeros = np.zeros(ROWS, np.int64)
    image = matrix_bytes(config, packed, zeros, zeros, zeros, weight_bits=bits)
    memory = Memory(regions={Region.CONSTANTS: image.words})
    passes = 2
    dut = WeightWords(config)
    job = {
        "address": address(Region.CONSTANTS, 0),
        "format": FORMAT_CODES[weight_format],
        "weight_bits": WEIGHT_BITS.index(bits),
        "passes": passes,
    }
    wanted = word_bytes(config, packed)
    found = run_streams(
        dut,
        {"i_job": [job]},
        {"o_weights": passes * len(wanted)},
        seed=seed,
        stall={"o_weights": stall},
        processes=[reader(memory, dut.o_spans, dut.i_words, seed=seed, stall=stall)],
    )
    assert [beat["last"] for beat in found.values["o_weights"]] == [0] * (passes * len(wanted) - 1) + [1]
    words = np.array([beat["data"] for beat in found.values["o_weights"]]).reshape(passes, *wanted.shape)
    used = engine_word_shape(config, weight_format).bits  # what lies above is undefined
    for each in words:
        assert np.array_equal(lowest(each, used), lowest(wanted, used)), f"seed {seed}"


def lowest(words: np.ndarray, bits: int) -> np.ndarray:
    """(words, bits) of (words, bytes)."""
    return np.unpackbits(words.astype(np.int8).view(np.uint8), axis=1, bitorder="little")[:, :bits]


def test_a_row_without_words():
    """An engine that gets no words has a packet of one beat, and takes the next job."""
    config = CONFIGS["tiny"]
    memory = Memory(regions={Region.CONSTANTS: np.zeros(8, np.uint8)})
    dut = WeightWords(config)
    job = {"address": 0, "format": FORMAT_CODES[WeightFormat.CSR], "weight_bits": 1, "passes": 3}
    found = run_streams(
        dut,
        {"i_job": [job, job]},
        {"o_weights": 2},
        seed=1,
        stall=0.0,
        settle=60,
        processes=[reader(memory, dut.o_spans, dut.i_words, seed=1, stall=0.0)],
    )
    assert len(found.cycles["i_job"]) == 2
    assert [beat["last"] for beat in found.values["o_weights"]] == [1, 1]


@pytest.mark.parametrize("weight_format", [WeightFormat.CSR, WeightFormat.BBS])
@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("change", [-1000, -1, 1, 5])
def test_words_that_do_not_fill_what_they_say(weight_format, passes, change):
    """The packet has a beat too many. The words of the next job are right."""
    config, columns = CONFIGS["tiny"], 40
    rng = np.random.default_rng([passes, change + 1000])
    weights = some_weights(config, weight_format, 8, columns, rng)
    packed = pack(weights, weight_format, banks=config.banks, kept=config.kept, group=config.group)
    zeros = np.zeros(ROWS, np.int64)
    image = matrix_bytes(config, packed, zeros, zeros, zeros).words
    wrong = np.concatenate([image, np.zeros(64, np.uint8)])
    numbers = wrong[:8].view("<u4")
    numbers[1] = max(0, int(numbers[1]) + change)
    memory = Memory(regions={Region.CONSTANTS: np.concatenate([image, wrong])})
    dut = WeightWords(config)
    fields = {"format": FORMAT_CODES[weight_format], "weight_bits": 0, "passes": passes}
    jobs = [fields | {"address": address(Region.CONSTANTS, offset)} for offset in (len(image), 0)]
    wanted = word_bytes(config, packed)
    count = passes * len(wanted)
    found = run_streams(
        dut,
        {"i_job": jobs},
        {"o_weights": 2 * count + 1},
        seed=1,
        stall={"o_weights": 0.2},
        processes=[reader(memory, dut.o_spans, dut.i_words, seed=1, stall=0.2)],
    )
    beats = found.values["o_weights"]
    assert [beat["last"] for beat in beats] == [0] * count + [1] + [0] * (count - 1) + [1]
    used = engine_word_shape(config, weight_format).bits
    words = np.array([beat["data"] for beat in beats[count + 1 :]]).reshape(passes, *wanted.shape)
    for each in words:
        assert np.array_equal(lowest(each, used), lowest(wanted, used))
