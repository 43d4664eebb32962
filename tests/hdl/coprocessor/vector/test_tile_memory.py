"""The tile memory by itself."""

from random import Random

import numpy as np
import pytest
from amaranth.sim import Simulator
from thresher.hdl.coprocessor.vector.tile_memory import READ_CYCLES, TileMemory
from thresher.hdl.coprocessor.vector.tile_streams import padded_channels

from .instructions import make_config


def spot(random: Random, channels: int, tokens: int) -> tuple[int, int, int]:
    """A random word: whether it lies along a row, its channel, its token."""
    by_row = random.randrange(2)
    channel, token = random.randrange(channels), random.randrange(tokens)
    return (1, channel & -8, token) if by_row else (0, channel, token & -8)


def part(by_row: int, channel: int, token: int) -> tuple:
    """The bytes of a word in a (C, N) array."""
    return (slice(channel, channel + 8), token) if by_row else (channel, slice(token, token + 8))


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(("tile", "max_channels"), [(8, 1), (16, 20), (32, 8), (64, 24)])
def test_words_along_channels_and_tokens(tile, max_channels, stall):
    """Random writes and reads in every cycle. A word may be read one cycle after it is written."""
    seed = tile + max_channels
    random = Random(seed)
    config = make_config(tile=tile, max_channels=max_channels)
    dut = TileMemory(config)
    channels = padded_channels(config)
    expected = np.zeros((channels, tile), np.uint8)
    checked = 0

    async def bench(ctx):
        nonlocal checked
        reads = []
        for _ in range(600):
            enabled = random.random() >= stall
            ctx.set(dut.read.enable, enabled)
            read = spot(random, channels, tile)
            write = spot(random, channels, tile) if random.random() < 0.5 else None
            touched = np.zeros_like(expected, bool)
            if write is not None:
                touched[part(*write)] = True
            # The words in the pipeline must not be written now.
            if touched[part(*read)].any() or any(touched[part(*place)].any() for place, _ in reads[-READ_CYCLES:]):
                write, touched = None, np.zeros_like(expected, bool)
            for port, place in ((dut.read, read), (dut.write, write)):
                if place is not None:
                    for name, value in zip(("by_row", "channel", "token"), place, strict=True):
                        ctx.set(getattr(port, name), value)
            ctx.set(dut.write.enable, write is not None)
            values = [random.randrange(256) for _ in range(8)]
            ctx.set(dut.write.data, values)
            if enabled:
                reads.append((read, expected[part(*read)].copy()))
            await ctx.tick()
            if write is not None:
                expected[part(*write)] = values
            if len(reads) >= READ_CYCLES and enabled:
                place, values_then = reads[-READ_CYCLES]
                found = [ctx.get(dut.read.data[i]) for i in range(8)]
                assert found == values_then.tolist(), f"seed {seed}: {place}"
                checked += 1

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert checked > 200


def test_corner_turn():
    """A tile that is written channel by channel is read token by token."""
    config = make_config(tile=16, max_channels=24)
    dut = TileMemory(config)
    values = np.random.default_rng(1).integers(0, 256, (24, 16), np.uint8)
    found = np.zeros_like(values)

    async def bench(ctx):
        ctx.set(dut.write.enable, 1)
        for channel in range(24):
            for token in (0, 8):
                ctx.set(dut.write.channel, channel)
                ctx.set(dut.write.token, token)
                ctx.set(dut.write.data, values[channel, token : token + 8].tolist())
                await ctx.tick()
        ctx.set(dut.write.enable, 0)
        ctx.set(dut.read.enable, 1)
        ctx.set(dut.read.by_row, 1)
        places = [(channel, token) for token in range(16) for channel in (0, 8, 16)]
        for i in range(len(places) + READ_CYCLES):
            if i >= READ_CYCLES:
                channel, token = places[i - READ_CYCLES]
                found[channel : channel + 8, token] = [ctx.get(dut.read.data[k]) for k in range(8)]
            if i < len(places):
                ctx.set(dut.read.channel, places[i][0])
                ctx.set(dut.read.token, places[i][1])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    np.testing.assert_array_equal(found, values)
