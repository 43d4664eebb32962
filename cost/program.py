"""Cycles of a co-processor for a program, without running it."""

from collections import deque
from collections.abc import Mapping, Sequence

from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.formats import ceil_div
from ..spec.memory import SETTING_BYTES, row_bytes
from ..spec.program import UNITS, WORD_BYTES, Instruction, Opcode, VectorOperation
from .attention import HeadWork

__all__ = ["program_cycles", "program_times"]

# Cycles, found on RTL. Each comment names the two ends.
START = 30  # from the beginning of the program to its first instruction, and from its last one to its end
ISSUE = 2  # from the end of an instruction to the beginning of one that waits for it
TO_STEPS = 75  # from the beginning of a product, when X is loaded, to its first step
TO_WRITTEN = 95  # from the last step of a product to its end
NEXT_STEPS = 10  # between the steps of two products
MOVE = 60  # vector unit: from the beginning to the first word, and from the last word to the end
HEAD = 120  # attention: the same
NORMALISED = 5.35  # cycles per channel of eight tokens: X and Y twice, and the parameters


Times = tuple[float, float]
"""When an instruction begins and ends."""


def program_cycles(
    config: CoprocessorConfig,
    instructions: Sequence[Instruction],
    steps: Mapping[int, int],
    *,
    rate: int = WORD_BYTES,
    latency: int = 16,
) -> int:
    """Cycles of a program; see :func:`program_times`."""
    return round(program_times(config, instructions, steps, rate=rate, latency=latency)[-1][1])


def program_times(
    config: CoprocessorConfig,
    instructions: Sequence[Instruction],
    steps: Mapping[int, int],
    *,
    rate: int = WORD_BYTES,
    latency: int = 16,
) -> list[Times]:
    """Follow the instructions from threshold to threshold.

    The product engine loads the tiles of X into two buffers, during the tiles before. The other units take one
    instruction at a time. The estimate ignores that units slow each other down when they use the memory at the same
    time, and it does not know how many blocks of the attention are pruned.

    Parameters
    ----------
    config : CoprocessorConfig
    instructions : sequence of Instruction
    steps : dict of int to int
        Cycles that the busiest row engine needs for one tile of tokens, by the address of the weights.
    rate, latency : int
        Bytes that the memory moves per cycle, and cycles until it answers.

    Returns
    -------
    list of (float, float)
        When each instruction begins and ends.
    """
    ends: dict[Opcode, list[float]] = {unit: [START] for unit in UNITS}  # after no instruction, one, two …
    times: list[Times] = []
    loaded, tile_ends = 0.0, deque([0.0, 0.0], maxlen=2)
    for item in instructions:
        begin = max(ends[unit][count] for unit, count in {**dict.fromkeys(UNITS, 0), **item.waits}.items()) + ISSUE
        if item.opcode is Opcode.END:
            return [*times, (begin, begin + START)]
        if item.opcode is Opcode.PRODUCT:
            columns, rows = config.tile * item.columns, config.tile * item.rows
            moved = item.segment * config.spmm.rows + item.rows * SETTING_BYTES + columns + rows
            for number in range(ceil_div(item.tokens, config.tile)):
                loaded = max(begin + latency, loaded, tile_ends[0]) + columns / rate
                first = max(loaded + TO_STEPS, tile_ends[1] + (NEXT_STEPS if number == 0 else 0))
                tile_ends.append(first + max(steps[item.weights], moved / rate))
            end = tile_ends[1] + latency + TO_WRITTEN
        else:
            begin = max(begin, ends[item.opcode][-1])
            cycles = _vector(config, item) if item.opcode is Opcode.VECTOR else _attention(config, item)
            end = begin + latency + cycles
        ends[item.opcode].append(max(end, ends[item.opcode][-1]))
        times.append((begin, ends[item.opcode][-1]))
    raise ValueError("the program has no END")


def _vector(config: CoprocessorConfig, item: Instruction) -> float:
    groups = ceil_div(item.tokens, config.vector.lanes)
    words = item.channels * groups
    match item.operation:
        case VectorOperation.NORMALISE:
            return NORMALISED * words + MOVE
        case VectorOperation.COPY:
            return 2 * words + MOVE
    return words + item.channels + MOVE


def _attention(config: CoprocessorConfig, item: Instruction) -> float:
    """Cycles of a run of heads, with nothing pruned."""
    blocks = ceil_div(item.query_length, config.attention.block) * ceil_div(item.key_length, config.attention.block)
    head = HeadWork(
        config=config.attention,
        query_length=item.query_length,
        key_length=item.key_length,
        head_dim=item.head_dim,
        kept_blocks=blocks,
    )
    words = (item.query_length + 2 * item.key_length) * row_bytes(item.head_dim) // WORD_BYTES
    rounds = ceil_div(item.heads, config.cores)
    return (rounds - 1) * max(head.cycles, words * min(config.cores, item.heads)) + head.alone + HEAD
