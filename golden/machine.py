"""A co-processor: executes a program on the bytes of a memory, in any order that the program allows."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..spec.attention_command import CommandError, HeadCommand
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import CommandValueError, InputError
from ..spec.memory import PARAMETER_BYTES, TABLE_BYTES, Place, operand, row_bytes
from ..spec.program import (
    INSTRUCTION_BYTES,
    UNITS,
    AttentionError,
    FaultCode,
    Instruction,
    Layout,
    Opcode,
    VectorOperation,
    decode,
)
from ..spec.spmm_command import FORMAT_CODES, Activation, SpmmCommand, SpmmError
from ..spec.spmm_config import WeightFormat
from ..spec.vector import MAX_TOKENS, NORM_SHIFT_BITS
from ..spec.vector_command import VectorCommand, VectorError
from ..spec.weight_words import WEIGHT_BITS
from .attention.core import attention_head
from .lib.integer import Int8
from .memory import AddressError, Memory, read_tensor, write_tensor
from .packets import PacketError
from .spmm.engine import sparse_product
from .vector.layer_norm import LayerNorm, add_and_normalise
from .vector.pooling import sum_tokens
from .weight_memory import read_matrix, read_settings

__all__ = ["Fault", "Machine", "Outcome"]

Write = Callable[[], None]
"""Writes the results of an instruction to the memory."""

PARAMETERS = np.dtype([("x_shift", "u1"), ("y_shift", "u1"), ("gain", "<i2"), ("bias", "<i4")])
"""Parameters of a channel of a LayerNorm."""
assert PARAMETERS.itemsize == PARAMETER_BYTES


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a program stopped.

    Attributes
    ----------
    code : FaultCode
    instruction : int
        Number of the instruction in the program.
    tag : int
        Its tag.
    detail : int
        Error of the unit that rejected the instruction, or 0.
    message : str
    """

    code: FaultCode
    instruction: int
    tag: int
    detail: int
    message: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a program ended.

    Attributes
    ----------
    completed : dict of Opcode to int
        Instructions that each unit completed.
    fault : Fault or None
    """

    completed: dict[Opcode, int]
    fault: Fault | None


class _Stopped(Exception):
    """A fault."""

    def __init__(self, code: FaultCode, message: str, detail: int = 0, *, instruction: int | None = None):
        super().__init__(message)
        self.code, self.detail, self.instruction = code, detail, instruction


class Machine:
    """Executes programs.

    An instruction reads its operands when it begins and writes its results when it ends. Between the two, other
    instructions may begin and end.

    Parameters
    ----------
    config : CoprocessorConfig
    memory : Memory
        Its bytes change.
    """

    def __init__(self, config: CoprocessorConfig, memory: Memory):
        self._config = config
        self._memory = memory
        self._table: Int8 | None = None

    def run(self, program: bytes, *, order: np.random.Generator | None = None) -> Outcome:
        """Execute a program.

        Parameters
        ----------
        program : bytes
            Instructions of 64 bytes. What follows the first END is ignored.
        order : Generator, optional
            Chooses among the instructions that may begin or end. Without it they run in the order of the program.
        """
        self._table = None
        completed = dict.fromkeys(UNITS, 0)
        number = 0
        try:
            instructions: list[Instruction] = []
            while not instructions or instructions[-1].opcode is not Opcode.END:
                number = len(instructions)
                instructions.append(_decoded(program, number))
            self._execute(instructions, completed, order)
            number = len(instructions) - 1
            if not _may_begin(instructions[-1], completed):
                raise _Stopped(FaultCode.WATCHDOG, _waiting(instructions[-1], completed))
        except _Stopped as stop:
            number = number if stop.instruction is None else stop.instruction
            return Outcome(
                completed=completed,
                fault=Fault(
                    code=stop.code,
                    instruction=number,
                    tag=int.from_bytes(_part(program, number)[2:4], "little"),
                    detail=stop.detail,
                    message=str(stop),
                ),
            )
        return Outcome(completed=completed, fault=None)

    def _execute(
        self, instructions: list[Instruction], completed: dict[Opcode, int], order: np.random.Generator | None
    ) -> None:
        """Execute all instructions but END."""
        to_begin = {unit: deque(i for i, item in enumerate(instructions) if item.opcode is unit) for unit in UNITS}
        under_way: dict[Opcode, deque[tuple[int, Write]]] = {unit: deque() for unit in UNITS}
        while any(to_begin.values()) or any(under_way.values()):
            begins = [
                unit for unit, queue in to_begin.items() if queue and _may_begin(instructions[queue[0]], completed)
            ]
            ends = [unit for unit, queue in under_way.items() if queue]
            if not begins and not ends:
                first = min(queue[0] for queue in to_begin.values() if queue)
                raise _Stopped(FaultCode.WATCHDOG, _waiting(instructions[first], completed), instruction=first)
            if order is None:
                # One instruction at a time, in the order of the program.
                choice, is_end = (ends[0], True) if ends else (min(begins, key=lambda unit: to_begin[unit][0]), False)
            else:
                place = int(order.integers(len(begins) + len(ends)))
                choice, is_end = (*begins, *ends)[place], place >= len(begins)
            if is_end:
                number, write = under_way[choice].popleft()
            else:
                number, write = to_begin[choice].popleft(), None
            try:
                if write is None:
                    under_way[choice].append((number, self._begin(instructions[number])))
                else:
                    write()
                    completed[choice] += 1
            except _Stopped as stop:
                stop.instruction = number
                raise

    def _begin(self, instruction: Instruction) -> Write:
        """Read the operands, and compute."""
        execute = {
            Opcode.PRODUCT: self._product,
            Opcode.ATTENTION: self._attention,
            Opcode.VECTOR: self._vector,
        }[instruction.opcode]
        try:
            write = execute(instruction)
        except AddressError as error:
            raise _Stopped(FaultCode.ADDRESS, str(error)) from None
        except PacketError as error:
            raise _Stopped(FaultCode.COMMAND, str(error), error.code) from None
        except InputError as error:
            raise _Stopped(FaultCode.COMMAND, str(error)) from None
        return lambda: _checked(write)

    def _product(self, item: Instruction) -> Write:
        config, memory = self._config, self._memory
        command = SpmmCommand(
            rows=item.rows,
            columns=item.columns,
            tokens=item.tokens,
            format=item.format if item.weight_bits < len(WEIGHT_BITS) else len(FORMAT_CODES),
            activation=item.activation,
            load_table=item.load_table,
        )
        error = command.rejection(config.spmm, table_loaded=self._table is not None)
        if error is not SpmmError.NONE:
            raise _Stopped(FaultCode.COMMAND, f"the product engine rejects the command: {error.name}", error)
        x = read_tensor(config, memory, Place(layout=Layout.TILES, address=item.x), item.columns, item.tokens)
        settings = read_settings(memory, item.settings, item.rows)
        weight_format = {code: name for name, code in FORMAT_CODES.items()}[item.format]
        weights = read_matrix(
            config.spmm,
            memory,
            item.weights,
            item.segment,
            settings,
            WeightFormat(weight_format),
            item.columns,
            weight_bits=WEIGHT_BITS[item.weight_bits],
        )
        if item.load_table:
            self._table = memory.read(item.table, TABLE_BYTES).view(np.int8)
        activation = Activation(item.activation)
        y = sparse_product(
            config.spmm,
            weights,
            x,
            settings.bias,
            settings.multiplier,
            settings.shift,
            activation=activation,
            table=self._table if activation is Activation.TABLE else None,
        ).output
        return lambda: write_tensor(config, memory, Place(layout=Layout.TILES, address=item.y), y)

    def _attention(self, item: Instruction) -> Write:
        config, memory = self._config, self._memory
        command = HeadCommand(
            query_length=item.query_length,
            key_length=item.key_length,
            head_dim=item.head_dim,
            rho=item.rho,
            head_threshold=item.head_threshold,
            score_multiplier=item.score_multiplier,
            score_shift=item.score_shift,
            output_multiplier=item.output_multiplier,
            output_shift=item.output_shift,
            causal=item.causal,
        )
        if not item.heads:
            raise _Stopped(FaultCode.COMMAND, "the run has no heads", AttentionError.HEADS)
        error = command.rejection(config.attention)
        if error is not CommandError.NONE:
            told = f"the attention core rejects the command: {error.name}"
            raise _Stopped(FaultCode.COMMAND, told, AttentionError[error.name])
        try:
            command.check_encodable(config.attention)
        except CommandValueError as wrong:
            raise _Stopped(FaultCode.COMMAND, str(wrong), AttentionError.FIELD) from None

        def place(start: int) -> Place:
            return Place(layout=Layout.ROWS, address=start, segment=item.head_dim)

        outputs = []
        for head in range(item.heads):
            operands = [
                read_tensor(config, memory, place(start + head * item.operand_stride), item.head_dim, length).T
                for start, length in (
                    (item.q, item.query_length),
                    (item.k, item.key_length),
                    (item.v, item.key_length),
                )
            ]
            output = attention_head(config.attention, command, *operands).output
            assert output is not None
            outputs.append(output)

        def write() -> None:
            for head, output in enumerate(outputs):
                write_tensor(config, memory, place(item.o + head * item.output_stride), output.T)

        return write

    def _vector(self, item: Instruction) -> Write:
        config, memory = self._config, self._memory
        command = VectorCommand(channels=item.channels, tokens=item.tokens, shift=item.shift, epsilon=item.epsilon)
        error = command.rejection(config.vector)
        if error is not VectorError.NONE:
            raise _Stopped(FaultCode.COMMAND, f"the vector unit rejects the command: {error.name}", error)
        if item.operation not in list(VectorOperation):
            raise _Stopped(FaultCode.COMMAND, f"the vector unit has no operation {item.operation}")
        _check_layouts(item)
        operation = VectorOperation(item.operation)
        if operation is VectorOperation.SUM and item.tokens > MAX_TOKENS:
            raise _Stopped(FaultCode.COMMAND, f"a sum has at most {MAX_TOKENS} tokens, not {item.tokens}")
        if operation is VectorOperation.NORMALISE and item.shift >> NORM_SHIFT_BITS:
            raise _Stopped(FaultCode.COMMAND, f"shift must have {NORM_SHIFT_BITS} bits, not be {item.shift}")
        x = read_tensor(config, memory, operand(item, "x"), item.channels, item.tokens)
        if operation is VectorOperation.SUM:
            sums = sum_tokens(x).astype("<i8").view(np.uint8)
            return lambda: memory.write(item.z, sums)
        if operation is VectorOperation.NORMALISE:
            y = read_tensor(config, memory, operand(item, "y"), item.channels, item.tokens)
            parameters = memory.read(item.parameters, item.channels * PARAMETER_BYTES).view(PARAMETERS)
            norm = LayerNorm(
                **{name: parameters[name].astype(np.int64) for name in ("x_shift", "y_shift", "gain", "bias")},
                shift=item.shift,
                epsilon=item.epsilon,
            )
            x, _ = add_and_normalise(norm, x, y)
        return lambda: write_tensor(config, memory, operand(item, "z"), x)


def _checked(write: Write) -> None:
    try:
        write()
    except AddressError as error:
        raise _Stopped(FaultCode.ADDRESS, str(error)) from None


def _part(program: bytes, number: int) -> bytes:
    return program[number * INSTRUCTION_BYTES :][:INSTRUCTION_BYTES]


def _decoded(program: bytes, number: int) -> Instruction:
    data = _part(program, number)
    if len(data) < INSTRUCTION_BYTES:
        raise _Stopped(FaultCode.LENGTH, f"the program has {number} instructions, but no END")
    try:
        return decode(data)
    except InputError as error:
        raise _Stopped(FaultCode.OPCODE, str(error)) from None


def _may_begin(instruction: Instruction, completed: dict[Opcode, int]) -> bool:
    return all(completed[unit] >= count for unit, count in instruction.waits.items())


def _waiting(instruction: Instruction, completed: dict[Opcode, int]) -> str:
    missing = [
        f"{unit.name} to complete {count} instructions, not {completed[unit]}"
        for unit, count in instruction.waits.items()
        if completed[unit] < count
    ]
    return f"{instruction.opcode.name} waits for {' and '.join(missing)}"


def _check_layouts(item: Instruction) -> None:
    """Layouts must exist. Segments must fill whole words of the memory, except a single one."""
    for name, allowed in (
        ("x", list(Layout)),
        ("y", list(Layout) if item.operation == VectorOperation.NORMALISE else [Layout.TILES]),
        ("z", [Layout.TILES] if item.operation == VectorOperation.SUM else [Layout.TILES, Layout.ROWS]),
    ):
        code = item.body.get(f"{name}_layout", 0)
        if code not in allowed:
            raise _Stopped(FaultCode.COMMAND, f"{name} cannot have the layout {code}")
        place = operand(item, name)
        if place.layout is Layout.ROWS and (
            place.segment < 1 or (place.segment < item.channels and place.segment != row_bytes(place.segment))
        ):
            raise _Stopped(
                FaultCode.COMMAND,
                f"segments of {name} must be a multiple of 8 channels, or all {item.channels}, not {place.segment}",
            )
