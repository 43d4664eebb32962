"""cocotb test of a unit on AXI4-Stream, with the sources and sinks of cocotbext-axi.

It runs inside the simulator's process.
"""

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

from .cocotb_traffic import pauses

PERIOD_NS = 10
MAX_CYCLES = 200_000


@cocotb.test()
async def exchange(dut: Any) -> None:
    """Send and receive packets, with pauses everywhere."""
    task = json.loads(Path(os.environ["THRESHER_TASK"]).read_text("utf-8"))
    Clock(dut.aclk, PERIOD_NS, "ns").start()
    dut.aresetn.value = 0

    def end(kind: Any, prefix: str) -> Any:
        model = kind(AxiStreamBus.from_prefix(dut, prefix), dut.aclk, dut.aresetn, reset_active_level=False)
        model.set_pause_generator(pauses(Random(prefix), 0.3))
        return model

    sources = {
        name: end(AxiStreamSource, f"s_axis_{name.removeprefix('i_').replace('__', '_')}") for name in task["inputs"]
    }
    sinks = {name: end(AxiStreamSink, f"m_axis_{name}") for name in task["packets"]}
    for _ in range(3):
        await FallingEdge(dut.aclk)
    dut.aresetn.value = 1
    for name, packets in task["inputs"].items():
        for packet in packets:
            sources[name].send_nowait(bytes.fromhex(packet))
    answer: dict[str, list[str]] = {name: [] for name in sinks}
    for name, packets in task["packets"].items():
        for _ in range(packets):
            frame = await with_timeout(sinks[name].recv(), MAX_CYCLES * PERIOD_NS, "ns")
            answer[name].append(bytes(frame.tdata).hex())
    for name, sink in sinks.items():
        assert sink.empty(), f"{name} gives too much"
    for name, source in sources.items():
        assert source.empty(), f"{name} is not taken"
    Path(os.environ["THRESHER_ANSWER"]).write_text(json.dumps(answer), encoding="utf-8")
