"""Runs of heads whose operands and results lie in memory, compared with the golden model."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.machine import Machine
from thresher.hdl.coprocessor.attention.executor import AttentionExecutor
from thresher.sim.testbench import run_streams
from thresher.spec import coprocessor_preset
from thresher.spec.program import AttentionError, FaultCode, Instruction, Opcode, Region

from ....programs import RandomProgram
from ..spans import reader, sequencer, writer

TINY = coprocessor_preset("tiny")
SMALL = dataclasses.replace(TINY, attention=dataclasses.replace(TINY.attention, max_length=10, max_head_dim=16))
CAUSAL = dataclasses.replace(SMALL, attention=dataclasses.replace(SMALL.attention, causal=True))


def heads(config, seed: int, length: int) -> RandomProgram:
    return RandomProgram(config, np.random.default_rng(seed), length=length, kinds=["attention"])


def run(config, instructions: list[Instruction], memory, *, seed: int, stall: float):
    """Execute instructions on the hardware. Returns their errors and the cycles in which they end."""
    dut = AttentionExecutor(config)
    processes: list = [sequencer(dut, Opcode.ATTENTION, instructions, seed=seed, stall=stall)]
    for core in range(config.cores):
        processes += [
            reader(memory, dut.o_spans[core], dut.i_words[core], seed=seed + core, stall=stall),
            writer(
                memory,
                dut.o_result_spans[core],
                dut.o_results[core],
                dut.i_written[core],
                seed=seed + core,
                stall=stall,
            ),
        ]
    found = run_streams(
        dut,
        {},
        {"o_completed": len(instructions)},
        seed=seed,
        stall={"o_completed": stall},
        processes=processes,
        max_cycles=30_000,
    )
    ends = found.values["o_completed"]
    assert all(end["error"] == (FaultCode.COMMAND if end["detail"] else FaultCode.NONE) for end in ends)
    return [end["detail"] for end in ends], found.cycles["o_completed"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cores", "stall", "seed", "small"),
    [(1, 0.3, 1, SMALL), (2, 0.0, 2, SMALL), (3, 0.3, 3, SMALL), (2, 0.2, 4, CAUSAL)],
)
def test_heads_match_golden(cores, stall, seed, small):
    config = dataclasses.replace(small, cores=cores)
    program = heads(config, seed, length=5)
    memory, expected = program.memory(), program.memory()
    errors, _ = run(config, program.builder.program[:-1], memory, seed=seed, stall=stall)
    assert errors == [AttentionError.NONE] * 5
    assert Machine(config, expected).run(program.data).fault is None
    for region in Region:
        assert np.array_equal(memory.regions[region], expected.regions[region]), f"seed {seed}"


@pytest.mark.slow
def test_cores_share_the_heads():
    """Eight equal heads take two cores little more than half of the time of one."""
    cycles = []
    for cores in (1, 2):
        config = dataclasses.replace(SMALL, cores=cores)
        program = heads(config, 4, length=1)
        (item,) = program.builder.program[:-1]
        sizes = {"heads": 8, "query_length": 10, "key_length": 10, "head_dim": 16, "output_stride": 0}
        item = dataclasses.replace(item, body={**item.body, **sizes})
        cycles.append(run(config, [item], program.memory(), seed=1, stall=0.0)[1][-1])
    assert cycles[1] < 0.6 * cycles[0]


@pytest.mark.slow
def test_a_causal_run_reads_keys_before_its_queries():
    program = heads(CAUSAL, 6, length=1)
    (item,) = program.builder.program[:-1]
    length = item.key_length
    item = dataclasses.replace(item, body={**item.body, "query_length": max(length - 3, 1), "causal": 1})
    memory, expected = program.memory(), program.memory()
    assert run(CAUSAL, [item], memory, seed=6, stall=0.1)[0] == [AttentionError.NONE]
    assert Machine(CAUSAL, expected).run(item.encode() + program.data[-64:]).fault is None
    for region in Region:
        assert np.array_equal(memory.regions[region], expected.regions[region])


REJECTED = [
    (SMALL, {"heads": 0}, AttentionError.HEADS),
    (SMALL, {"query_length": 0}, AttentionError.QUERY_LENGTH),
    (SMALL, {"query_length": 11}, AttentionError.QUERY_LENGTH),
    (SMALL, {"query_length": 1024 + 3}, AttentionError.QUERY_LENGTH),
    (SMALL, {"key_length": 11}, AttentionError.KEY_LENGTH),
    (SMALL, {"head_dim": 17}, AttentionError.HEAD_DIM),
    (SMALL, {"rho": 256}, AttentionError.FIELD),
    (SMALL, {"score_shift": 16}, AttentionError.FIELD),
    (SMALL, {"head_threshold": 1 << 31}, AttentionError.FIELD),
    (SMALL, {"causal": 1}, AttentionError.FIELD),
    (CAUSAL, {"causal": 1, "query_length": 2, "key_length": 1}, AttentionError.CAUSAL),
    (CAUSAL, {"causal": 2, "query_length": 2, "key_length": 1}, AttentionError.CAUSAL),
    (CAUSAL, {"causal": 2, "query_length": 1, "key_length": 1}, AttentionError.FIELD),
]


@pytest.mark.parametrize(("config", "changes", "error"), REJECTED)
def test_rejected_instructions_read_and_write_nothing(config, changes, error):
    program = heads(config, 5, length=1)
    (good,) = program.builder.program[:-1]
    bad = dataclasses.replace(good, body={**good.body, **changes})
    memory = program.memory()
    errors, _ = run(config, [bad], memory, seed=1, stall=0.0)
    assert errors == [error]
    fault = Machine(config, program.memory()).run(bad.encode() + program.data[-64:]).fault
    assert fault is not None
    assert fault.detail == error
    for region in Region:
        assert np.array_equal(memory.regions[region], program.memory().regions[region])
