"""A model of the SpMM engine that reads its input streams number by number, as their layouts say."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from thresher.hdl.lib.packets import framed_layout
from thresher.hdl.spmm.product_streams import rows_layout, weights_layout, word_layout
from thresher.sim.bridge import pack, pack_all, unpack
from thresher.spec import Activation, SpmmCommand, SpmmConfig, WeightFormat
from thresher.spec.formats import ceil_div


def packets(name: str, config: SpmmConfig, beats: Any) -> list[list[Any]]:
    """The data of each packet."""
    if name == "i_rows":
        shape = framed_layout(rows_layout(config))
        beats = [unpack(shape, bits) for bits in pack_all(shape, beats)]
    found: list[list[Any]] = [[]]
    for beat in beats:
        found[-1].append(beat["data"])
        if beat["last"]:
            found.append([])
    assert not found.pop()
    return found


class StreamModel:
    """Takes the payloads of a batch and answers with the values of the output streams.

    Cycles are the numbers of the payloads. :meth:`answer` checks that every packet has just the beats that its command
    needs, or one.
    """

    def __init__(self, config: SpmmConfig, inputs: Mapping[str, Any]):
        self.config = config
        self.commands = list(inputs["i_command"])
        self.packets = {name: packets(name, config, beats) for name, beats in inputs.items() if name != "i_command"}
        self.inputs: dict[str, list[Any]] = {}  # the packets of a command
        self.table: list[int] | None = None
        self.output: list[list[int]] = []
        self.statistics: list[dict[str, int]] = []

    def answer(self) -> tuple[dict[str, Any], dict[str, Any]]:
        accepted, finished = [], []
        while self.commands:
            command = SpmmCommand(**self.commands.pop(0))
            used = [name for name in self.packets if name != "i_table" or command.load_table]
            self.inputs = {name: self.packets[name].pop(0) for name in used}
            error = command.rejection(self.config, table_loaded=self.table is not None)
            lengths = {name: len(beats) for name, beats in self.inputs.items()}
            saturations = 0 if error else self.product(command)
            for name, beats in self.inputs.items():
                assert not beats or len(beats) == lengths[name] == 1, name
            accepted.append(len(self.statistics))
            finished.append(len(self.output))
            self.statistics.append({"error": int(error), "saturations": saturations, "cycles": 0})
        assert not any(self.packets.values()), {name: len(left) for name, left in self.packets.items()}
        values = {"o_data": self.output, "o_statistics": self.statistics}
        return values, {"i_command": accepted, "o_data": list(range(len(self.output))), "o_statistics": finished}

    def product(self, command: SpmmCommand) -> int:
        config = self.config
        if command.load_table:
            self.table = [int(self.inputs["i_table"].pop(0)[0]) for _ in range(256)]
        tokens = config.spread_tokens if command.spread else config.lanes
        saturations = 0
        for start in range(0, command.tokens, tokens):
            x = self.tile(command, tokens)
            beats = [self.inputs["i_rows"].pop(0) for _ in range(ceil_div(command.rows, config.rows))]
            rows = [row for beat in beats for row in beat]
            if command.spread:
                assert all(row["length"] == 0 for row in rows[command.rows :])
                assert all(row["engine"] == i % config.rows for i, row in enumerate(rows[: command.rows]))
            used = min(tokens, command.tokens - start)
            results = []
            for row in rows[: command.rows]:
                sums = self.row_sums(command, row, x)[:used]
                scaled = [self.scaled(row, int(value)) for value in sums]
                saturations += sum(not -128 <= value <= 127 for value in scaled)
                results.append([self.activated(command, value) for value in scaled])
            self.give(command, results, tokens)
        return saturations

    def tile(self, command: SpmmCommand, tokens: int) -> np.ndarray:
        """The (columns, tokens) inputs of a pass; columns beyond the last are zero, whatever the stream holds."""
        banks = self.config.banks if command.spread else 1
        length = ceil_div(command.columns, banks)
        x = np.zeros((banks * length, tokens), int)
        for i in range(length):
            beat = self.inputs["i_inputs"].pop(0)
            for lane in range(self.config.lanes):
                x[lane // tokens * length + i, lane % tokens] = beat[lane]
        x[command.columns :] = 0
        return np.concatenate([x, np.zeros((self.config.max_columns, tokens), int)])

    def row_sums(self, command: SpmmCommand, row: dict[str, int], x: np.ndarray) -> np.ndarray:
        weight_format = list(WeightFormat)[command.format]
        stream = self.inputs[f"i_weights__{row['engine']}"]
        sums, position = np.zeros(x.shape[1], int), -1
        for number in range(row["length"]):
            bits = pack(weights_layout(self.config), stream.pop(0))
            layout = word_layout(self.config, weight_format)
            word = unpack(layout, bits & ((1 << layout.as_shape().width) - 1))
            for lane, (value, index) in enumerate(zip(word["values"], word["indices"], strict=True)):
                match weight_format:
                    case WeightFormat.CSR:
                        column = index
                    case WeightFormat.CSR_DELTA:
                        position += 255 if index == 255 else index + 1
                        column = max(position, 0)
                    case WeightFormat.BBS:
                        column = lane * ceil_div(command.columns, self.config.banks) + index
                    case WeightFormat.NM:
                        column = number * self.config.group + index
                    case WeightFormat.DENSE:
                        column = number
                sums += value * x[column]
        return sums

    @staticmethod
    def scaled(row: dict[str, int], total: int) -> int:
        """round_half_up((total + bias) · multiplier / 2^(8 + shift))"""
        twice = (total + row["bias"]) * row["multiplier"] >> (7 + row["shift"])
        return (twice + 1) >> 1

    def activated(self, command: SpmmCommand, value: int) -> int:
        value = min(127, max(-128, value))
        if command.activation == Activation.RELU:
            return max(0, value)
        if command.activation == Activation.TABLE:
            assert self.table is not None
            return self.table[value + 128]
        return value

    def give(self, command: SpmmCommand, results: list[list[int]], tokens: int) -> None:
        width = self.config.drain_lanes
        if command.spread:
            for first in range(0, len(results), self.config.rows):
                group = results[first : first + self.config.rows]
                lanes = [value for row in group for value in row + [0] * (tokens - len(row))]
                self.output.append(lanes + [0] * (width - len(lanes)))
            return
        for row in results:
            for first in range(0, len(row), width):
                lanes = row[first : first + width]
                self.output.append(lanes + [0] * (width - len(lanes)))
