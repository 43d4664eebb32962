"""The executor of VECTOR instructions, compared with the golden machine byte for byte."""

import dataclasses
import itertools

import pytest
from thresher.spec.formats import ceil_div
from thresher.spec.program import FaultCode, Region
from thresher.spec.vector_command import VectorError

from .instructions import COPY, GATHER, NORMALISE, ROWS, SUM, TILES, Author, make_config

CONFIGS = {
    "tile_16": make_config(),
    "step_16": make_config(tile=32, step=16, max_channels=40),
    "tile_8": make_config(tile=8, max_channels=9),
    "one_channel": make_config(tile=16, max_channels=1),
    "tile_64": make_config(tile=64, step=32, max_channels=13, max_tokens=200),
}
RUNS = [(name, number, (0.0, 0.4)[number % 2]) for number, name in enumerate(CONFIGS)]
"""Each configuration runs once, every second one with stalls."""


def test_few_instructions_match_golden():
    """Both corner turns of two tiles, and a sum."""
    author = Author(CONFIGS["tile_8"], 1)
    items = [author.instruction(COPY, x, z, channels=9, tokens=10) for x, z in ((TILES, ROWS), (ROWS, TILES))]
    items.append(author.instruction(SUM, TILES, channels=9, tokens=10))
    author.check(items, seed=1, stall=0.2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed", "stall"), RUNS)
def test_copies_and_sums_match_golden(name, seed, stall):
    author = Author(CONFIGS[name], seed)
    items = [author.instruction(COPY, x, z) for x in (TILES, ROWS, GATHER) for z in (TILES, ROWS)]
    items += [author.instruction(SUM, x) for x in (TILES, ROWS, GATHER)]
    author.rng.shuffle(items)
    author.check(items, seed=seed, stall=stall)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed", "stall"), RUNS)
def test_residual_sums_match_golden(name, seed, stall):
    """Some layouts of x, y and z, with other instructions between them."""
    author = Author(CONFIGS[name], seed, size=1 << 15)
    layouts = list(itertools.product((TILES, ROWS, GATHER), (TILES, ROWS, GATHER), (TILES, ROWS)))
    author.rng.shuffle(layouts)
    items = [author.instruction(NORMALISE, int(x), int(z), y=int(y)) for x, y, z in layouts[:4]]
    items[2:2] = [author.instruction(SUM, ROWS), author.instruction(COPY, TILES, ROWS)]
    author.check(items, seed=seed, stall=stall, latency=int(author.rng.integers(0, 40)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_smallest_and_largest_sizes_match_golden(name):
    """1 channel, 1 token; most channels; tiles that are just full, or have one token more or less."""
    config, seed = CONFIGS[name], 6
    author = Author(config, seed)
    most = config.vector.max_channels
    sizes = [(1, 1), (most, 1), (1, config.tile), (most, config.tile + 1), (most, config.tile - 1), (1, 8), (most, 9)]
    items = []
    for number, (channels, tokens) in enumerate(sizes):
        size = {"channels": channels, "tokens": tokens}
        layouts = ((TILES, ROWS), (GATHER, TILES), (ROWS, ROWS))
        items += [author.instruction(COPY, x, z, **size) for x, z in layouts[number % 2 :]]
        items.append(author.instruction(SUM, TILES, **size))
    items += [author.instruction(NORMALISE, TILES, ROWS, y=GATHER, channels=c, tokens=n) for c, n in sizes[:4:3]]
    author.check(items, seed=seed, stall=0.1)


@pytest.mark.slow
def test_segments_match_golden():
    """Segments of words, with a last one that is not full; one that is longer than its channels; rows far apart."""
    author, seed = Author(CONFIGS["tile_16"], 7), 7
    place = {"x": Region.INPUT << 30, "z": 40 | Region.SCRATCH << 30}
    sizes = ((20, 8), (20, 16), (9, 8), (8, 8), (5, 5), (5, 30), (5, 16), (19, 24))
    items = []
    for (channels, segment), apart in itertools.product(sizes, (0, 5)):
        here = {"segment": segment, "segment_tokens": 18 + apart}
        there = {"z_segment": segment, "z_segment_tokens": 18 + 2 * apart}
        for x, z in ((ROWS, TILES), (TILES, ROWS)):
            item = author.instruction(COPY, x, z, channels=channels, tokens=18, **here, **there)
            items.append(dataclasses.replace(item, body={**item.body, **place}))
    author.check(items, seed=seed, stall=0.2)


@pytest.mark.slow
def test_illegal_fields_are_rejected_without_a_write():
    config, seed = CONFIGS["tile_64"], 8
    author = Author(config, seed)
    size = {"channels": 12, "tokens": 3}
    wrong = [
        author.instruction(COPY, channels=0, tokens=3),
        author.instruction(COPY, channels=14, tokens=3),
        author.instruction(COPY, channels=12, tokens=0),
        author.instruction(SUM, channels=12, tokens=201),
        author.instruction(COPY, **size, operation=3),
        author.instruction(COPY, **size, operation=255),
        author.instruction(COPY, **size, x_layout=3),
        author.instruction(COPY, **size, y_layout=ROWS),
        author.instruction(SUM, **size, y_layout=GATHER),
        author.instruction(NORMALISE, **size, y_layout=3),
        author.instruction(COPY, **size, z_layout=GATHER),
        author.instruction(COPY, **size, z_layout=3),
        author.instruction(SUM, **size, z_layout=ROWS),
        author.instruction(COPY, ROWS, **size, segment=0),
        author.instruction(COPY, ROWS, **size, segment=4),
        author.instruction(NORMALISE, y=ROWS, **size, segment=9),
        author.instruction(COPY, TILES, ROWS, **size, z_segment=0),
        author.instruction(COPY, TILES, ROWS, **size, z_segment=11),
        author.instruction(NORMALISE, **size, shift=32),
    ]
    items = []
    for item in wrong:
        items += [item, author.instruction(COPY, ROWS, TILES, **size)]
    results = author.check(items, seed=seed)
    assert all(result.error == FaultCode.COMMAND for result in results[::2])
    assert all(result.read_spans == result.write_spans == 0 for result in results[::2])
    details = [result.detail for result in results[::2]]
    assert details == [VectorError.CHANNELS] * 2 + [VectorError.TOKENS] * 2 + [VectorError.NONE] * 15


@pytest.mark.slow
def test_sums_of_too_many_tokens_are_rejected():
    author = Author(CONFIGS["one_channel"], 9)
    items = [author.instruction(SUM, channels=1, tokens=tokens) for tokens in (1024, 1025)]
    results = author.check(items, seed=9, stall=0.0)
    assert [result.error for result in results] == [FaultCode.NONE, FaultCode.COMMAND]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tile_16", "tile_8"])
def test_an_index_without_a_row_is_a_fault_without_a_write(name):
    """Also if it belongs to a later tile. What follows an odd last index is no index."""
    config, seed = CONFIGS[name], 10
    author = Author(config, seed)
    items, faults = [], []
    for tokens, token, over in ((1, 0, 0), (2, 1, 0), (9, 8, 5), (35, 34, 0), (35, 0, 1 << 31), (20, 20, 7), (1, 1, 0)):
        tokens_and_padding = tokens + tokens % 2
        for operand in "xy":
            if operand == "x":
                item = author.instruction(COPY, GATHER, TILES, tokens=tokens)
            else:
                item = author.instruction(NORMALISE, GATHER, ROWS, y=GATHER, tokens=tokens, channels=3)
            if token < tokens_and_padding:
                author.spoil_index(item, operand, token, item.body[f"{operand}_rows"] + over)
            items += [item, author.instruction(COPY, TILES, TILES)]
            faults += [FaultCode.ADDRESS if token < tokens else FaultCode.NONE, FaultCode.NONE]
    results = author.check(items, seed=seed)
    assert [result.error for result in results] == faults


@pytest.mark.slow
def test_too_large_shifts_of_channels_are_rejected_without_a_write():
    author, seed = Author(CONFIGS["tile_16"], 11), 11
    items = []
    for channel, y, value in ((0, False, 10), (4, True, 255), (2, True, 16)):
        item = author.instruction(NORMALISE, ROWS, TILES, channels=5, tokens=18)
        author.spoil_shift(item, channel, y=y, value=value)
        items += [item, author.instruction(NORMALISE, ROWS, TILES, channels=5, tokens=18)]
    results = author.check(items, seed=seed)
    assert [result.error for result in results] == [FaultCode.COMMAND, FaultCode.NONE] * 3


@pytest.mark.slow
def test_spans_are_as_long_as_possible():
    config = CONFIGS["tile_16"]
    author = Author(config, 13)
    size = {"channels": 20, "tokens": 40}
    results = author.check(
        [
            author.instruction(COPY, TILES, ROWS, **size, z_segment=20),
            author.instruction(
                COPY, ROWS, ROWS, **size, segment=8, segment_tokens=40, z_segment=16, z_segment_tokens=40
            ),
            author.instruction(COPY, GATHER, TILES, **size),
            author.instruction(SUM, TILES, **size),
        ],
        seed=13,
        stall=0.0,
    )
    tiles = ceil_div(40, config.tile)
    assert [(r.read_spans, r.write_spans) for r in results] == [
        (tiles, tiles),
        (3 * tiles, 2 * tiles),
        (1 + tiles + 40, tiles),
        (tiles, 1),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "tokens"), [(200, 32), (20, 64)])
def test_cycles_of_a_residual_sum(channels, tokens):
    """The formula of docs/blocks/coprocessor/vector.md."""
    config = make_config(tile=32, max_channels=200)
    author = Author(config, 14, size=1 << 15)
    item = author.instruction(NORMALISE, TILES, TILES, channels=channels, tokens=tokens)
    (result,) = author.check([item], seed=14, stall=0.0)
    groups, tiles = tokens // 8, tokens // 32
    moved = 3 * channels * groups
    assert 0 < result.cycles - moved - groups * (2 * channels + 117) <= 40 * tiles + 10


@pytest.mark.slow
def test_cycles_of_a_copy():
    """One word per cycle in, and one per cycle out."""
    author = Author(make_config(tile=32, max_channels=256), 15, size=1 << 15)
    size = {"channels": 128, "tokens": 32, "segment": 32, "z_segment": 128}
    items = [author.instruction(COPY, x, z, **size) for x, z in ((TILES, ROWS), (ROWS, TILES), (GATHER, ROWS))]
    results = author.check(items, seed=15, stall=0.0)
    assert all(result.cycles <= 2 * 128 * 4 + 60 for result in results), [result.cycles for result in results]
