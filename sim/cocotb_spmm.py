"""cocotb test of an SpMM engine. It reads products and expected results from a file.

It runs inside the simulator's process (see :func:`~thresher.sim.cocotb_runner.run_spmm_bench`).
"""

from typing import Any

import cocotb

from .cocotb_streams import exchange
from .cocotb_tasks import products_from_json, task_text
from .spmm import spmm_design
from .spmm_job import SpmmBatch


@cocotb.test()
async def products_are_as_expected(dut: Any) -> None:
    """Stream products through the engine with random stalls, and compare their outputs and statistics."""
    task = products_from_json(task_text())
    batch = SpmmBatch(task.config, task.jobs)
    values, cycles = await exchange(
        dut,
        spmm_design(task.config).signature,
        batch.inputs(),
        batch.counts(),
        seed=task.seed,
        stall=task.stall,
        max_cycles=batch.cycle_limit(task.stall),
    )
    for index, (run, expected) in enumerate(zip(batch.runs(values, cycles), task.expected, strict=True)):
        expected.check(run.output, run.statistics, where=f"product {index}, seed {task.seed}")
    dut._log.info(f"{len(task.jobs)} products are as expected")
