"""Products whose operands and results lie in memory, compared with the golden model."""

import dataclasses

import numpy as np
import pytest
from thresher.golden.machine import Machine
from thresher.hdl.coprocessor.product.executor import ProductExecutor
from thresher.sim.testbench import run_streams
from thresher.spec import CoprocessorConfig, SpmmError, coprocessor_preset
from thresher.spec.memory import SETTING_BYTES
from thresher.spec.program import FaultCode, Instruction, Opcode, Region, offset_of, region_of

from ....programs import RandomProgram
from ..spans import reader, sequencer, writer

TINY = coprocessor_preset("tiny")
CONFIGS = {
    "tiny": TINY,
    "one_engine": dataclasses.replace(
        TINY, spmm=dataclasses.replace(TINY.spmm, rows=1, lanes=16, banks=16, drain_lanes=16)
    ),
    "four_engines": dataclasses.replace(
        TINY, spmm=dataclasses.replace(TINY.spmm, rows=4, lanes=32, banks=32, drain_lanes=8)
    ),
}


def products(config: CoprocessorConfig, seed: int, length: int) -> RandomProgram:
    return RandomProgram(config, np.random.default_rng(seed), length=length, kinds=["product"], most=24)


def run(config: CoprocessorConfig, instructions: list[Instruction], memory, *, seed: int, stall: float):
    """Execute instructions on the hardware. Returns their errors and the cycles in which they end."""
    dut = ProductExecutor(config)
    processes: list = [
        reader(memory, dut.o_spans[i], dut.i_words[i], seed=seed + i, stall=stall) for i in range(len(dut.o_spans))
    ]
    processes.append(writer(memory, dut.o_result_spans, dut.o_results, dut.i_written, seed=seed, stall=stall))
    processes.append(sequencer(dut, Opcode.PRODUCT, instructions, seed=seed, stall=stall))
    found = run_streams(
        dut,
        {},
        {"o_completed": len(instructions)},
        seed=seed,
        stall={"o_completed": stall},
        processes=processes,
        max_cycles=20_000,
    )
    ends = found.values["o_completed"]
    assert all(end["error"] == (FaultCode.COMMAND if end["detail"] else FaultCode.NONE) for end in ends)
    return [end["detail"] for end in ends], found.cycles["o_completed"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("stall", "seed"), [(0.0, 1), (0.3, 2)])
def test_products_match_golden(name, stall, seed):
    config = CONFIGS[name]
    program = products(config, seed, length=4)
    memory, expected = program.memory(), program.memory()
    errors, _ = run(config, program.builder.program[:-1], memory, seed=seed, stall=stall)
    assert errors == [SpmmError.NONE] * 4
    assert Machine(config, expected).run(program.data).fault is None
    for region in Region:
        assert np.array_equal(memory.regions[region], expected.regions[region]), f"seed {seed}"


@pytest.mark.parametrize(("more", "error"), [(1, SpmmError.MISSING), (-1, SpmmError.SURPLUS)])
def test_words_that_do_not_fit_their_rows(more, error):
    """A row that asks for another number of weight words than the memory has."""
    program = products(TINY, 6, length=1)
    (instruction,) = program.builder.program[:-1]
    place, rows = instruction.body["settings"], instruction.body["rows"]

    def wrong_memory():
        memory = program.memory()
        start = offset_of(place)
        settings = memory.regions[region_of(place)][start : start + rows * SETTING_BYTES]
        lengths = settings.view("<i4").reshape(rows, -1)[:, 2]
        lengths[np.flatnonzero(lengths > 1)[0]] += more
        return memory

    errors, _ = run(TINY, [instruction], wrong_memory(), seed=1, stall=0.0)
    assert errors == [error]
    fault = Machine(TINY, wrong_memory()).run(program.data).fault
    assert fault is not None
    assert (fault.code, fault.detail) == (FaultCode.COMMAND, error)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"rows": 0}, SpmmError.ROWS),
        ({"columns": 513}, SpmmError.COLUMNS),
        ({"columns": 1024 + 3}, SpmmError.COLUMNS),
        ({"tokens": 0}, SpmmError.TOKENS),
        ({"format": 5}, SpmmError.FORMAT),
        ({"format": 8}, SpmmError.FORMAT),
        ({"weight_bits": 2}, SpmmError.FORMAT),
        ({"weight_bits": 129}, SpmmError.FORMAT),
        ({"weight_bits": 4, "tokens": 0}, SpmmError.TOKENS),
        ({"activation": 3}, SpmmError.ACTIVATION),
        ({"activation": 255}, SpmmError.ACTIVATION),
        ({"activation": 2, "load_table": 0}, SpmmError.TABLE),
    ],
)
def test_rejected_instructions_read_and_write_nothing(changes, error):
    program = products(TINY, 5, length=1)
    (good,) = program.builder.program[:-1]
    bad = dataclasses.replace(good, body={**good.body, **changes})
    memory = program.memory()
    errors, _ = run(TINY, [bad], memory, seed=1, stall=0.0)
    assert errors == [error]
    fault = Machine(TINY, program.memory()).run(bad.encode() + program.data[-64:]).fault
    assert fault is not None
    assert fault.detail == error
    for region in Region:
        assert np.array_equal(memory.regions[region], program.memory().regions[region])
