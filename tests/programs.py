"""Random programs of a co-processor, for tests of every model that executes them."""

from collections.abc import Sequence

import numpy as np
from thresher.golden.memory import Memory
from thresher.golden.spmm.packing import pack
from thresher.golden.weight_memory import matrix_bytes
from thresher.model.compiler.builder import Builder, Space
from thresher.spec import Activation, CoprocessorConfig
from thresher.spec.memory import PARAMETER_BYTES, row_bytes, tiles_bytes
from thresher.spec.program import WORD_BYTES, Layout, Opcode, Region, VectorOperation, address
from thresher.spec.spmm_command import FORMAT_CODES
from thresher.spec.weight_words import WEIGHT_BITS

SLOTS = 4
"""Buffers in the scratch region that the instructions of a program choose from."""
KINDS = ("product", "attention", "copy", "normalise", "sum")


class RandomProgram:
    """A program whose instructions read and write buffers at random, and the memory that it starts from.

    Parameters
    ----------
    config : CoprocessorConfig
    rng : Generator
    length : int
        Instructions before the last ones: a copy to the region OUTPUT, if copies are among the kinds, and END.
    kinds : sequence of str, optional
        Kinds of instructions to choose from, by default all.
    most : int
        Most channels.
    """

    def __init__(
        self,
        config: CoprocessorConfig,
        rng: np.random.Generator,
        *,
        length: int,
        kinds: Sequence[str] = KINDS,
        most: int = 192,
    ):
        self.config = config
        self._rng = rng
        self._constants: list[np.ndarray] = []
        self._space = Space(Region.CONSTANTS)
        self._tokens = int(rng.integers(1, 3 * config.tile))
        self._head_dim = 8 * int(rng.integers(1, config.attention.max_head_dim // 8 + 1))
        self._channels = int(rng.integers(1, min(config.vector.max_channels, 3 * self._head_dim, most) + 1))
        most = max(self._channels, 3 * self._head_dim)
        scratch = Space(Region.SCRATCH)
        size = max(tiles_bytes(config, most, self._tokens), row_bytes(most) * self._tokens, most * WORD_BYTES)
        self._slots = [scratch.allocate(f"buffer {i}", size) for i in range(SLOTS)]
        self.builder = Builder(config)
        for _ in range(length):
            getattr(self, f"_{kinds[int(rng.integers(len(kinds)))]}")()
        if "copy" in kinds:
            self._output()
        self.builder.end()
        self.data = b"".join(item.encode() for item in self.builder.program)
        self._scratch = rng.integers(0, 256, scratch.size, np.uint8)

    def memory(self) -> Memory:
        """A new memory, always with the same bytes."""
        return Memory(
            regions={
                Region.CONSTANTS: np.concatenate([np.zeros(0, np.uint8), *self._constants]),
                Region.SCRATCH: self._scratch.copy(),
                Region.INPUT: np.zeros(8, np.uint8),
                Region.OUTPUT: np.zeros(tiles_bytes(self.config, self._channels, self._tokens), np.uint8),
            }
        )

    def _constant(self, data: np.ndarray) -> int:
        data = data.view(np.uint8).ravel()
        self._constants.append(np.pad(data, (0, -len(data) % WORD_BYTES)))
        return self._space.allocate("", len(data))

    def _two_slots(self) -> tuple[int, int]:
        first, second = self._rng.choice(SLOTS, 2, replace=False)
        return self._slots[first], self._slots[second]

    def _product(self) -> None:
        rng, config = self._rng, self.config.spmm
        rows = int(rng.integers(1, self._channels + 1))
        code = int(rng.integers(len(WEIGHT_BITS)))
        bound = 1 << (WEIGHT_BITS[code] - 1)
        weights = rng.integers(-bound, bound, (rows, self._channels)).astype(np.int8)
        weights[rng.random(weights.shape) < 0.5] = 0
        weight_format = config.formats[rng.integers(len(config.formats))]
        if weight_format == "nm":
            weights[:, np.arange(self._channels) % config.group >= config.kept] = 0
        packed = pack(
            weights,
            weight_format,
            banks=config.banks,
            kept=config.kept,
            group=config.group,
            delta_bits=WEIGHT_BITS[code],
        )
        image = matrix_bytes(
            config,
            packed,
            bias=rng.integers(-1000, 1000, rows),
            multiplier=rng.integers(1 << 15, 1 << 16, rows),
            shift=rng.integers(8, 18, rows),
            weight_bits=WEIGHT_BITS[code],
        )
        table = rng.integers(-128, 128, 256, np.int8)
        x, y = self._two_slots()
        self.builder.append(
            Opcode.PRODUCT,
            "product",
            {
                "x": x,
                "y": y,
                "settings": self._constant(image.settings),
                "weights": self._constant(image.words),
                "segment": image.segment,
                "table": self._constant(table),
                "rows": rows,
                "columns": self._channels,
                "tokens": self._tokens,
                "format": FORMAT_CODES[weight_format],
                "activation": int(rng.choice(list(Activation))),
                "load_table": 1,
                "weight_bits": code,
            },
        )

    def _attention(self) -> None:
        rng, row = self._rng, self._head_dim
        length = int(rng.integers(1, min(self._tokens, self.config.attention.max_length) + 1))
        x, z = self._two_slots()
        self.builder.append(
            Opcode.ATTENTION,
            "attention",
            {
                "q": x,
                "k": x + length * row,
                "v": x + 2 * length * row,
                "o": z,
                "operand_stride": 0,
                "output_stride": length * row,
                "heads": int(rng.integers(1, 4)),
                "query_length": length,
                "key_length": length,
                "head_dim": row,
                "rho": int(rng.integers(-256, 200)),
                "score_multiplier": int(rng.integers(1, 1 << 12)),
                "score_shift": int(rng.integers(0, 16)),
                "output_multiplier": int(rng.integers(1 << 15, 1 << 16)),
                "output_shift": 15,
                "causal": int(rng.integers(2)) if self.config.attention.causal else 0,
            }
            if 3 * length * row <= self._slot_bytes()
            else self._no_heads(x, z),
        )

    def _slot_bytes(self) -> int:
        return self._slots[1] - self._slots[0]

    def _no_heads(self, x: int, z: int) -> dict[str, int]:
        """One head of one token, where buffers are too small for more."""
        return {
            "q": x,
            "k": x,
            "v": x,
            "o": z,
            "heads": 1,
            "query_length": 1,
            "key_length": 1,
            "head_dim": min(self._head_dim, self._slot_bytes()),
            "score_multiplier": 1,
            "output_multiplier": 1 << 15,
            "output_shift": 15,
        }

    def _places(self, name: str, start: int) -> dict[str, int]:
        """A buffer in the layout TILES, or in ROWS with one segment."""
        if self._rng.integers(2):
            return {name: start}
        prefix = "z_" if name == "z" else ""
        return {
            name: start,
            f"{name}_layout": Layout.ROWS,
            f"{prefix}segment": self._channels,
            f"{prefix}segment_tokens": self._tokens,
        }

    def _copy(self) -> None:
        x, z = self._two_slots()
        body = {**self._sizes(VectorOperation.COPY), **self._places("x", x), **self._places("z", z)}
        self.builder.append(Opcode.VECTOR, "copy", body)

    def _output(self) -> None:
        body = {"x": self._slots[0], "z": address(Region.OUTPUT, 0)}
        self.builder.append(Opcode.VECTOR, "output", {**self._sizes(VectorOperation.COPY), **body})

    def _normalise(self) -> None:
        rng = self._rng
        parameters = np.zeros((self._channels, PARAMETER_BYTES), np.uint8)
        parameters[:, :2] = rng.integers(0, 10, (self._channels, 2))
        parameters[:, 2:] = rng.integers(0, 256, (self._channels, PARAMETER_BYTES - 2))
        places = rng.choice(SLOTS, 3, replace=False)
        x, y, z = (self._slots[i] for i in places)
        body = {
            **self._sizes(VectorOperation.NORMALISE),
            **self._places("x", x),
            **self._places("y", y),
            **self._places("z", z),
            "parameters": self._constant(parameters),
            "shift": int(rng.integers(0, 32)),
            "epsilon": int(rng.integers(0, 1 << 20)),
        }
        self.builder.append(Opcode.VECTOR, "normalise", body)

    def _sum(self) -> None:
        x, z = self._two_slots()
        body = {**self._sizes(VectorOperation.SUM), **self._places("x", x), "z": z}
        self.builder.append(Opcode.VECTOR, "sum", body)

    def _sizes(self, operation: VectorOperation) -> dict[str, int]:
        return {"operation": operation, "channels": self._channels, "tokens": self._tokens}
