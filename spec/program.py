"""Program of a co-processor: instructions, regions of memory, and the order in which instructions may run.

A program is a sequence of instructions of 64 bytes, little-endian. An instruction names the unit that executes it.
Each unit begins its instructions in the order of the program, and completes them in this order. An instruction begins
when every unit, also its own, has completed as many instructions as its thresholds say. Otherwise, instructions may run
at the same time.

An address has 32 bits: the number of a region in the highest two, and an offset in bytes, a multiple of 8, in the
others. The registers of the co-processor hold the place and size of each region, so that a program can be moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from .base import check_encodable
from .errors import CommandValueError, InputError

__all__ = [
    "ADDRESS_BITS",
    "ATTENTION_FIELDS",
    "BODY_FIELDS",
    "HEADER_FIELDS",
    "INSTRUCTION_BYTES",
    "PRODUCT_FIELDS",
    "READ_ONLY",
    "REGION_BYTES",
    "UNITS",
    "VECTOR_FIELDS",
    "WORD_BYTES",
    "AttentionError",
    "FaultCode",
    "Finish",
    "Instruction",
    "Layout",
    "Opcode",
    "Region",
    "VectorOperation",
    "address",
    "decode",
    "offset_of",
    "region_of",
    "word_at",
]

WORD_BYTES = 8
"""Bytes of a word of the memory."""
INSTRUCTION_BYTES = 64
INSTRUCTION_HEADER_BYTES = 10
REGION_SHIFT = 30
ADDRESS_BITS = 32
"""Of an address in a program, and of the memory outside."""
REGION_BYTES = 1 << REGION_SHIFT
"""Largest size of a region."""

Fields = Mapping[str, tuple[int, bool]]
"""Bits and signedness of each field, lowest bits first."""


class Region(IntEnum):
    """Parts of the memory that a program addresses."""

    CONSTANTS = 0
    """Weights, tables and parameters. Read-only."""
    SCRATCH = 1
    """Results that a later instruction reads."""
    INPUT = 2
    """What the host sends for each run. Read-only."""
    OUTPUT = 3
    """What the host reads after each run."""


READ_ONLY = (Region.CONSTANTS, Region.INPUT)


class Opcode(IntEnum):
    """What an instruction does. Memory of zeros is no program."""

    PRODUCT = 1
    ATTENTION = 2
    VECTOR = 3
    END = 4


UNITS: tuple[Opcode, ...] = (Opcode.PRODUCT, Opcode.ATTENTION, Opcode.VECTOR)
"""Units that execute instructions. END waits like an instruction of a unit, and ends the program."""


class FaultCode(IntEnum):
    """Why a program stops before its end."""

    NONE = 0
    OPCODE = 1
    """There is no such instruction, or unused bits are not 0."""
    LENGTH = 2
    """The program has no END."""
    ADDRESS = 3
    """An instruction uses bytes outside a region, or writes to a read-only region."""
    COMMAND = 4
    """A unit rejects the instruction, or its operands do not fit each other; the detail is the unit's error."""
    BUS = 5
    """The bus answers with an error."""
    WATCHDOG = 6
    """No unit completed an instruction in time."""
    ABORT = 7
    """The host aborted the program."""


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How a program ended on the hardware.

    Attributes
    ----------
    error : FaultCode
    unit : Opcode or None
        Unit of the instruction, or None if the program as a whole is at fault.
    detail : int
        The unit's own error if ``error`` is COMMAND.
    instruction, tag : int
        Number of the instruction in the program, and its tag.
    address : int
        Aligned block of 128 bytes, as an address of the program, if ``error`` is ADDRESS or BUS; 0 for an index without
        a row.
    """

    error: FaultCode
    unit: Opcode | None
    detail: int
    instruction: int
    tag: int
    address: int

    def text(self, name: str | None = None) -> str:
        """The fault in words. ``name`` is what the tag stands for."""
        unit = "the program" if self.unit is None else f"the {self.unit.name.lower()} unit"
        place = f"instruction {self.instruction} ({f'tag {self.tag}' if name is None else name})"
        detail = f", error {self.detail}" if self.detail else ""
        # An index without a row has no address.
        known = self.error is FaultCode.BUS or (self.error is FaultCode.ADDRESS and self.address)
        block = f", address {self.address:#010x}" if known else ""
        return f"{self.error.name} of {unit} at {place}{detail}{block}"


class AttentionError(IntEnum):
    """Why ATTENTION is rejected. The names are those of :class:`~thresher.spec.attention_command.CommandError`, and
    further ones."""

    NONE = 0
    QUERY_LENGTH = 1
    KEY_LENGTH = 2
    HEAD_DIM = 3
    FIELD = 4
    """A field has more bits than the command of a head."""
    HEADS = 5
    """The run has no heads."""
    CAUSAL = 6
    """A causal head has more queries than keys."""


class Layout(IntEnum):
    """How the INT8 matrix of C channels and N tokens lies in memory.

    ======  ==================================================================================================
    TILES   tiles of ``tile`` tokens, one after the other; in a tile, the channels one after the other. The
            last tile has a multiple of ``tile_step`` tokens; those beyond N are 0.
    ROWS    segments of channels, one after the other; in a segment, the tokens one after the other. The row
            of a token in a segment is filled with zeros up to a multiple of 8 bytes.
    GATHER  only to read: like ROWS with one segment, but token n is row ``index[n]``. The indices are
            numbers of 32 bits.
    ======  ==================================================================================================
    """

    TILES = 0
    ROWS = 1
    GATHER = 2


class VectorOperation(IntEnum):
    """What the vector unit computes.

    ==========  ==================================================================================
    COPY        z = x, in another layout
    NORMALISE   z = LayerNorm((x << x_shift) + (y << y_shift))
    SUM         z[c] = Σ x[c, n] over all tokens, one number of 64 bits per channel
    ==========  ==================================================================================
    """

    COPY = 0
    NORMALISE = 1
    SUM = 2


HEADER_FIELDS: Fields = {
    "opcode": (8, False),
    "flags": (8, False),
    "tag": (16, False),
    "wait_product": (16, False),
    "wait_attention": (16, False),
    "wait_vector": (16, False),
}
"""``tag`` names the instruction in faults and reports. ``flags`` must be 0."""

PRODUCT_FIELDS: Fields = {
    "x": (32, False),
    "y": (32, False),
    "settings": (32, False),
    "weights": (32, False),
    "table": (32, False),
    "segment": (32, False),
    "rows": (16, False),
    "columns": (16, False),
    "tokens": (16, False),
    "format": (8, False),
    "activation": (8, False),
    "load_table": (8, False),
    "weight_bits": (8, False),
}
"""A product; see :class:`~thresher.spec.spmm_command.SpmmCommand`.

``x`` and ``y`` are the addresses of X and Y in the layout TILES. ``settings`` is that of the settings of the rows of W,
16 bytes each: bias (32 bits), multiplier (16), shift (8), zeros (8), length (32), engine (32). ``weights`` is the
address of the weight words of engine 0; those of engine e lie e · ``segment`` bytes behind. The words of an engine
begin with their number (32 bits), and the number of words of the memory that they fill (32 bits). ``weight_bits`` is 0
for weights of 8 bits and 1 for weights of 4. ``table`` is the address of the activation table, 256 bytes, for −128…127.
"""

ATTENTION_FIELDS: Fields = {
    "q": (32, False),
    "k": (32, False),
    "v": (32, False),
    "o": (32, False),
    "operand_stride": (32, False),
    "output_stride": (32, False),
    "heads": (16, False),
    "query_length": (16, False),
    "key_length": (16, False),
    "head_dim": (16, False),
    "rho": (16, True),
    "score_shift": (8, False),
    "output_shift": (8, False),
    "head_threshold": (32, False),
    "score_multiplier": (32, False),
    "output_multiplier": (32, False),
    "causal": (8, False),
}
"""A run of heads with equal commands; see :class:`~thresher.spec.attention_command.HeadCommand`.

``q``, ``k``, ``v`` and ``o`` are addresses of head 0 in the layout ROWS with one segment of d channels. Those of head h
lie h · ``operand_stride`` and h · ``output_stride`` bytes behind.
"""

VECTOR_FIELDS: Fields = {
    "operation": (8, False),
    "x_layout": (8, False),
    "y_layout": (8, False),
    "z_layout": (8, False),
    "channels": (16, False),
    "tokens": (16, False),
    "x": (32, False),
    "y": (32, False),
    "z": (32, False),
    "x_index": (32, False),
    "y_index": (32, False),
    "x_rows": (32, False),
    "y_rows": (32, False),
    "parameters": (32, False),
    "epsilon": (32, False),
    "segment": (16, False),
    "segment_tokens": (16, False),
    "z_segment": (16, False),
    "z_segment_tokens": (16, False),
    "shift": (8, False),
}
"""A pass over all channels of some tokens.

``x_index`` and ``y_index`` are addresses of the indices of the layout GATHER; each must be less than ``x_rows`` or
``y_rows``. ``segment`` is the number of channels of
a segment of x and y in the layout ROWS, and ``segment_tokens`` the number of tokens between two segments; ``z_segment``
and ``z_segment_tokens`` are those of z. ``parameters`` is the address of the LayerNorm's parameters, 8 bytes per
channel: x_shift (8 bits), y_shift (8), gain (16), bias (32).
"""

BODY_FIELDS: dict[Opcode, Fields] = {
    Opcode.PRODUCT: PRODUCT_FIELDS,
    Opcode.ATTENTION: ATTENTION_FIELDS,
    Opcode.VECTOR: VECTOR_FIELDS,
    Opcode.END: {},
}

for _fields, _room in (
    (HEADER_FIELDS, INSTRUCTION_HEADER_BYTES),
    *((f, INSTRUCTION_BYTES - INSTRUCTION_HEADER_BYTES) for f in BODY_FIELDS.values()),
):
    assert sum(bits for bits, _ in _fields.values()) <= 8 * _room


def address(region: Region, offset: int) -> int:
    """Address of a byte of a region.

    Raises
    ------
    CommandValueError
        The offset is no multiple of 8 from 0 to 2^30 − 8.
    """
    if offset % WORD_BYTES or not 0 <= offset < 1 << REGION_SHIFT:
        raise CommandValueError("offset", offset, f"must be a multiple of {WORD_BYTES} below 2^{REGION_SHIFT}")
    return region << REGION_SHIFT | offset


def region_of(place: int) -> Region:
    """Region of an address."""
    return Region(place >> REGION_SHIFT)


def offset_of(place: int) -> int:
    """Offset of an address in its region, in bytes."""
    return place & (1 << REGION_SHIFT) - 1


def word_at(place: int) -> int:
    """Address of the word that the hardware uses at an address. It computes addresses with 32 bits, and ignores the
    lowest three."""
    return place % (1 << ADDRESS_BITS) // WORD_BYTES * WORD_BYTES


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """An instruction.

    Parameters
    ----------
    opcode : Opcode
    tag : int
        Names the instruction in faults and reports.
    waits : dict of Opcode to int
        Instructions that each unit must have completed before this one begins. 0 for units that are left out.
    body : dict of str to int
        Fields of the opcode; those that are left out are 0.
    """

    opcode: Opcode
    tag: int = 0
    waits: Mapping[Opcode, int] = field(default_factory=dict)
    body: Mapping[str, int] = field(default_factory=dict)

    def __getattr__(self, name: str) -> int:
        """A field of the body."""
        if name.startswith("_") or name not in BODY_FIELDS[self.opcode]:
            raise AttributeError(name)
        return self.body.get(name, 0)

    def encode(self) -> bytes:
        """The 64 bytes of the instruction.

        Raises
        ------
        CommandValueError
            A field does not fit. The message names the field, its value and its range.
        """
        unknown = set(self.body) - set(BODY_FIELDS[self.opcode])
        if unknown:
            raise CommandValueError("body", sorted(unknown), f"{self.opcode.name} has no such fields")
        waits = {f"wait_{unit.name.lower()}": self.waits.get(unit, 0) for unit in UNITS}
        header = {"opcode": int(self.opcode), "flags": 0, "tag": self.tag, **waits}
        fields = BODY_FIELDS[self.opcode]
        body = {name: int(self.body.get(name, 0)) for name in fields}
        return _pack(HEADER_FIELDS, header, INSTRUCTION_HEADER_BYTES) + _pack(
            fields, body, INSTRUCTION_BYTES - INSTRUCTION_HEADER_BYTES
        )


def decode(data: bytes) -> Instruction:
    """The instruction of 64 bytes.

    Raises
    ------
    InputError
        There is no such opcode, or flags or unused bits are not 0.
    """
    header, rest = _unpack(HEADER_FIELDS, data[:INSTRUCTION_HEADER_BYTES])
    code = header.pop("opcode")
    if code not in list(Opcode):
        raise InputError(
            f"opcode must be one of {', '.join(f'{int(item)} ({item.name})' for item in Opcode)}, not {code}"
        )
    opcode = Opcode(code)
    body, more = _unpack(BODY_FIELDS[opcode], data[INSTRUCTION_HEADER_BYTES:INSTRUCTION_BYTES])
    if header["flags"] or rest or more:
        raise InputError(f"flags and unused bits of {opcode.name} must be 0")
    waits = {unit: header[f"wait_{unit.name.lower()}"] for unit in UNITS}
    return Instruction(opcode=opcode, tag=header["tag"], waits=waits, body=body)


class _Values(dict[str, int]):
    """Fields as attributes, for :func:`~thresher.spec.base.check_encodable`."""

    def __getattr__(self, name: str) -> int:
        return self[name]


def _pack(fields: Fields, values: Mapping[str, int], size: int) -> bytes:
    check_encodable(_Values(values), fields)
    number = place = 0
    for name, (bits, _) in fields.items():
        number |= (values[name] & (1 << bits) - 1) << place
        place += bits
    return number.to_bytes(size, "little")


def _unpack(fields: Fields, data: bytes) -> tuple[dict[str, int], int]:
    """Fields, and what is left of the bits behind them."""
    number = int.from_bytes(data, "little")
    values = {}
    for name, (bits, signed) in fields.items():
        value = number & (1 << bits) - 1
        values[name] = value - (value >> (bits - 1) << bits) if signed else value
        number >>= bits
    return values, number
