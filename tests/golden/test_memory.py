"""Tensors in memory: layouts, and bytes that may not be used."""

import numpy as np
import pytest
from thresher.golden.memory import AddressError, Memory, read_tensor, write_tensor
from thresher.spec import coprocessor_preset
from thresher.spec.memory import Place, tensor_spans
from thresher.spec.program import Layout, Region, address

CONFIG = coprocessor_preset("tiny")
TILE = CONFIG.tile
SIZE = 1 << 14


def make_memory(seed: int = 1) -> Memory:
    rng = np.random.default_rng(seed)
    return Memory(regions={region: rng.integers(0, 256, SIZE, np.uint8) for region in Region})


def places(channels: int, tokens: int) -> list[Place]:
    start = address(Region.SCRATCH, 64)
    return [
        Place(layout=Layout.TILES, address=start),
        Place(layout=Layout.ROWS, address=start, segment=channels, segment_tokens=tokens),
        Place(layout=Layout.ROWS, address=start, segment=8, segment_tokens=tokens + 3),
    ]


@pytest.mark.parametrize("channels", [1, 7, 8, 9, 33])
@pytest.mark.parametrize("tokens", [1, TILE - 1, TILE, TILE + 1, 3 * TILE])
def test_reading_gives_what_was_written_and_nothing_else_changes(channels, tokens):
    x = np.random.default_rng(channels * 100 + tokens).integers(-128, 128, (channels, tokens), np.int8)
    for place in places(channels, tokens):
        memory, before = make_memory(), make_memory()
        write_tensor(CONFIG, memory, place, x)
        assert np.array_equal(read_tensor(CONFIG, memory, place, channels, tokens), x)
        for start, size in tensor_spans(CONFIG, place, channels, tokens):
            span = slice(start - address(Region.SCRATCH, 0), start - address(Region.SCRATCH, 0) + size)
            memory.regions[Region.SCRATCH][span] = before.regions[Region.SCRATCH][span]
        for region in Region:
            assert np.array_equal(memory.regions[region], before.regions[region])


def test_elements_lie_where_the_documentation_says():
    x = np.arange(12, dtype=np.int8).reshape(4, 3)
    memory = make_memory()
    tiles = Place(layout=Layout.TILES, address=address(Region.SCRATCH, 0))
    write_tensor(CONFIG, memory, tiles, x)
    assert memory.regions[Region.SCRATCH][:16].tolist() == [0, 1, 2, 0, 0, 0, 0, 0, 3, 4, 5, 0, 0, 0, 0, 0]
    rows = Place(layout=Layout.ROWS, address=address(Region.SCRATCH, 0), segment=4, segment_tokens=3)
    write_tensor(CONFIG, memory, rows, x)
    assert memory.regions[Region.SCRATCH][:16].tolist() == [0, 3, 6, 9, 0, 0, 0, 0, 1, 4, 7, 10, 0, 0, 0, 0]


def test_gather():
    memory = make_memory()
    table = np.arange(50, dtype=np.int8).reshape(5, 10)
    rows = np.zeros((10, 8), np.int8)
    rows[:, :5] = table.T
    memory.regions[Region.CONSTANTS][:80] = rows.view(np.uint8).ravel()
    memory.regions[Region.INPUT][:16] = np.array([9, 0, 9, 3], "<u4").view(np.uint8)
    place = Place(
        layout=Layout.GATHER,
        address=address(Region.CONSTANTS, 0),
        index=address(Region.INPUT, 0),
        rows=10,
    )
    assert np.array_equal(read_tensor(CONFIG, memory, place, 5, 3), table[:, [9, 0, 9]])
    memory.regions[Region.INPUT][8:12] = np.array([10], "<u4").view(np.uint8)
    with pytest.raises(AddressError, match="an index is 10, but there are 10 rows"):
        read_tensor(CONFIG, memory, place, 5, 3)


@pytest.mark.parametrize("region", [Region.CONSTANTS, Region.INPUT])
def test_read_only_regions(region):
    memory = make_memory()
    with pytest.raises(AddressError, match="read-only"):
        memory.write(address(region, 0), np.zeros(8, np.uint8))


def test_bytes_outside_a_region():
    memory = make_memory()
    last = address(Region.OUTPUT, SIZE - 8)
    assert len(memory.read(last, 8)) == 8
    memory.write(last, np.zeros(8, np.uint8))
    with pytest.raises(AddressError, match="OUTPUT has 16384 bytes, but an instruction uses bytes 16376 to 16384"):
        memory.read(last, 9)
    with pytest.raises(AddressError, match="OUTPUT"):
        memory.write(last, np.zeros(16, np.uint8))
