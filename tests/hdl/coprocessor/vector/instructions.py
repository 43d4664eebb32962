"""Random VECTOR instructions on a random memory, and the comparison of their results with the golden model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from thresher.golden.machine import Machine
from thresher.golden.memory import Memory
from thresher.spec import SpmmConfig, VectorConfig, coprocessor_preset
from thresher.spec.coprocessor_config import CoprocessorConfig
from thresher.spec.formats import ceil_div
from thresher.spec.memory import INDEX_BYTES, PARAMETER_BYTES, operand, row_bytes, tensor_spans, whole_words
from thresher.spec.program import (
    FaultCode,
    Instruction,
    Layout,
    Opcode,
    Region,
    VectorOperation,
    address,
    offset_of,
    region_of,
)
from thresher.spec.spmm_config import WeightFormat

from .bench import Bench, Result

COPY, NORMALISE, SUM = VectorOperation
TILES, ROWS, GATHER = Layout

REGION = 1 << 14


def make_config(*, tile: int = 16, step: int = 8, max_channels: int = 20, max_tokens: int = 65535) -> CoprocessorConfig:
    """A small co-processor."""
    return CoprocessorConfig(
        spmm=SpmmConfig(rows=1, lanes=tile, drain_lanes=step, max_columns=64, formats=(WeightFormat.CSR_DELTA,)),
        attention=coprocessor_preset("tiny").attention,
        vector=VectorConfig(lanes=8, max_channels=max_channels, max_tokens=max_tokens),
    )


class Author:
    """Writes instructions for a random memory.

    x and y lie in INPUT, parameters and indices in CONSTANTS, z in SCRATCH or OUTPUT.
    """

    def __init__(self, config: CoprocessorConfig, seed: int, *, size: int = REGION):
        self.config = config
        self.rng = np.random.default_rng(seed)
        self.regions = {region: self.rng.integers(0, 256, size, np.uint8) for region in Region}
        self._used = 0

    def _constant(self, data: np.ndarray) -> int:
        """Put data into CONSTANTS, behind the others."""
        values = data.view(np.uint8).ravel()
        place, self._used = self._used, self._used + whole_words(len(values))
        assert self._used <= len(self.regions[Region.CONSTANTS])
        self.regions[Region.CONSTANTS][place : place + len(values)] = values
        return address(Region.CONSTANTS, place)

    def _place(self, region: Region, size: int) -> int:
        """A random place with room."""
        room = len(self.regions[region]) - size
        assert room >= 0, f"{size} bytes do not fit"
        return address(region, 8 * int(self.rng.integers(0, room // 8 + 1)))

    def _parameters(self, channels: int) -> int:
        rng = self.rng
        words = np.zeros(channels, [("x_shift", "u1"), ("y_shift", "u1"), ("gain", "<i2"), ("bias", "<i4")])
        words["x_shift"], words["y_shift"] = rng.integers(0, 10, (2, channels))
        words["gain"] = rng.integers(-(1 << 12), 1 << 12, channels)
        words["bias"] = rng.integers(-(1 << 20), 1 << 20, channels)
        assert words.itemsize == PARAMETER_BYTES
        return self._constant(words)

    def _segments(self, channels: int) -> int:
        """All channels, more than all, or a multiple of 8."""
        words = int(self.rng.integers(1, max(1, ceil_div(channels, 8)) + 1))
        return int(self.rng.choice([channels, channels + int(self.rng.integers(0, 20)), 8 * words]))

    def instruction(
        self,
        operation: int = COPY,
        x: int = TILES,
        z: int = TILES,
        /,
        *,
        y: int = TILES,
        channels: int | None = None,
        tokens: int | None = None,
        **replaced: int,
    ) -> Instruction:
        """A legal instruction, with other fields at random; ``replaced`` may make it illegal."""
        rng, config = self.rng, self.config
        channels = int(rng.integers(1, config.vector.max_channels + 1)) if channels is None else channels
        tokens = int(rng.integers(1, 2 * config.tile + 3)) if tokens is None else tokens
        body: dict[str, Any] = {"operation": operation, "channels": channels, "tokens": tokens}
        body |= {"x_layout": x, "y_layout": y if operation == NORMALISE else TILES, "z_layout": z}
        body |= {"segment": self._segments(channels), "segment_tokens": tokens + int(rng.integers(0, 4))}
        body |= {"z_segment": self._segments(channels), "z_segment_tokens": tokens + int(rng.integers(0, 4))}
        rows = int(rng.integers(1, 2 * max(1, tokens) + 1))
        for name in "xy":
            body[f"{name}_rows"] = rows
            if body[f"{name}_layout"] == GATHER:
                body[f"{name}_index"] = self._constant(rng.integers(0, rows, tokens + tokens % 2, np.uint32))
        if operation == NORMALISE:
            body["parameters"] = self._parameters(channels)
            body |= {"shift": int(rng.integers(0, 12)), "epsilon": int(rng.choice([0, 1, 1000, (1 << 32) - 1]))}
        for name in "xyz":
            region = Region.INPUT if name != "z" else Region(rng.choice([Region.SCRATCH, Region.OUTPUT]))
            body[name] = self._place(region, self._size(body, name))
        return Instruction(opcode=Opcode.VECTOR, body=body | replaced)

    def _size(self, body: dict[str, Any], name: str) -> int:
        if name == "z" and body["operation"] == SUM:
            return body["channels"] * 8
        place = operand(Instruction(opcode=Opcode.VECTOR, body=body | {name: 0}), name)
        spans = tensor_spans(self.config, place, body["channels"], body["tokens"])
        if place.layout is GATHER:
            return place.rows * row_bytes(body["channels"])
        return max(start + size for start, size in spans)

    def spoil_index(self, item: Instruction, name: str, token: int, value: int) -> None:
        """Give a token another index."""
        assert region_of(item.body[f"{name}_index"]) is Region.CONSTANTS
        place = offset_of(item.body[f"{name}_index"]) + INDEX_BYTES * token
        self.regions[Region.CONSTANTS][place : place + INDEX_BYTES].view("<u4")[:] = value

    def spoil_shift(self, item: Instruction, channel: int, *, y: bool, value: int) -> None:
        """Give a channel another shift."""
        self.regions[Region.CONSTANTS][offset_of(item.body["parameters"]) + PARAMETER_BYTES * channel + y] = value

    def check(
        self, items: Sequence[Instruction], *, seed: int = 0, stall: float = 0.3, latency: int = 0
    ) -> list[Result]:
        """Execute the instructions one after the other, and compare all bytes after each of them."""
        results = Bench(self.config, self.regions, seed=seed, stall=stall, latency=latency).run(items)
        memory = Memory(regions={region: values.copy() for region, values in self.regions.items()})
        machine = Machine(self.config, memory)
        for number, (item, result) in enumerate(zip(items, results, strict=True)):
            where = f"seed {seed}, instruction {number}: {item.body}"
            fault = machine.run(item.encode() + Instruction(opcode=Opcode.END).encode()).fault
            expected = (FaultCode.NONE, 0) if fault is None else (fault.code, fault.detail)
            assert (result.error, result.detail) == expected, where
            for region, values in memory.regions.items():
                np.testing.assert_array_equal(result.regions[region], values, err_msg=f"{where}: {region.name}")
        return results
