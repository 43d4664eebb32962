"""The golden model of a co-processor: random programs in random orders, and faults."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.machine import Machine
from thresher.golden.memory import Memory
from thresher.spec import InputError, SpmmError, VectorError, coprocessor_preset
from thresher.spec.hazards import check_order
from thresher.spec.program import (
    UNITS,
    AttentionError,
    FaultCode,
    Instruction,
    Layout,
    Opcode,
    Region,
    VectorOperation,
    address,
)

from ..programs import RandomProgram

CONFIG = coprocessor_preset("tiny")
INPUT, SCRATCH = address(Region.INPUT, 0), address(Region.SCRATCH, 0)


def run(program: RandomProgram, data: bytes, order: np.random.Generator | None = None) -> Memory:
    memory = program.memory()
    outcome = Machine(CONFIG, memory).run(data, order=order)
    assert outcome.fault is None, outcome.fault
    return memory


@pytest.mark.parametrize("seed", range(20))
def test_every_order_gives_the_same_bytes(seed):
    program = RandomProgram(CONFIG, np.random.default_rng(seed), length=15)
    check_order(CONFIG, program.builder.program)
    expected = run(program, program.data)
    for order in range(3):
        memory = run(program, program.data, np.random.default_rng([seed, order]))
        for region in Region:
            assert np.array_equal(memory.regions[region], expected.regions[region]), f"seed {seed}, order {order}"


def test_programs_that_pass_the_proof_need_no_other_thresholds():
    """Whoever lowers thresholds at random is caught, or gets the same bytes."""
    caught = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        program = RandomProgram(CONFIG, rng, length=10)
        weakened = list(program.builder.program)
        place = int(rng.integers(len(weakened) - 1))
        waits = {unit: int(rng.integers(count + 1)) for unit, count in weakened[place].waits.items()}
        weakened[place] = dataclasses.replace(weakened[place], waits=waits)
        try:
            check_order(CONFIG, weakened)
        except InputError:
            caught += 1
            continue
        data = b"".join(item.encode() for item in weakened)
        expected = run(program, program.data)
        for order in range(3):
            memory = run(program, data, np.random.default_rng([seed, order]))
            assert np.array_equal(memory.regions[Region.SCRATCH], expected.regions[Region.SCRATCH]), f"seed {seed}"
    assert 3 < caught < 22


def test_a_race_shows_in_some_order():
    """The comparison of orders can fail."""
    different = False
    for seed in range(20):
        program = RandomProgram(CONFIG, np.random.default_rng(seed), length=10)
        data = b"".join(dataclasses.replace(item, waits={}).encode() for item in program.builder.program)
        expected = run(program, program.data)
        memory = run(program, data, np.random.default_rng(seed))
        different |= not np.array_equal(memory.regions[Region.SCRATCH], expected.regions[Region.SCRATCH])
    assert different


END = Instruction(opcode=Opcode.END).encode()
COPY = {"operation": VectorOperation.COPY, "channels": 8, "tokens": 8, "x": SCRATCH, "z": SCRATCH + 512}
PRODUCT = {"x": SCRATCH, "y": SCRATCH + 512, "rows": 1, "columns": 8, "tokens": 1}
TWO = {"heads": 2, "head_dim": 8, "q": address(Region.SCRATCH, 1024 - 64), "query_length": 8, "key_length": 8}
HEADS = {"q": SCRATCH, "k": SCRATCH, "v": SCRATCH, "o": SCRATCH + 512, "heads": 1, "query_length": 1, "key_length": 1}


@pytest.mark.parametrize(
    ("opcode", "body", "code", "detail", "message"),
    [
        (Opcode.PRODUCT, {}, FaultCode.COMMAND, SpmmError.ROWS, "rejects the command: ROWS"),
        (Opcode.PRODUCT, PRODUCT | {"activation": 2}, FaultCode.COMMAND, SpmmError.TABLE, "TABLE"),
        (Opcode.PRODUCT, PRODUCT | {"x": SCRATCH + 1024}, FaultCode.ADDRESS, 0, "SCRATCH has 1024 bytes"),
        (Opcode.PRODUCT, PRODUCT | {"y": INPUT}, FaultCode.ADDRESS, 0, "INPUT is read-only"),
        (Opcode.ATTENTION, {}, FaultCode.COMMAND, AttentionError.HEADS, "no heads"),
        (Opcode.ATTENTION, HEADS | {"head_dim": 8, "rho": 256}, FaultCode.COMMAND, AttentionError.FIELD, "rho"),
        (Opcode.ATTENTION, HEADS, FaultCode.COMMAND, 3, "HEAD_DIM"),
        (Opcode.ATTENTION, HEADS | {"head_dim": 8, "o": INPUT}, FaultCode.ADDRESS, 0, "read-only"),
        (Opcode.VECTOR, {}, FaultCode.COMMAND, VectorError.CHANNELS, "CHANNELS"),
        (Opcode.VECTOR, COPY | {"operation": 3}, FaultCode.COMMAND, 0, "no operation 3"),
        (Opcode.VECTOR, COPY | {"x_layout": 3}, FaultCode.COMMAND, 0, "x cannot have the layout 3"),
        (Opcode.VECTOR, COPY | {"y_layout": 1}, FaultCode.COMMAND, 0, "y cannot have the layout 1"),
        (Opcode.VECTOR, COPY | {"z_layout": 2}, FaultCode.COMMAND, 0, "z cannot have the layout 2"),
        (Opcode.VECTOR, COPY | {"x_layout": 1, "segment": 4}, FaultCode.COMMAND, 0, "segments of x"),
        (Opcode.VECTOR, COPY | {"z_layout": 1}, FaultCode.COMMAND, 0, "segments of z"),
        (Opcode.VECTOR, COPY | {"x_layout": Layout.GATHER, "x_index": INPUT}, FaultCode.ADDRESS, 0, "there are 0 rows"),
        (Opcode.VECTOR, COPY | {"z": INPUT}, FaultCode.ADDRESS, 0, "read-only"),
        # Rejected before operands outside of regions are read.
        (Opcode.VECTOR, COPY | {"operation": 2, "tokens": 1025}, FaultCode.COMMAND, 0, "at most 1024 tokens, not 1025"),
        (Opcode.VECTOR, COPY | {"operation": 1, "tokens": 1025, "shift": 32}, FaultCode.COMMAND, 0, "not be 32"),
        (
            Opcode.ATTENTION,
            HEADS | TWO | {"operand_stride": (1 << 31) + 8},
            FaultCode.ADDRESS,
            0,
            "OUTPUT has 1024 bytes",
        ),
    ],
)
def test_faults_of_instructions(opcode, body, code, detail, message):
    copy = Instruction(opcode=Opcode.VECTOR, tag=4, body=COPY).encode()
    faulty = Instruction(opcode=opcode, tag=5, waits={Opcode.VECTOR: 1}, body=body).encode()
    regions = {region: np.zeros(1024, np.uint8) for region in Region}
    outcome = Machine(CONFIG, Memory(regions=regions)).run(copy + faulty + END)
    fault = outcome.fault
    assert fault is not None
    assert (fault.code, fault.instruction, fault.tag, fault.detail) == (code, 1, 5, detail)
    assert message in fault.message
    assert outcome.completed == {unit: int(unit is Opcode.VECTOR) for unit in UNITS}
    for region in (Region.CONSTANTS, Region.INPUT):
        assert not regions[region].any()


@pytest.mark.parametrize(
    ("data", "code", "instruction", "message"),
    [
        (b"", FaultCode.LENGTH, 0, "no END"),
        (END[:63], FaultCode.LENGTH, 0, "no END"),
        (bytes(64), FaultCode.OPCODE, 0, "opcode must be"),
        (Instruction(opcode=Opcode.VECTOR, body=COPY).encode(), FaultCode.LENGTH, 1, "has 1 instructions, but no END"),
        (Instruction(opcode=Opcode.VECTOR, body=COPY).encode() + bytes(64), FaultCode.OPCODE, 1, "opcode must be"),
        (
            Instruction(opcode=Opcode.VECTOR, waits={Opcode.PRODUCT: 1}, body=COPY).encode() + END,
            FaultCode.WATCHDOG,
            0,
            "VECTOR waits for PRODUCT to complete 1 instructions, not 0",
        ),
        (Instruction(opcode=Opcode.END, waits={Opcode.VECTOR: 1}).encode(), FaultCode.WATCHDOG, 0, "END waits"),
    ],
)
def test_faults_of_programs(data, code, instruction, message):
    outcome = Machine(CONFIG, Memory(regions={region: np.zeros(1024, np.uint8) for region in Region})).run(data)
    assert outcome.fault is not None
    assert (outcome.fault.code, outcome.fault.instruction) == (code, instruction)
    assert message in outcome.fault.message


def test_the_lowest_bits_of_addresses_are_ignored():
    found = []
    for low in range(8):
        regions = {region: np.arange(1024).astype(np.uint8) for region in Region}
        body = COPY | {"x": SCRATCH + low, "z": SCRATCH + 512 + 7 - low}
        copy = Instruction(opcode=Opcode.VECTOR, body=body).encode()
        assert Machine(CONFIG, Memory(regions=regions)).run(copy + END).fault is None
        found.append(regions[Region.SCRATCH].tobytes())
    assert len(set(found)) == 1


def test_what_follows_the_end_is_ignored():
    outcome = Machine(CONFIG, Memory(regions={region: np.zeros(0, np.uint8) for region in Region})).run(END + bytes(64))
    assert outcome.fault is None
