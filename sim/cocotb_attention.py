"""cocotb test of an attention core. It reads heads and expected results from a file.

It runs inside the simulator's process (see :func:`~thresher.sim.cocotb_runner.run_attention_bench`).
"""

from typing import Any

import cocotb

from .attention import attention_design, cycle_limit, head_counts, head_inputs, head_runs
from .cocotb_streams import exchange
from .cocotb_tasks import heads_from_json, task_text


@cocotb.test()
async def heads_are_as_expected(dut: Any) -> None:
    """Stream heads through the core with random stalls, and compare their outputs and statistics."""
    task = heads_from_json(task_text())
    config, heads, seed, stall = task.config, task.heads, task.seed, task.stall
    values, cycles = await exchange(
        dut,
        attention_design(config).signature,
        head_inputs(config, heads),
        head_counts(config, heads),
        seed=seed,
        stall=stall,
        max_cycles=cycle_limit(config, heads, stall),
    )
    for index, (run, expected) in enumerate(zip(head_runs(config, heads, values, cycles), task.expected, strict=True)):
        expected.check(run.output, run.statistics, where=f"head {index}, seed {seed}")
    dut._log.info(f"{len(heads)} heads are as expected")
