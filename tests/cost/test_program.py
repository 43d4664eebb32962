"""Estimated times of programs: cases worked out by hand."""

import pytest
from thresher.cost.program import (
    ISSUE,
    MOVE,
    NEXT_STEPS,
    START,
    TO_STEPS,
    TO_WRITTEN,
    program_cycles,
    program_times,
)
from thresher.spec import coprocessor_preset
from thresher.spec.program import Instruction, Opcode, VectorOperation

EDGE = coprocessor_preset("edge")
LATENCY = 16
STEPS = {0: 5000}
PRODUCT = {"rows": 64, "columns": 384, "tokens": 32, "segment": 64}
COPY = {"operation": VectorOperation.COPY, "channels": 64, "tokens": 32}
LOAD = 32 * 384 // 8
FIRST = START + ISSUE + LATENCY + LOAD + TO_STEPS + 5000
"""End of the steps of the first product."""


def item(opcode: Opcode, body: dict[str, int] | None = None, **waits: int) -> Instruction:
    return Instruction(
        opcode=opcode, waits={Opcode[name.upper()]: count for name, count in waits.items()}, body=body or {}
    )


def times(*program: Instruction) -> list[tuple[float, float]]:
    found = program_times(EDGE, program, STEPS, latency=LATENCY)
    assert program_cycles(EDGE, program, STEPS, latency=LATENCY) == round(found[-1][1])
    return found


def test_operands_load_during_the_product_before():
    product = item(Opcode.PRODUCT, PRODUCT)
    found = times(product, product, item(Opcode.END, product=2))
    assert found[0][1] == FIRST + LATENCY + TO_WRITTEN
    assert found[1][1] == FIRST + NEXT_STEPS + 5000 + LATENCY + TO_WRITTEN
    assert found[2][1] == found[1][1] + ISSUE + START


def test_a_third_tile_waits_for_a_buffer_and_the_memory():
    short = item(Opcode.PRODUCT, PRODUCT)
    found = times(short, short, item(Opcode.PRODUCT, PRODUCT | {"columns": 1536}), item(Opcode.END, product=3))
    weights, settings, x, y = 2 * 64, 64 * 16, 32 * 1536, 32 * 64
    moved = (weights + settings + x + y) / 8
    assert found[2][1] == FIRST + 4 * LOAD + TO_STEPS + moved + LATENCY + TO_WRITTEN


def test_what_waits_begins_after_the_end():
    found = times(item(Opcode.PRODUCT, PRODUCT), item(Opcode.VECTOR, COPY, product=1), item(Opcode.END, vector=1))
    assert found[1][0] == found[0][1] + ISSUE
    assert found[1][1] == found[1][0] + LATENCY + 2 * 64 * 4 + MOVE


def test_tokens_of_several_tiles():
    found = times(item(Opcode.PRODUCT, PRODUCT | {"tokens": 70}), item(Opcode.END, product=1))
    assert found[0][1] == pytest.approx(FIRST + 2 * 5000 + LATENCY + TO_WRITTEN)


def test_a_program_without_an_end_is_refused():
    with pytest.raises(ValueError, match="no END"):
        times(item(Opcode.PRODUCT, PRODUCT))
