"""Whole programs on the hardware, compared with the golden model byte for byte."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.machine import Machine
from thresher.hdl.coprocessor.coprocessor import Coprocessor
from thresher.sim.memory import SimulatedMemory
from thresher.sim.testbench import run_streams
from thresher.spec import CoprocessorConfig, coprocessor_preset
from thresher.spec.program import FaultCode, Instruction, Opcode, Region, address

from ...programs import RandomProgram

TINY = coprocessor_preset("tiny")
SMALL = dataclasses.replace(
    TINY,
    attention=dataclasses.replace(TINY.attention, max_length=12, max_head_dim=16),
    vector=dataclasses.replace(TINY.vector, max_channels=48),
)
ALIGNMENT = 128
LENGTH = 4


def run(config: CoprocessorConfig, regions: dict[Region, np.ndarray], program: bytes, *, seed: int, stall: float):
    """Execute a program. Returns how it finishes, and its cycles; the regions change."""
    places, start = {}, ALIGNMENT
    for region in Region:
        places[region] = start
        start += -(-len(regions[region]) // ALIGNMENT) * ALIGNMENT
    data = np.zeros(start, np.uint8)
    for region, place in places.items():
        data[place : place + len(regions[region])] = regions[region]
    dut = Coprocessor(config)
    memory = SimulatedMemory(dut.memory, data, latency=(1, 20) if stall else 1, stall=stall, seed=seed)
    offset = len(regions[Region.INPUT]) - len(program)
    found = run_streams(
        dut,
        {"i_program": [{"address": address(Region.INPUT, offset), "instructions": len(program) // 64}]},
        {"o_finish": 1},
        seed=seed,
        stall={"o_finish": stall},
        processes=[memory.serve],
        settings={
            "regions": {
                region.name.lower(): {"base": places[region], "size": len(regions[region])} for region in Region
            }
        },
        max_cycles=60_000,
    )
    for region, place in places.items():
        regions[region][:] = data[place : place + len(regions[region])]
    return found.values["o_finish"][0], found.cycles["o_finish"][0]


def with_program(regions: dict[Region, np.ndarray], program: bytes) -> dict[Region, np.ndarray]:
    """The program lies at the end of the region INPUT."""
    return {**regions, Region.INPUT: np.concatenate([regions[Region.INPUT], np.frombuffer(program, np.uint8)])}


@pytest.mark.slow
@pytest.mark.parametrize(("cores", "stall", "seed"), [(1, 0.0, 1), (2, 0.3, 2)])
def test_programs_match_golden(cores, stall, seed):
    config = dataclasses.replace(SMALL, cores=cores)
    program = RandomProgram(config, np.random.default_rng(seed), length=LENGTH, most=8)
    expected = program.memory()
    assert Machine(config, expected).run(program.data).fault is None
    regions = with_program(program.memory().regions, program.data)
    finish, _ = run(config, regions, program.data, seed=seed, stall=stall)
    assert finish["error"] == FaultCode.NONE
    for region in (Region.SCRATCH, Region.OUTPUT, Region.CONSTANTS):
        assert np.array_equal(regions[region], expected.regions[region]), f"seed {seed}"


END = Instruction(opcode=Opcode.END).encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "codes"),
    [
        (END, {FaultCode.NONE}),
        (END + bytes(64), {FaultCode.NONE}),
        (bytes(64) + END, {FaultCode.OPCODE}),
        (Instruction(opcode=Opcode.VECTOR, tag=9).encode() + END, {FaultCode.COMMAND}),
        # The unit's fault or that of the program, whichever comes first.
        (Instruction(opcode=Opcode.PRODUCT, tag=9).encode(), {FaultCode.COMMAND, FaultCode.LENGTH}),
    ],
    ids=["end", "rest", "opcode", "command", "length"],
)
def test_ends_and_faults(program, codes):
    regions = with_program({region: np.arange(256).astype(np.uint8) for region in Region}, program)
    before = {region: data.copy() for region, data in regions.items()}
    finish, _ = run(SMALL, regions, program, seed=1, stall=0.0)
    assert finish["error"] in codes
    if finish["error"] == FaultCode.COMMAND:
        assert (finish["instruction"], finish["tag"]) == (0, 9)
    for region in Region:
        assert np.array_equal(regions[region], before[region])
