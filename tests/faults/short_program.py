"""A short program with every instruction, operation and layout, and its comparison with the golden model."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from thresher.golden.machine import Machine, Outcome
from thresher.golden.memory import Memory
from thresher.golden.spmm.packing import pack
from thresher.golden.weight_memory import matrix_bytes
from thresher.model.compiler.builder import Builder, Space
from thresher.spec import Activation, InputError, WeightFormat, coprocessor_preset
from thresher.spec.hazards import check_order
from thresher.spec.memory import PARAMETER_BYTES
from thresher.spec.program import (
    INSTRUCTION_BYTES,
    READ_ONLY,
    Layout,
    Opcode,
    Region,
    VectorOperation,
    decode,
)
from thresher.spec.spmm_command import FORMAT_CODES

from ..operands import int8

CONFIG = coprocessor_preset("tiny")
CHANNELS, TOKENS = 8, 8
MATRIX = CHANNELS * TOKENS
SEED = 20

Regions = dict[Region, np.ndarray]


@dataclass(frozen=True, eq=False)
class Work:
    """A program, and what the memory holds before it."""

    program: bytes
    regions: Regions

    @property
    def instructions(self) -> int:
        return len(self.program) // INSTRUCTION_BYTES

    def memory(self) -> Memory:
        """A new memory, always with the same bytes. Its region CONSTANTS holds the program, too, as in the hardware."""
        regions = {region: data.copy() for region, data in self.regions.items()}
        regions[Region.CONSTANTS] = np.concatenate([regions[Region.CONSTANTS], np.frombuffer(self.program, np.uint8)])
        return Memory(regions=regions)

    def flipped(self, bit: int) -> "Work":
        """With another bit of the program."""
        program = bytearray(self.program)
        program[bit // 8] ^= 1 << bit % 8
        return Work(bytes(program), self.regions)

    def replaced(self, place: int, bits: int, value: int) -> "Work":
        """With other bits of the program, from the bit ``place`` on."""
        number = int.from_bytes(self.program, "little")
        number &= ~((1 << bits) - 1 << place)
        return Work((number | value << place).to_bytes(len(self.program), "little"), self.regions)

    def golden(self) -> tuple[Outcome, Regions]:
        """How it ends, and what the regions hold then."""
        memory = self.memory()
        outcome = Machine(CONFIG, memory).run(self.program)
        return outcome, memory.regions

    def is_ordered(self) -> bool:
        """Whether the results do not depend on the time that each instruction takes."""
        parts = [self.program[at : at + INSTRUCTION_BYTES] for at in range(0, len(self.program), INSTRUCTION_BYTES)]
        items = [decode(part) for part in parts]
        end = next((at for at, item in enumerate(items) if item.opcode is Opcode.END), len(items))
        try:
            check_order(CONFIG, items[: end + 1])
        except InputError:
            return False
        return True


def check_regions(found: Regions, wanted: Regions, where: str) -> None:
    """Compare what a program may have written."""
    for region in set(Region) - set(READ_ONLY):
        assert np.array_equal(found[region], wanted[region]), f"{where}: {region.name}"


@cache
def short_program() -> Work:
    """All instructions: a product, heads of attention, a gather, a sum with LayerNorm, and sums over tokens."""
    rng = np.random.default_rng(SEED)
    constants = Space(Region.CONSTANTS)
    scratch, given, output = Space(Region.SCRATCH), Space(Region.INPUT), Space(Region.OUTPUT)
    parts: list[np.ndarray] = []

    def constant(data: np.ndarray) -> int:
        data = data.view(np.uint8).ravel()
        parts.append(np.pad(data, (0, -len(data) % 8)))
        return constants.allocate("", len(data))

    weights = int8(rng, CHANNELS, CHANNELS)
    weights[rng.random(weights.shape) < 0.5] = 0
    matrix = matrix_bytes(
        CONFIG.spmm,
        pack(weights, WeightFormat.CSR),
        bias=rng.integers(-1000, 1000, CHANNELS),
        multiplier=rng.integers(1 << 15, 1 << 16, CHANNELS),
        shift=rng.integers(10, 16, CHANNELS),
    )
    parameters = np.zeros((CHANNELS, PARAMETER_BYTES), np.uint8)
    parameters[:, :2] = rng.integers(0, 10, (CHANNELS, 2))
    parameters[:, 2:] = rng.integers(0, 256, (CHANNELS, PARAMETER_BYTES - 2))
    x, index = given.allocate("x", MATRIX), given.allocate("index", 4 * TOKENS)
    gathered, first, second, third = (scratch.allocate(name, MATRIX) for name in "abcd")
    sums, last = output.allocate("sums", 8 * CHANNELS), output.allocate("last", MATRIX)
    builder = Builder(CONFIG)
    size = {"channels": CHANNELS, "tokens": TOKENS}
    rows = {"x": x, "x_layout": Layout.GATHER, "x_index": index, "x_rows": TOKENS}
    builder.append(Opcode.VECTOR, "gather", size | rows | {"operation": VectorOperation.COPY, "z": gathered})
    body = {
        "x": gathered,
        "y": first,
        "settings": constant(matrix.settings),
        "weights": constant(matrix.words),
        "segment": matrix.segment,
        "table": constant(int8(rng, 256)),
        "rows": CHANNELS,
        "columns": CHANNELS,
        "tokens": TOKENS,
        "format": FORMAT_CODES[WeightFormat.CSR],
        "activation": Activation.TABLE,
        "load_table": 1,
    }
    builder.append(Opcode.PRODUCT, "product", body)
    heads = {"heads": 2, "query_length": TOKENS, "key_length": TOKENS, "head_dim": 8, "rho": 100}
    scales = {"score_multiplier": 900, "score_shift": 2, "output_multiplier": 1 << 15, "output_shift": 15}
    operands = {"q": x, "k": gathered, "v": x, "o": second, "output_stride": MATRIX}
    builder.append(Opcode.ATTENTION, "heads", heads | scales | operands)
    norm = {"operation": VectorOperation.NORMALISE, "x": first, "y": second, "z": last, "shift": 9, "epsilon": 77}
    norm |= {"y_layout": Layout.ROWS, "segment": CHANNELS, "segment_tokens": TOKENS, "parameters": constant(parameters)}
    builder.append(Opcode.VECTOR, "normalise", size | norm | {"z_layout": Layout.ROWS, "z_segment": CHANNELS})
    builder.append(Opcode.VECTOR, "sums", size | {"operation": VectorOperation.SUM, "x": third, "z": sums})
    builder.end()
    regions = {
        Region.CONSTANTS: np.concatenate(parts),
        Region.SCRATCH: rng.integers(0, 256, scratch.size, np.uint8),
        Region.INPUT: rng.integers(0, 256, given.size, np.uint8),
        Region.OUTPUT: np.zeros(output.size, np.uint8),
    }
    places = rng.permutation(TOKENS).astype("<u4").view(np.uint8)
    regions[Region.INPUT][MATRIX:] = places
    return Work(b"".join(item.encode() for item in builder.program), regions)
