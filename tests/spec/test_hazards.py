"""The proof that a program ends, and that its result does not depend on the order."""

import numpy as np
import pytest
from thresher.spec import InputError, coprocessor_preset
from thresher.spec.hazards import Use, UsedBytes, accesses, check_order, uses
from thresher.spec.program import UNITS, Instruction, Layout, Opcode, Region, VectorOperation, address

CONFIG = coprocessor_preset("tiny")
SCRATCH = address(Region.SCRATCH, 0)


def copy(x: int, z: int, **waits: int) -> Instruction:
    """A copy of 64 bytes."""
    body = {"operation": VectorOperation.COPY, "channels": 8, "tokens": 8, "x": SCRATCH + x, "z": SCRATCH + z}
    return Instruction(opcode=Opcode.VECTOR, waits=counts(waits), body=body)


def heads(x: int, o: int, **waits: int) -> Instruction:
    """One head of 8 tokens and 8 dimensions: operands of 192 bytes, results of 64."""
    places = {"q": SCRATCH + x, "k": SCRATCH + x + 64, "v": SCRATCH + x + 128, "o": SCRATCH + o}
    sizes = {"heads": 1, "query_length": 8, "key_length": 8, "head_dim": 8}
    return Instruction(opcode=Opcode.ATTENTION, waits=counts(waits), body=places | sizes)


def end(**waits: int) -> Instruction:
    return Instruction(opcode=Opcode.END, waits=counts(waits))


def counts(waits: dict[str, int]) -> dict[Opcode, int]:
    return {Opcode[name.upper()]: count for name, count in waits.items()}


@pytest.mark.parametrize(
    "program",
    [
        [end()],
        [copy(0, 512), end(vector=1)],
        [copy(0, 512), heads(512, 1024, vector=1), end(vector=1, attention=1)],
        # Both read the same bytes.
        [copy(0, 512), heads(0, 1024), end(vector=1, attention=1)],
        # The second copy waits for the head because it begins after the first one.
        [heads(0, 512), copy(512, 1024, attention=1), copy(512, 2048), end(vector=2, attention=1)],
        # The second copy overwrites what the first one has written.
        [copy(0, 512), copy(64, 512, vector=1), end(vector=2)],
        # END waits for the head through the copy.
        [heads(0, 512), copy(512, 1024, attention=1), end(vector=1)],
    ],
)
def test_good_programs(program):
    check_order(CONFIG, program)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ([], "must be END"),
        ([copy(0, 512)], "must be END"),
        ([end(), end()], "must be END"),
        ([copy(0, 512), end()], "END must wait for all 1 instructions of VECTOR, not for 0"),
        ([copy(0, 512, vector=1), end(vector=1)], "would never end"),
        ([copy(0, 512, attention=1), heads(512, 0, vector=1), end()], "would never end"),
        ([copy(0, 512), heads(512, 1024), end(vector=1, attention=1)], "reads bytes that instruction 0"),
        ([copy(0, 512), heads(2048, 0), end(vector=1, attention=1)], "writes bytes that instruction 0"),
        ([copy(0, 512), heads(2048, 512), end(vector=1, attention=1)], "writes bytes that instruction 0"),
        ([copy(0, 512), heads(384, 1024), end(vector=1, attention=1)], "reads bytes that instruction 0"),
        ([copy(0, 32), end(vector=1)], "writes bytes that it uses elsewhere"),
        # The second copy uses what the first wrote, and the head reads it after the first only.
        (
            [copy(0, 512), copy(0, 512, vector=1), heads(512, 1024, vector=1), end(vector=2, attention=1)],
            "reads bytes that instruction 1",
        ),
        # Two instructions of a unit may run at the same time.
        ([copy(0, 512), copy(512, 1024), end(vector=2)], "reads bytes that instruction 0"),
    ],
)
def test_bad_programs(program, message):
    with pytest.raises(InputError, match=message):
        check_order(CONFIG, program)


def test_neighbouring_bytes_do_not_conflict():
    program = [copy(0, 512), heads(576, 1024), heads(512 - 192, 2048), end(vector=1, attention=2)]
    check_order(CONFIG, program)


def test_heads_must_not_write_the_same_bytes():
    body = dict(heads(0, 512).body) | {"heads": 2, "output_stride": 56, "operand_stride": 192}
    with pytest.raises(InputError, match="uses elsewhere"):
        check_order(CONFIG, [Instruction(opcode=Opcode.ATTENTION, body=body), end(attention=1)])


def test_accesses():
    product = {"x": SCRATCH, "y": SCRATCH + 4096, "settings": 0, "weights": 512, "table": 256, "load_table": 1}
    sizes = {"rows": 3, "columns": 20, "tokens": CONFIG.tile + 1}
    found = accesses(CONFIG, Instruction(opcode=Opcode.PRODUCT, body=product | sizes))
    wide = CONFIG.tile + CONFIG.tile_step
    assert found.reads == [(SCRATCH, 20 * wide), (0, 48), (512, (1 << 30) - 512), (256, 256)]
    assert found.writes == [(SCRATCH + 4096, 3 * wide)]
    body = {
        "operation": VectorOperation.NORMALISE,
        "channels": 20,
        "tokens": 3,
        "x_layout": Layout.GATHER,
        "x_index": address(Region.INPUT, 8),
        "x_rows": 7,
        "y_layout": Layout.ROWS,
        "y": SCRATCH,
        "segment": 16,
        "segment_tokens": 5,
        "z": SCRATCH + 4096,
        "parameters": 64,
    }
    found = accesses(CONFIG, Instruction(opcode=Opcode.VECTOR, body=body))
    rows = [(SCRATCH, 48), (SCRATCH + 80, 48)]
    assert found.reads == [(64, 160), (address(Region.INPUT, 8), 16), (0, 7 * 24), *rows]
    assert found.writes == [(SCRATCH + 4096, 20 * CONFIG.tile_step)]
    assert set(UNITS) == set(Opcode) - {Opcode.END}


def test_bytes_that_touch_are_one_use():
    """Not those of CONSTANTS, whose end touches SCRATCH: nothing writes to them."""
    sizes = {"rows": 8, "columns": 8, "tokens": 8}
    product = Instruction(opcode=Opcode.PRODUCT, body={"x": SCRATCH, "y": SCRATCH + 4096, **sizes})
    assert parts(product) == [(0, 64), (4096, 64)]
    run = heads(0, 512)
    several = {**run.body, "k": SCRATCH + 1024, "v": SCRATCH + 1088, "heads": 3}
    several |= {"operand_stride": 128, "output_stride": 64}
    assert parts(Instruction(opcode=Opcode.ATTENTION, body=several)) == [
        *((0, 64), (128, 64), (256, 64), (1024, 384)),
        (512, 192),
    ]


def parts(item: Instruction) -> list[tuple[int, int]]:
    """Offsets and sizes of the uses of an instruction."""
    return [(use.start - SCRATCH, use.end - use.start) for use in uses(CONFIG, item, number=0, index=0)]


@pytest.mark.parametrize("seed", range(20))
def test_used_bytes_are_found_whatever_their_size(seed):
    """Against a list: uses of a few bytes and of many pages, and writes that cover earlier uses."""
    random = np.random.default_rng(seed)
    used, known = UsedBytes(), []
    for number in range(200):
        start, size = int(random.integers(1 << 20)), int(2 ** random.uniform(0, 20))
        use = Use(
            start=start, end=start + size, write=bool(random.integers(2)), number=number, opcode=Opcode.VECTOR, index=0
        )
        wanted = [other.number for other in known if use.overlaps(other)]
        assert sorted(other.number for other in used.conflicts(use)) == wanted, f"seed {seed}, use {number}"
        used.add([use])
        known = [other for other in known if not (use.write and use.covers(other))] + [use]
